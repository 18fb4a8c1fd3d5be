/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about the parts of a page, joined: texts, tables cut into parts, different tables, boxes, blank
 * parts; the cells of grounded answers; sums. */
#include <math.h>

#include "lib/joined.h"
#include "tests/unit/check.h"

typedef struct given {
    const char *text;
    int part, parts, overlap;
} given;

static dsvl_part_answer answer(dsvl_source *source, dsvl_generation *generation, const given *g)
{
    *source =
        (dsvl_source){.part = g->part ? g->part : 1, .parts = g->parts ? g->parts : 1, .overlap = g->overlap};
    source->to_page[0] = source->to_page[3] = 1;
    return (dsvl_part_answer){
        .source = source, .generation = generation, .text = g->text, .prompt_tokens = 10};
}

static void check_joined(dsvl_join how, const char *want, const given *parts, size_t count)
{
    dsvl_joined j = {.how = how};
    dsvl_source source;
    dsvl_generation generation = {.count = 3, .mean_logprob = -1};
    for (size_t i = 0; i < count; i++) {
        dsvl_part_answer a = answer(&source, &generation, &parts[i]);
        CHECK(dsvl_joined_add(&j, &a, NULL) == 0);
    }
    CHECK(dsvl_joined_finish(&j, NULL) == 0);
    CHECK_STR(j.text, want);
    CHECK(j.sum.count == 3 * count && j.prompt_tokens == 10 * count && fabs(j.sum.mean_logprob + 1) < 1e-12);
    CHECK(json_array_size(j.regions) == count && j.sum.finish == DSVL_FINISH_STOP);
    dsvl_joined_clear(&j);
    CHECK(j.text == NULL && j.how == how);
}

/* Of a part that was not cut. */
#define WHOLE(text)                                                                                          \
    {                                                                                                        \
        text, 1, 1, 0                                                                                        \
    }
#define JOINED(how, want, ...)                                                                               \
    do {                                                                                                     \
        const given parts_[] = {__VA_ARGS__};                                                                \
        check_joined(how, want, parts_, sizeof parts_ / sizeof *parts_);                                     \
    } while (0)

static void test_texts(void)
{
    JOINED(DSVL_JOIN_LINES, "one\ntwo", WHOLE("one"), WHOLE("two"));
    JOINED(DSVL_JOIN_LINES, "one\ntwo", WHOLE(""), WHOLE("one"), WHOLE(""), WHOLE("two"), WHOLE(""));
    JOINED(DSVL_JOIN_LINES, "", WHOLE(""));
}

static void test_tables(void)
{
    JOINED(DSVL_JOIN_CSV, "a,b\n1,2\n\nc\n3", WHOLE("a,b\n1,2"), WHOLE(""), WHOLE("c\n3\n"));
    /* Parts of one table share a row. */
    JOINED(DSVL_JOIN_CSV, "a,b\n1,2\n3,4\n5,6", {"a,b\n1,2\n3,4", 1, 2, 0}, {"3,4\n5,6", 2, 2, 1});
    /* It may be read a little otherwise the second time. */
    JOINED(DSVL_JOIN_CSV, "a,b\nOslo,2871\nBergen,4", {"a,b\nOslo,2871", 1, 2, 0},
           {"Os1o,2871\nBergen,4", 2, 2, 1});
    /* Rows that only look alike stay: one is shared, not two. */
    JOINED(DSVL_JOIN_CSV, "a,b\n0,0\n0,0\n0,0", {"a,b\n0,0\n0,0", 1, 2, 0}, {"0,0\n0,0", 2, 2, 1});
    JOINED(DSVL_JOIN_CSV, "a,b\n0,0\n0,0", {"a,b\n0,0", 1, 2, 0}, {"0,0", 2, 2, 0});
    /* What does not repeat is kept. */
    JOINED(DSVL_JOIN_CSV, "a,b\n1,2\n3,4", {"a,b\n1,2", 1, 2, 0}, {"3,4", 2, 2, 1});
    /* A header that is printed, or read, again. */
    JOINED(DSVL_JOIN_CSV, "Name,Sum\nx,2\ny,4", {"Name,Sum\nx,2", 1, 2, 0}, {"Name,Sum\nx,2\ny,4", 2, 2, 1});
    /* Newlines in quotes are within a cell; a quote that stays open is a letter. */
    JOINED(DSVL_JOIN_CSV, "a,b\n\"x\ny\",2\n5,6", {"a,b\n\"x\ny\",2", 1, 2, 0}, {"\"x\ny\",2\n5,6", 2, 2, 1});
    JOINED(DSVL_JOIN_CSV, "a,b\n\"x,2\n5,6", {"a,b\n\"x,2", 1, 2, 0}, {"\"x,2\n5,6", 2, 2, 1});
    /* A part that is missing leaves a table of its own behind it. */
    JOINED(DSVL_JOIN_CSV, "a\n1\n\n3\n4", {"a\n1", 1, 3, 0}, {"3\n4", 3, 3, 1});
    JOINED(DSVL_JOIN_CSV, "a\n1\n2\n\nb\n7\n8", {"a\n1", 1, 2, 0}, {"1\n2", 2, 2, 1}, {"b\n7", 1, 2, 0},
           {"7\n8", 2, 2, 1});
    JOINED(DSVL_JOIN_MARKDOWN, "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |",
           {"| a | b |\n|---|---|\n| 1 | 2 |", 1, 2, 0}, {"| 1 | 2 |\n|---|---|\n| 3 | 4 |", 2, 2, 1});
    JOINED(DSVL_JOIN_MARKDOWN, "| a |\n|---|\n| 1 |\n\n| b |\n|---|\n| 2 |", WHOLE("| a |\n|---|\n| 1 |"),
           WHOLE("| b |\n|---|\n| 2 |"));
}

static json_t *cell(const char *text, int row, int column)
{
    return json_pack("{s:s, s:i, s:i, s:i}", "text", text, "image", 0, "row", row, "column", column);
}

static void test_cells(void)
{
    dsvl_joined j = {.how = DSVL_JOIN_CSV};
    dsvl_source source;
    dsvl_generation generation = {.count = 1};
    const given parts[] = {{"x\n\n1", 1, 1, 0}, {"a,b\n1,2", 1, 2, 0}, {"1,2\n3,4", 2, 2, 1}};
    json_t *cells[] = {
        json_pack("[o]", cell("x", 0, 0)),
        json_pack("[o,o,o,o]", cell("a", 0, 0), cell("b", 0, 1), cell("1", 1, 0), cell("2", 1, 1)),
        json_pack("[o,o,o,o]", cell("1", 0, 0), cell("2", 0, 1), cell("3", 1, 0), cell("4", 1, 1))};
    for (int i = 0; i < 3; i++) {
        dsvl_part_answer a = answer(&source, &generation, &parts[i]);
        a.cells = cells[i];
        CHECK(dsvl_joined_add(&j, &a, NULL) == 0);
        json_decref(cells[i]);
    }
    CHECK_STR(j.text, "x\n\n1\n\na,b\n1,2\n3,4");
    char *got = json_dumps(j.cells, JSON_COMPACT);
    CHECK_STR(got, "[{\"text\":\"x\",\"image\":0,\"row\":0,\"column\":0},{\"text\":\"a\",\"image\":1,\"row\":"
                   "4,\"column\":0},"
                   "{\"text\":\"b\",\"image\":1,\"row\":4,\"column\":1},{\"text\":\"1\",\"image\":1,\"row\":"
                   "5,\"column\":0},"
                   "{\"text\":\"2\",\"image\":1,\"row\":5,\"column\":1},{\"text\":\"3\",\"image\":2,\"row\":"
                   "6,\"column\":0},"
                   "{\"text\":\"4\",\"image\":2,\"row\":6,\"column\":1}]");
    free(got);
    dsvl_joined_clear(&j);
}

static void test_places(void)
{
    static const char csv[] = "a,\"b,\"\"\nc\",d\n,e", markdown[] = "| a | b\\|c |\n|---|---|\n| d | e |";
    const struct {
        const char *text;
        const char *at;
        size_t row, column;
    } wants[] = {{csv, "a", 0, 0},      {csv, "c\"", 0, 1},     {csv, "d", 0, 2},      {csv, "e", 1, 1},
                 {markdown, "a", 0, 0}, {markdown, "c ", 0, 1}, {markdown, "d", 2, 0}, {markdown, "e", 2, 1}};
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        dsvl_table_place place = {0};
        dsvl_table_place_seek(&place, wants[i].text,
                              (size_t)(strstr(wants[i].text, wants[i].at) - wants[i].text),
                              wants[i].text == markdown);
        CHECK_MSG(place.row == wants[i].row && place.column == wants[i].column, "%s: %zu %zu", wants[i].at,
                  place.row, place.column);
    }
}

static void test_boxes(void)
{
    dsvl_joined j = {.how = DSVL_JOIN_BOXES};
    dsvl_source source;
    dsvl_generation generation = {.count = 1, .mean_logprob = -2};
    given g = {"<|ref|>x<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>", 0, 0, 0};
    dsvl_part_answer a = answer(&source, &generation, &g);
    const double half[6] = {.5, 0, 0, .25, 499.5, 0};
    memcpy(source.to_page, half, sizeof half);
    CHECK(dsvl_joined_add(&j, &a, NULL) == 0);
    generation.mean_logprob = -1; /* surer, elsewhere */
    g.text = "<|ref|>x<|/ref|><|det|>[[10, 20, 30, 40], [1,2,3]]<|/det|>";
    a = answer(&source, &generation, &g);
    CHECK(dsvl_joined_add(&j, &a, NULL) == 0);
    a.on_page = true; /* pieces of a table that share a row name the same place */
    CHECK(dsvl_joined_add(&j, &a, NULL) == 0 && j.box_count == 2);
    g.text = "nothing here";
    a = answer(&source, &generation, &g);
    CHECK(dsvl_joined_add(&j, &a, NULL) == 0);
    CHECK(dsvl_joined_finish(&j, NULL) == 0);
    CHECK_STR(j.text, "<|ref|>x<|/ref|><|det|>[[10, 20, 30, 40]]<|/det|>");
    /* The words of the first part hold it. */
    j.length = 0;
    j.boxes[0].certain = true;
    CHECK(dsvl_joined_finish(&j, NULL) == 0);
    CHECK_STR(j.text, "<|ref|>x<|/ref|><|det|>[[500, 0, 999, 250]]<|/det|>");
    dsvl_joined_clear(&j);
    JOINED(DSVL_JOIN_BOXES, "", WHOLE("no box"), WHOLE(""));
}

int main(void)
{
    test_texts();
    test_tables();
    test_cells();
    test_places();
    test_boxes();
    return CHECK_DONE();
}
