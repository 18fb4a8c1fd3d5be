/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as a loop and what does not, one byte a token. */
#include "lib/loop.h"

#include "tests/unit/check.h"

static void byte_text(const void *user, int32_t id, const char **bytes, size_t *length)
{
    *bytes = (const char *)user + id;
    *length = 1;
}

/* prefix, then part over and over: after how many bytes a loop is seen, 0: not within `most`. */
static size_t seen_after(const char *prefix, const char *part, size_t most, size_t *period, size_t *begin)
{
    static char table[256];
    static int32_t ids[20000];
    dsvl_loop loop = {0};
    size_t head = strlen(prefix), length = strlen(part);
    for (int i = 0; i < 256; i++) table[i] = (char)i;
    for (size_t n = 0; n < most; n++) {
        ids[n] = (unsigned char)(n < head ? prefix[n] : part[(n - head) % length]);
        *period = dsvl_loop_add(&loop, ids, n + 1, byte_text, table, begin);
        if (*period) return n + 1;
    }
    return 0;
}

static void test_loops(void)
{
    static const struct {
        const char *prefix, *part;
        size_t least, most; /* seen in [least, most] bytes of part */
    } cases[] = {
        {"", "the ", 240, 250},
        {"Total: ", "a", 240, 241},
        {"Read. ", "The company was founded in 1998 and has grown since. ", 240, 5 * 53},
        {"a,b\n", "Total,1,2\n", 400, 410},      /* lines get more */
        {"a,b\n", "0.00,0.00,0.00\n", 700, 720}, /* rows of the same figures more still */
        {"a,b\n", ",,,,\n", 1500, 1510},         /* and empty cells */
        {"", "| | | |\n", 1500, 1510},
        {"Page ", ".", 600, 601},       /* rules */
        {"", "\xe2\x94\x80", 600, 605}, /* BOX DRAWINGS LIGHT HORIZONTAL */
        {"x", "\xc2\xb7 ", 600, 610},
        {"", "\xc3\xa9t\xc3\xa9 ", 240, 250}, /* a word */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t period, begin, head = strlen(cases[i].prefix), length = strlen(cases[i].part);
        size_t n = seen_after(cases[i].prefix, cases[i].part, 20000, &period, &begin);
        CHECK_MSG(n + length >= head + cases[i].least && n <= head + cases[i].most + length,
                  "case %zu: seen after %zu", i, n);
        CHECK_MSG(period == length || cases[i].part[0] == cases[i].part[1], "case %zu: period %zu", i,
                  period);
        CHECK_MSG(begin <= head, "case %zu: begins at %zu", i, begin);
    }
}

/* Parts that are long go on being noticed up to the stated period, and no further. */
static void test_periods(void)
{
    char part[DSVL_LOOP_PERIOD + 2];
    uint32_t x = 1;
    for (size_t i = 0; i <= DSVL_LOOP_PERIOD; i++)
        part[i] = (char)('a' + (x = x * 1664525u + 1013904223u) % 23 % 26);
    part[DSVL_LOOP_PERIOD + 1] = '\0';
    size_t period, begin;
    CHECK(seen_after("", part, 20000, &period, &begin) == 0);
    part[DSVL_LOOP_PERIOD] = '\0';
    CHECK(seen_after("", part, 20000, &period, &begin) == 5 * DSVL_LOOP_PERIOD);
    CHECK(period == DSVL_LOOP_PERIOD && begin == 0);
}

/* Honest pages: a table of zeros, leader dots in a list of contents, rows of empty cells, a form, rules. */
static void test_honest(void)
{
    static char text[16384];
    size_t length = 0;
    for (int row = 0; row < 60; row++)
        length += (size_t)snprintf(text + length, sizeof text - length, "Item %d,0.00,0.00,0.00,0.00\n", row);
    for (int row = 0; row < 40; row++)
        length += (size_t)snprintf(text + length, sizeof text - length,
                                   "%d. Chapter ....................................... %d\n", row, row * 7);
    for (int row = 0; row < 60; row++)
        length += (size_t)snprintf(text + length, sizeof text - length, "0,0,0,0,0\n");
    for (int row = 0; row < 50; row++)
        length += (size_t)snprintf(text + length, sizeof text - length, ",,,,,,,,,,,\n");
    for (int row = 0; row < 30; row++)
        length += (size_t)snprintf(text + length, sizeof text - length, "n/a,n/a,n/a\n");
    for (int row = 0; row < 9; row++)
        length += (size_t)snprintf(text + length, sizeof text - length, "[ ] yes  [ ] no  [ ] not known\n");
    for (int i = 0; i < 500; i++) length += (size_t)snprintf(text + length, sizeof text - length, "-");
    size_t period, begin;
    CHECK(length < sizeof text - 1);
    CHECK_MSG(seen_after(text, "\n", length, &period, &begin) == 0, "period %zu at %zu", period, begin);
}

int main(void)
{
    test_loops();
    test_periods();
    test_honest();
    return CHECK_DONE();
}
