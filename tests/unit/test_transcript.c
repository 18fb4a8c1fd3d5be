/* SPDX-License-Identifier: Apache-2.0 */
/* Transcripts of words by their places, and how answers follow them. */
#include "lib/alloc.h"
#include "lib/guide.h"
#include "tests/unit/check.h"

enum { MAX = 96 };

typedef struct page {
    char text[2048];
    float boxes[MAX][4];
    dsvl_scribe_word words[MAX];
    size_t count;
} page;

/* A drawing of a page: each character is half an em wide, each line an em high; a word ends at a space. '_'
 * is a space within a word's neighbourhood, drawn narrow; "\n" begins the next line, "~" moves down by half a
 * line. */
static void draw(page *p, const char *lines)
{
    memset(p, 0, sizeof *p);
    float x = 0, y = 0, pitch = 1.2f;
    char *room = p->text;
    for (const char *s = lines; *s;) {
        if (*s == '\n' || *s == ' ' || *s == '~') {
            if (*s == '~') y -= pitch / 2;
            if (*s == '\n') {
                x = 0;
                y += pitch;
                if (p->count) p->words[p->count - 1].ends_line = true;
            } else if (*s == ' ') {
                x += .3f;
            }
            s++;
            continue;
        }
        size_t n = strcspn(s, " \n~");
        memcpy(room, s, n);
        float *b = p->boxes[p->count];
        b[0] = x, b[1] = y, b[2] = x += .3f * (float)n, b[3] = y + 1;
        p->words[p->count++] = (dsvl_scribe_word){room, (int32_t)n, b, 1, false};
        room += n;
        s += n;
    }
}

static const struct {
    dsvl_passage_kind kind;
    const char *page, *text, *csv, *markdown, *pairs;
} cases[] = {
    {DSVL_PASSAGE_TEXT, "one two\nthree", "one two\nthree", "", "", NULL},
    {DSVL_PASSAGE_TABLE, "Name    Sum\n\nAlder   18\n\nOak     7,5", "Name Sum\nAlder 18\nOak 7,5",
     "Name,Sum\nAlder,18\nOak,\"7,5\"", "| Name | Sum |\n|---|---|\n| Alder | 18 |\n| Oak | 7,5 |", NULL},
    {DSVL_PASSAGE_TABLE, "Name    Sum    Of\n\nAlder          2\n\nOak     7\n\n        9      3",
     "Name Sum Of\nAlder 2\nOak 7\n9 3", "Name,Sum,Of\nAlder,,2\nOak,7,\n,9,3",
     "| Name | Sum | Of |\n|---|---|---|\n| Alder |  | 2 |\n| Oak | 7 |  |\n|  | 9 | 3 |", NULL},
    /* a cell of two lines */
    {DSVL_PASSAGE_TABLE,
     "Ref   Remarks        Sum\n\nA1    it was late    7\n      and dark\n\nB2    it was not     8",
     "Ref Remarks Sum\nA1 it was late 7\nand dark\nB2 it was not 8",
     "Ref,Remarks,Sum\nA1,it was late and dark,7\nB2,it was not,8",
     "| Ref | Remarks | Sum |\n|---|---|---|\n| A1 | it was late and dark | 7 |\n| B2 | it was not | 8 |",
     NULL},
    /* the same, the other cells at half height */
    {DSVL_PASSAGE_TABLE,
     "Ref   Remarks        Sum\n\n      it was late\n~A1                   7\n~      and dark\n\nB2    it "
     "was not     8",
     NULL, "Ref,Remarks,Sum\nA1,it was late and dark,7\nB2,it was not,8", NULL, NULL},
    /* a heading across columns */
    {DSVL_PASSAGE_TABLE, "      Budget and sum\n\nA     12      13\n\nB     14      15\n\nC     16      17",
     NULL, ",Budget and sum,\nA,12,13\nB,14,15\nC,16,17", NULL, NULL},
    /* numbers do not go on in the next line */
    {DSVL_PASSAGE_TABLE, "Article   Sum\nOak       12.50\nTotal     12.75\n          99.25", NULL,
     "Article,Sum\nOak,12.50\nTotal,12.75\n,99.25", NULL, NULL},
    /* lines all as far apart: a small letter goes on with the first column, a capital heads the rows below */
    {DSVL_PASSAGE_TABLE, "Kind            Sum\nCash and cash   7\nequivalents\nGoodwill        8", NULL,
     "Kind,Sum\nCash and cash equivalents,7\nGoodwill,8", NULL, NULL},
    {DSVL_PASSAGE_TABLE, "Kind            Sum\nCash and cash   7\nEquivalents\nGoodwill        8", NULL,
     "Kind,Sum\nCash and cash,7\nEquivalents,\nGoodwill,8", NULL, NULL},
    /* cells no further apart than words: numbers flush right before names flush left; and names alone */
    {DSVL_PASSAGE_TABLE, "Pos Team        Won\n\n  1 Adler       7\n\n 10 Bo West     8\n\n 11 Castor      9",
     NULL, "Pos,Team,Won\n1,Adler,7\n10,Bo West,8\n11,Castor,9", NULL, NULL},
    {DSVL_PASSAGE_TABLE, "Team          Won\n\nAde Lund      7\n\nBo West       8\n\nCas Ost       9", NULL,
     "Team,Won\nAde Lund,7\nBo West,8\nCas Ost,9", NULL, NULL},
    {DSVL_PASSAGE_FIGURE, "Rainfall in 2019\n\n      34\n                12\n\n\n Jan      Feb\n", NULL, NULL,
     NULL, ""},
    {DSVL_PASSAGE_FIGURE, "   34\n           12\n\n\n   Jan     Feb\n", "34\n12\nJan Feb", "", "",
     "Jan,34\nFeb,12"},
    {DSVL_PASSAGE_FIGURE, "North Sea       34\n\nBaltic    12\n\nAtlantic            70\n\n0     50     100",
     NULL, NULL, NULL, "North Sea,34\nBaltic,12\nAtlantic,70"},
    /* a whole page, of which nobody said what it is */
    {DSVL_PASSAGE_PAGE, "Name    Sum\n\nAlder   18\n\nOak     7,5", "Name Sum\nAlder 18\nOak 7,5",
     "Name,Sum\nAlder,18\nOak,\"7,5\"", NULL, NULL},
};

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        page p;
        dsvl_error err = {0};
        dsvl_transcript t[DSVL_FORMATS];
        draw(&p, cases[i].page);
        const dsvl_passage all = {0, p.count, cases[i].kind};
        const char *want[] = {cases[i].text, cases[i].csv, cases[i].markdown, cases[i].pairs};
        CHECK(dsvl_transcripts_write(t, p.words, p.count, &all, 1, &err) == 0);
        for (int f = 0; f < DSVL_FORMATS; f++) {
            bool same = !want[f] || (strlen(want[f]) == t[f].length &&
                                     (!t[f].length || memcmp(want[f], t[f].text, t[f].length) == 0));
            CHECK_MSG(same, "case %zu, format %d: \"%.*s\"", i, f, (int)t[f].length,
                      t[f].text ? t[f].text : "");
            for (size_t k = 0; k < p.count; k++) {
                int32_t begin = t[f].begins[k];
                CHECK((begin < 0) == (t[f].ends[k] < 0));
                CHECK(begin < 0 ||
                      memcmp(t[f].text + begin, p.words[k].text, (size_t)p.words[k].length) == 0);
            }
        }
        dsvl_transcripts_free(t);
    }
}

/* Words in boxes of any shape. */
static void place(page *p, const char *text, float x0, float y0, float x1, float y1)
{
    float *b = p->boxes[p->count];
    b[0] = x0, b[1] = y0, b[2] = x1, b[3] = y1;
    p->words[p->count++] = (dsvl_scribe_word){text, (int32_t)strlen(text), b, 1, false};
}

static void check_pairs(const page *p, const char *want)
{
    dsvl_error err = {0};
    dsvl_transcript t[DSVL_FORMATS];
    const dsvl_passage all = {0, p->count, DSVL_PASSAGE_FIGURE};
    CHECK(dsvl_transcripts_write(t, p->words, p->count, &all, 1, &err) == 0);
    const dsvl_transcript *pairs = &t[DSVL_AS_PAIRS];
    CHECK_MSG(pairs->length == strlen(want) && memcmp(pairs->text, want, pairs->length) == 0, "\"%.*s\"",
              (int)pairs->length, pairs->text ? pairs->text : "");
    dsvl_transcripts_free(t);
}

/* A typewriter's space is as wide as its letters, and wider than narrow gaps between columns elsewhere. */
static void test_typewriter(void)
{
    static const char *const rows[][4] = {{"Item", "Spent", "in", "1924"}, {"Coal", "75,00", "or", "12.5"}};
    const char *want = "Item,Spent in 1924\nCoal,\"75,00 or 12.5\"";
    page p = {.count = 0};
    dsvl_error err = {0};
    dsvl_transcript t[DSVL_FORMATS];
    for (int i = 0; i < 2; i++) {
        float x = 0;
        for (int k = 0; k < 4; k++) {
            const float width = .6f * (float)strlen(rows[i][k]);
            place(&p, rows[i][k], x, 2.f * (float)i, x + width, 2.f * (float)i + 1);
            x += width + (k == 0 ? 3 : .6f);
        }
    }
    const dsvl_passage all = {0, p.count, DSVL_PASSAGE_TABLE};
    CHECK(dsvl_transcripts_write(t, p.words, p.count, &all, 1, &err) == 0);
    const dsvl_transcript *csv = &t[DSVL_AS_CSV];
    CHECK_MSG(csv->length == strlen(want) && memcmp(csv->text, want, csv->length) == 0, "\"%.*s\"",
              (int)csv->length, csv->text ? csv->text : "");
    dsvl_transcripts_free(t);
}

/* Labels of bars that are turned: upright ones in the order of the text layer, and such as the text layer has
 * in pieces along a slope of 45 degrees. What stands level is not taken for turned. */
static void test_turned_labels(void)
{
    static const float bars[] = {4, 10, 16};
    static const char *const values[] = {"34", "12", "7"};
    page upright = {.count = 0}, aslant = {.count = 0}, level = {.count = 0};
    page *const pages[] = {&upright, &aslant, &level};
    for (int k = 0; k < 3; k++) {
        const float x = bars[k];
        for (int i = 0; i < 3; i++) place(pages[i], values[k], x - .6f, (float)k, x + .6f, (float)k + 1);
        for (int i = 0; i < 3; i++) place(pages[i], "0", -.3f, 7.5f, .3f, 8.5f);
        place(&upright, "North", x - .5f, 11, x + .5f, 14);
        place(&upright, "or", x - .5f, 9.8f, x + .5f, 10.7f);
        place(&upright, k ? "Sea" : "Bay", x - .5f, 8, x + .5f, 9.5f);
        place(&aslant, "rth", x - .9f, 8.5f, x + .3f, 9.7f);
        place(&aslant, k ? "No" : "Fo", x - 2.1f, 9.7f, x - .9f, 10.9f);
        place(&level, k ? "North" : "South", x - 1.5f, 8.6f, x + 1.5f, 9.6f);
    }
    place(&level, "Regions", 9, 9.9f, 13, 10.9f);
    check_pairs(&upright, "North or Bay,34\nNorth or Sea,12\nNorth or Sea,7");
    check_pairs(&aslant, "Forth,34\nNorth,12\nNorth,7");
    check_pairs(&level, "South,34\nNorth,12\nNorth,7");
}

/* Print struck twice counts once. */
static void test_doubles(void)
{
    page p;
    dsvl_error err = {0};
    dsvl_transcript t[DSVL_FORMATS];
    draw(&p, "Name    Sum\n\nAlder   18\n\nOak     18");
    for (size_t i = 0, n = p.count; i < n; i++)
        place(&p, "", p.boxes[i][0] + .02f, p.boxes[i][1] - .2f, p.boxes[i][2] + .02f, p.boxes[i][3] + .2f),
            p.words[n + i].text = p.words[i].text, p.words[n + i].length = p.words[i].length;
    const dsvl_passage all = {0, p.count, DSVL_PASSAGE_TABLE};
    CHECK(dsvl_transcripts_write(t, p.words, p.count, &all, 1, &err) == 0);
    static const char want[] = "Name,Sum\nAlder,18\nOak,18";
    CHECK(t[DSVL_AS_CSV].length == strlen(want) && memcmp(t[DSVL_AS_CSV].text, want, strlen(want)) == 0);
    dsvl_transcripts_free(t);
}

static void follow(dsvl_guide *g, const char *bytes)
{
    while (*bytes) dsvl_guide_follow(g, *bytes++);
}

/* What is suggested after what was said. */
static void test_guide(void)
{
    page p;
    dsvl_guide g;
    dsvl_error err = {0};
    draw(&p, "Name    Sum\n\nAlder   18\n\nOak     7,5");
    const dsvl_passage all = {0, p.count, DSVL_PASSAGE_TABLE};
    CHECK(dsvl_guide_open(&g, p.words, p.count, &all, 1, &err) == 0);
    CHECK(dsvl_guide_support(&g, "Name", 4) > 0 && dsvl_guide_support(&g, "| N", 3) > 0);
    CHECK(!(dsvl_guide_support(&g, "Sum", 3) > 0) && !(dsvl_guide_support(&g, NULL, 0) > 0));
    follow(&g, "Name");
    CHECK(dsvl_guide_support(&g, ",", 1) > 0 && dsvl_guide_support(&g, " ", 1) > 0);
    CHECK(!(dsvl_guide_support(&g, "\n", 1) > 0));
    follow(&g, ",Sum\n");
    float early = dsvl_guide_support(&g, "A", 1);
    CHECK(early > dsvl_guide_support(&g, "Alderx", 6));
    follow(&g, "Oak"); /* a row was left out */
    CHECK(!(dsvl_guide_support(&g, ",", 1) > 0));
    dsvl_guide_return(&g, 4);
    CHECK(dsvl_guide_support(&g, ",\"7", 3) > 0 && dsvl_guide_support(&g, ",", 1) < early);
    CHECK(!(dsvl_guide_support(&g, " |", 2) > 0)); /* it is CSV by now */
    follow(&g, ",\"7,5\"");
    CHECK(dsvl_guide_support(&g, NULL, 0) > 0);
    dsvl_guide_expect(&g, DSVL_AS_MARKDOWN);
    CHECK(dsvl_guide_support(&g, "| N", 3) > early && !(dsvl_guide_support(&g, "N", 1) > 0));
    follow(&g, "| Name");
    CHECK(dsvl_guide_support(&g, " | S", 4) > 0 && !(dsvl_guide_support(&g, ",", 1) > 0));
    dsvl_guide_close(&g);
}

static void test_memory(void)
{
    page p;
    dsvl_guide g;
    draw(&p, cases[3].page);
    const dsvl_passage all = {0, p.count, DSVL_PASSAGE_TABLE};
    for (long n = 1; n < 60; n++) {
        dsvl_error err = {0};
        dsvl_alloc_fail_at(n);
        int status = dsvl_guide_open(&g, p.words, p.count, &all, 1, &err);
        dsvl_alloc_fail_at(0);
        CHECK(status == 0 || err.code == DSVL_E_MEMORY);
        if (status == 0) {
            dsvl_guide_close(&g);
            break;
        }
    }
}

int main(void)
{
    test_cases();
    test_typewriter();
    test_turned_labels();
    test_doubles();
    test_guide();
    test_memory();
    return CHECK_DONE();
}
