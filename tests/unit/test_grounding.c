/* SPDX-License-Identifier: Apache-2.0 */
/* Grounded decoding: examples, and random walks through all that is allowed, whose spans must spell the page.
 */
#include "lib/alloc.h"
#include "lib/grounding.h"
#include "tests/unit/check.h"

enum { MAX = 64 };

typedef struct page {
    char text[4096];
    int32_t offsets[MAX + 1];
    float boxes[MAX][4];
    uint8_t flags[MAX];
    size_t count;
} page;

/* Words of lines separated by newlines; runs of two spaces or more leave a column gap. */
static void lay_out(page *p, const char *lines)
{
    memset(p, 0, sizeof *p);
    float x = 0, y = 0;
    for (const char *s = lines; *s;) {
        if (*s == ' ' || *s == '\n') {
            if (*s == '\n') {
                if (p->count) p->flags[p->count - 1] |= 2;
                y += 12;
            }
            x = *s++ == '\n' ? 0 : x + 5;
            continue;
        }
        size_t n = strcspn(s, " \n");
        memcpy(p->text + p->offsets[p->count], s, n);
        float *b = p->boxes[p->count];
        b[0] = x, b[1] = y, b[2] = x += 5 * (float)n, b[3] = y + 10;
        p->offsets[p->count + 1] = p->offsets[p->count] + (int32_t)n;
        p->flags[p->count++] |= 1;
        s += n;
    }
    if (p->count) p->flags[p->count - 1] |= 2;
}

static dsvl_grounding *ground_bytes(const page *p, size_t bytes, dsvl_error *err)
{
    const dsvl_grounding_words words = {.text = p->text,
                                        .bytes = bytes,
                                        .offsets = p->offsets,
                                        .boxes = p->boxes[0],
                                        .flags = p->flags,
                                        .count = p->count};
    return dsvl_grounding_new(&words, err);
}

static dsvl_grounding *ground(const page *p)
{
    dsvl_error err = {0};
    return ground_bytes(p, (size_t)p->offsets[p->count], &err);
}

/* Feed an answer: "ok", "stuck at N" or "open" (it may not end there). */
static const char *feed(dsvl_grounding *g, const char *answer)
{
    static char result[32];
    dsvl_error err = {0};
    dsvl_grounding_reset(g);
    for (size_t i = 0; answer[i]; i++) {
        if (!dsvl_grounding_allows(g, answer + i, 1)) {
            snprintf(result, sizeof result, "stuck at %zu", i);
            return result;
        }
        CHECK(dsvl_grounding_accept(g, answer + i, 1, &err) == 0);
    }
    if (!dsvl_grounding_may_end(g)) return "open";
    CHECK(dsvl_grounding_finish(g, &err) == 0);
    return "ok";
}

static void test_examples(void)
{
    static const struct {
        const char *page, *answer, *result;
    } cases[] = {
        {"Alder Bridge   1874\nBirch Hill    1902", "Alder Bridge,1874\nBirch Hill,1902", "ok"},
        {"Alder Bridge   1874", "1874,Alder Bridge", "ok"},
        {"Alder Bridge   1874", "Alder,Bridge,1874", "ok"},
        {"Alder Bridge   1874", "Alder Brigde", "stuck at 9"},
        {"Alder Bridge   1874", "Alder 1874", "stuck at 6"},
        {"Alder Bridge   1874", "187\n", "stuck at 3"},
        {"Alder Bridge   1874", "187", "open"},
        {"Alder Bridge   1874", "1874,1874", "stuck at 5"},
        {"7   7", "7,7", "ok"},
        {"1,234   56", "\"1,234\",56", "ok"},
        {"1,234   56", "1,234,56", "ok"},
        {"1,234   56", "1,56", "stuck at 2"},
        {"1   1,234   56", "1,56,\"1,234\"", "ok"},
        {"1   1,234   56", "\"1,234\",1,56", "ok"},
        {"Total:   12", "Total,12", "ok"},
        {"(net)   12", "net,12", "ok"},
        {"(net)   12", "(net),12", "ok"},
        {"say \"no\" now", "\"say \"\"no\"\" now\"", "ok"},
        {"say \"no\" now", "\"say \"no\"", "stuck at 6"},
        {"\xef\xac\x81ne \xe2\x80\x93 20\xe2\x80\x91"
         "5",
         "fine - 20-5", "ok"},
        {"\xef\xac\x81ne \xe2\x80\x93 205", "fine \xe2\x80\x93 205", "ok"},
        {"an exam-\nple of it", "an example of it", "ok"},
        {"an exam-\nple of it", "an exam-", "ok"},
        {"an exam-\nple of it", "an exam", "open"},
        {"Name      Sum\nAlder     18\nBridge", "Name,Sum\nAlder Bridge,18", "ok"},
        {"A B\nC", "| A | B |\n|---|:-:|\n| C | |\n", "ok"},
        {"A B\nC", "A B C", "ok"},
        {"A B\nC", "A B\nC", "ok"},
        {"A B", ",,\n", "ok"},
        {"A B", "\"\",A", "ok"},
        {"A B", "\"A", "open"},
        {"A B", "", "ok"},
        {"A B", "C", "stuck at 0"},
        {"", "a", "stuck at 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        page p;
        lay_out(&p, cases[i].page);
        dsvl_grounding *g = ground(&p);
        CHECK(g);
        const char *result = feed(g, cases[i].answer);
        CHECK_MSG(strcmp(result, cases[i].result) == 0, "\"%s\" of \"%s\": %s, not %s", cases[i].answer,
                  cases[i].page, result, cases[i].result);
        dsvl_grounding_free(g);
    }
}

/* Of equal cells the next one in the order of the page is the source. */
static void test_sources(void)
{
    page p;
    lay_out(&p, "North  7  8\nSouth  7  9\nWest  7  8");
    dsvl_grounding *g = ground(&p);
    CHECK_STR(feed(g, "North,7,8\nSouth,7,9\nWest,7,8"), "ok");
    CHECK(dsvl_grounding_spans(g) == 9);
    for (size_t i = 0; i < dsvl_grounding_spans(g); i++) {
        dsvl_span s = dsvl_grounding_span(g, i);
        CHECK_MSG(s.count == 1 && s.words[0] == (int32_t)i, "span %zu is word %d", i, s.words[0]);
    }
    CHECK_STR(feed(g, "South,7\nWest,7"), "ok");
    CHECK(dsvl_grounding_spans(g) == 4 && dsvl_grounding_span(g, 1).words[0] == 4 &&
          dsvl_grounding_span(g, 3).words[0] == 7);
    CHECK(dsvl_grounding_span(g, 2).begin == 8 && dsvl_grounding_span(g, 2).end == 12);
    dsvl_grounding_free(g);
}

/* Walk at random through what is allowed: every span must spell its words, and no word may serve twice. */
static void test_walks(void)
{
    static const char *const pages[] = {
        "Alder Bridge   1874   212\nBirch Hill   1902   148\nAlder Park  1,902  14",
        "one two three\nfour exam-\nple two one\nbut-\nter (x) \"y\"",
        "a a  a\naa a  aaa\n",
    };
    uint32_t seed = 7;
    long spans = 0;
    for (int round = 0; round < 600; round++) {
        page p;
        lay_out(&p, pages[round % 3]);
        dsvl_grounding *g = ground(&p);
        char answer[400];
        size_t n = 0;
        dsvl_error err = {0};
        while (n < sizeof answer) {
            char allowed[256];
            size_t choices = 0;
            for (int c = 1; c < 256; c++) {
                char byte = (char)c;
                if (!dsvl_grounding_allows(g, &byte, 1)) continue;
                allowed[choices++] = byte;
                if (c > 32 && c != '"' && c != '|' && c != ',')
                    allowed[choices++] = byte; /* rather text than structure */
            }
            seed = seed * 1664525u + 1013904223u;
            if (choices == 0 || (dsvl_grounding_may_end(g) && (seed >> 28) == 0)) break;
            answer[n] = allowed[(seed >> 8) % choices];
            CHECK(dsvl_grounding_accept(g, answer + n, 1, &err) == 0);
            n++;
        }
        if (dsvl_grounding_may_end(g)) CHECK(dsvl_grounding_finish(g, &err) == 0);
        int used[MAX] = {0};
        for (size_t i = 0; i < dsvl_grounding_spans(g); i++, spans++) {
            dsvl_span s = dsvl_grounding_span(g, i);
            char want[512] = "", got[512] = "";
            for (size_t k = 0; k < s.count; k++) {
                int32_t w = s.words[k];
                CHECK_MSG(used[w]++ == 0, "word %d serves twice in \"%.*s\"", w, (int)n, answer);
                snprintf(want + strlen(want), sizeof want - strlen(want), "%.*s ",
                         p.offsets[w + 1] - p.offsets[w], p.text + p.offsets[w]);
            }
            for (size_t k = s.begin; k < s.end; k++) { /* undo the doubling of quotes */
                strncat(got, answer + k, 1);
                if (answer[k] == '"' && k + 1 < s.end && answer[k + 1] == '"') k++;
            }
            want[strlen(want) - 1] = '\0';
            for (char *hyphen; (hyphen = strstr(want, "- ")) && !strstr(got, "- ");)
                memmove(hyphen, hyphen + 2, strlen(hyphen + 2) + 1);
            const char *at = strstr(want, got); /* less the punctuation around it */
            CHECK_MSG(at && at - want <= 1 && strlen(want) - strlen(got) <= 2, "span \"%s\" of words \"%s\"",
                      got, want);
        }
        dsvl_grounding_free(g);
    }
    CHECK_MSG(spans > 2000, "only %ld spans", spans);
}

static void test_bad_layers(void)
{
    page p;
    dsvl_error err = {0};
    lay_out(&p, "a b");
    p.offsets[1] = 5;
    CHECK(!ground_bytes(&p, 2, &err) && err.code == DSVL_E_INPUT);
    lay_out(&p, "a b");
    memset(&err, 0, sizeof err);
    CHECK(!ground_bytes(&p, 9, &err) && err.code == DSVL_E_INPUT);
    lay_out(&p, "a b");
    for (long n = 1; n < 40; n++) {
        dsvl_alloc_fail_at(n);
        dsvl_grounding *g = ground(&p);
        if (g) {
            memset(&err, 0, sizeof err);
            if (dsvl_grounding_accept(g, "a", 1, &err) == 0 && dsvl_grounding_accept(g, ",", 1, &err) == 0)
                n = 40;
        }
        dsvl_alloc_fail_at(0);
        dsvl_grounding_free(g);
    }
}

/* Labels of bars in pieces, which the text layer has in an order of its own: each keeps its own pieces. */
static void test_pieces_alike(void)
{
    static const struct {
        const char *text;
        float x, y;
    } words[] = {{"34", 40, 0},      {"12", 100, 10},   {"7", 160, 20},
                 {"South", 81, 107}, {"Bank", 37, 91},  {"Gate", 97, 91},
                 {"South", 21, 107}, {"Side", 157, 91}, {"South", 141, 107}};
    page p = {.count = 0};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const int32_t n = (int32_t)strlen(words[i].text);
        const float x = words[i].x, y = words[i].y;
        memcpy(p.text + p.offsets[i], words[i].text, (size_t)n);
        memcpy(p.boxes[i], (float[4]){x - 6, y - 6, x + 6, y + 6}, sizeof p.boxes[i]);
        p.offsets[i + 1] = p.offsets[i] + n;
        p.flags[i] = 1;
        p.count++;
    }
    const dsvl_passage figure = {0, p.count, DSVL_PASSAGE_FIGURE};
    const dsvl_grounding_words all = {
        p.text, (size_t)p.offsets[p.count], p.offsets, p.boxes[0], NULL, p.flags, p.count, &figure, 1};
    dsvl_error err = {0};
    dsvl_grounding *g = dsvl_grounding_new(&all, &err);
    CHECK(g != NULL);
    dsvl_grounding_expect(g, DSVL_AS_PAIRS);
    CHECK_MSG(strcmp(feed(g, "South Bank,34\nSouth Gate,12\nSouth Side,7"), "ok") == 0, "%s", "pieces alike");
    dsvl_grounding_free(g);
}

int main(void)
{
    test_pieces_alike();
    test_examples();
    test_sources();
    test_walks();
    test_bad_layers();
    return CHECK_DONE();
}
