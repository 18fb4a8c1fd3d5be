/* SPDX-License-Identifier: Apache-2.0 */
/* Where words stand: lines, the columns and rows of a table, the bars of a chart. All measures in em. */
#include <math.h>
#include <stdlib.h>

#include "lib/transcript.h"

static const double LINE = 0.4;     /* middles of words of one line are no further apart */
static const double TOUCH = 0.09;   /* pieces of one word: kerning makes text layers split them */
static const double GAP = 0.45;     /* a wider gap on a line is more than a space between words */
static const double EVEN_GAP = 1.5; /* the same in letters, where all are equally wide and spaces too */
static const double BESIDE = 0.05;  /* white that letters have beside them, where boxes are those of ink */
static const double ALIKE = 0.04;   /* of their mean: letters of one width differ by less */
static const double MEET = 0.12;    /* edges in line with each other */
static const double VARY = 0.3;     /* edges that are not */
static const double OVERLAP = .85;  /* lines nearer than this stand beside each other, in one row */
static const double WRAP = 1.75;    /* lines of one cell are no further apart */
static const double EVEN = 1.25;    /* distances that differ by no more are equal */

enum { MAX_COLUMNS = 64 };

static double middle_y(const dsvl_slot *s)
{
    return ((double)s->box[1] + (double)s->box[3]) / 2;
}

static int order(double a, double b)
{
    return a < b ? -1 : a > b;
}

/* Sorting is by word last, so that equal places keep one order everywhere. */
static int by_middle(const void *a, const void *b)
{
    const dsvl_slot *p = a, *q = b;
    int by = order(middle_y(p), middle_y(q));
    return by ? by : order(p->word, q->word);
}

static int by_line(const void *a, const void *b)
{
    const dsvl_slot *p = a, *q = b;
    int by = order(p->line, q->line);
    if (!by) by = order((double)p->box[0], (double)q->box[0]);
    return by ? by : order(p->word, q->word);
}

static int by_cell(const void *a, const void *b)
{
    const dsvl_slot *p = a, *q = b;
    int by = order(p->row, q->row);
    if (!by) by = order(p->column, q->column);
    return by ? by : by_line(a, b);
}

bool dsvl_slots_touch(const dsvl_slot *a, const dsvl_slot *b)
{
    double right = (double)b->box[0] - (double)a->box[2],
           below = fmax((double)b->box[1] - (double)a->box[3], (double)a->box[1] - (double)b->box[3]);
    return fmax(right, below) < TOUCH * (double)a->em;
}

static int by_value(const void *a, const void *b)
{
    return order(*(const double *)a, *(const double *)b);
}

/* How wide all letters are where they are equally wide, as a typewriter's; else 0. Longer words tell; numbers
 * alone do not, for figures are often alike. */
static double even_width(const dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    enum { MOST = 256, LONG = 4 };
    double widths[MOST];
    size_t n = 0, even = 0, named = 0;
    for (size_t i = 0; i < count && n < MOST; i++) {
        const dsvl_scribe_word *word = &words[slots[i].word];
        const double width = (double)slots[i].box[2] - (double)slots[i].box[0];
        int letters = 0;
        for (int32_t k = 0; k < word->length; k++) letters += ((unsigned char)word->text[k] & 0xc0) != 0x80;
        if (letters < LONG) continue;
        named += !dsvl_word_numeric(word);
        widths[n++] = (width + BESIDE * (double)slots[i].em) / letters;
    }
    if (n < 5 || named < 2) return 0;
    qsort(widths, n, sizeof *widths, by_value);
    const double middle = widths[n / 2];
    for (size_t i = 0; i < n; i++) even += fabs(widths[i] - middle) < ALIKE * middle;
    return even * 10 >= n * 9 ? middle : 0;
}

void dsvl_slots_space(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    const double even = even_width(slots, count, words);
    for (size_t i = 0; i < count; i++)
        slots[i].space = (float)fmax(GAP * (double)slots[i].em, EVEN_GAP * even);
}

void dsvl_slots_line(dsvl_slot *slots, size_t count)
{
    qsort(slots, count, sizeof *slots, by_middle);
    double middle = 0, em = 0;
    size_t on_line = 0;
    int32_t line = -1;
    for (size_t i = 0; i < count; i++) {
        double y = middle_y(&slots[i]), size = fmax(em, (double)slots[i].em);
        if (on_line == 0 || y - middle > LINE * size) {
            line++;
            on_line = 0;
            middle = em = 0;
        }
        middle = (middle * (double)on_line + y) / (double)(on_line + 1);
        em = fmax(em, (double)slots[i].em);
        on_line++;
        slots[i].line = line;
    }
    qsort(slots, count, sizeof *slots, by_line);
}

/* The slot after the run of words, spaces apart, that begins with slot i. */
static size_t run_end(const dsvl_slot *slots, size_t count, size_t i)
{
    double gap;
    do {
        i++;
        if (i == count || slots[i].line != slots[i - 1].line || slots[i].parted) return i;
        gap = (double)slots[i].box[0] - (double)slots[i - 1].box[2];
    } while (gap < (double)slots[i].space);
    return i;
}

static size_t line_end(const dsvl_slot *slots, size_t count, size_t i)
{
    int32_t line = slots[i].line;
    while (i < count && slots[i].line == line) i++;
    return i;
}

static size_t count_runs(const dsvl_slot *slots, size_t begin, size_t end)
{
    size_t n = 0;
    for (size_t i = begin; i < end; i = run_end(slots, end, i)) n++;
    return n;
}

/* ---- seams ---- */

/* Where two words stand side by side with no more than a space between them. */
typedef struct joint {
    size_t slot; /* the word on the right */
    double x;    /* where that on the left ends */
} joint;

static int by_x(const void *a, const void *b)
{
    const joint *p = a, *q = b;
    int by = order(p->x, q->x);
    return by ? by : order((double)p->slot, (double)q->slot);
}

/* Whether words on the left end together but begin apart, words on the right begin together but end apart, on
 * half of the lines, and hardly any word reaches across. */
static bool is_seam(const joint *joints, size_t n, const dsvl_slot *slots, size_t count)
{
    const dsvl_slot *first = &slots[joints[0].slot];
    const double em = (double)first->em, at = (joints[0].x + (double)first->box[0]) / 2;
    double begins[2] = {INFINITY, -INFINITY}, ends[2] = {INFINITY, -INFINITY};
    size_t lines = count ? (size_t)slots[count - 1].line + 1 : 0, crossing = 0;
    for (size_t i = 0; i < n; i++) {
        const dsvl_slot *r = &slots[joints[i].slot], *l = r - 1;
        if (fabs((double)r->box[0] - (double)first->box[0]) > MEET * em) return false;
        begins[0] = fmin(begins[0], (double)l->box[0]), begins[1] = fmax(begins[1], (double)l->box[0]);
        ends[0] = fmin(ends[0], (double)r->box[2]), ends[1] = fmax(ends[1], (double)r->box[2]);
    }
    for (size_t i = 0; i < count; i++)
        crossing += (double)slots[i].box[0] < at - MEET * em && (double)slots[i].box[2] > at + MEET * em;
    return n >= 3 && n * 2 >= lines && crossing * 8 <= lines && begins[1] - begins[0] > VARY * em &&
           ends[1] - ends[0] > VARY * em;
}

/* Cells may be set so tight that only this tells them from words of one cell: a column of numbers, flush
 * right, right before a column flush left. */
static void part_at_seams(dsvl_slot *slots, size_t count)
{
    enum { MOST = 2048 };
    joint joints[MOST];
    size_t n = 0;
    for (size_t i = 1; i < count && n < MOST; i++) {
        const double gap = (double)slots[i].box[0] - (double)slots[i - 1].box[2], em = (double)slots[i].em;
        if (slots[i].line == slots[i - 1].line && gap > -TOUCH * em && gap < (double)slots[i].space)
            joints[n++] = (joint){i, (double)slots[i - 1].box[2]};
    }
    if (n > 1) qsort(joints, n, sizeof *joints, by_x);
    for (size_t i = 0, end; i < n; i = end) {
        const double near = MEET * (double)slots[joints[i].slot].em;
        for (end = i + 1; end < n && joints[end].x - joints[i].x < near;) end++;
        const bool seam = is_seam(joints + i, end - i, slots, count);
        for (size_t k = i; k < end; k++) slots[joints[k].slot].parted |= seam;
    }
}

/* ---- columns ---- */

typedef struct columns {
    int count;
    double x0[MAX_COLUMNS], x1[MAX_COLUMNS];
} columns;

/* Add an interval; columns that it touches become one. */
static void cover(columns *c, double x0, double x1)
{
    int kept = 0;
    for (int i = 0; i < c->count; i++) {
        if (c->x0[i] < x1 && c->x1[i] > x0) {
            x0 = fmin(x0, c->x0[i]);
            x1 = fmax(x1, c->x1[i]);
        } else {
            c->x0[kept] = c->x0[i];
            c->x1[kept++] = c->x1[i];
        }
    }
    c->count = kept;
    if (kept == MAX_COLUMNS) return;
    int at = kept;
    for (; at > 0 && c->x0[at - 1] > x0; at--) {
        c->x0[at] = c->x0[at - 1];
        c->x1[at] = c->x1[at - 1];
    }
    c->x0[at] = x0;
    c->x1[at] = x1;
    c->count++;
}

static int covers(const columns *c, double x0, double x1)
{
    int n = 0;
    for (int i = 0; i < c->count; i++) n += c->x0[i] < x1 && c->x1[i] > x0;
    return n;
}

/* How many runs most lines with several have: lines with fewer may hold headings across columns. */
static size_t usual_runs(const dsvl_slot *slots, size_t count)
{
    size_t lines[MAX_COLUMNS + 1] = {0}, best = 0;
    for (size_t i = 0, end; i < count; i = end) {
        end = line_end(slots, count, i);
        size_t n = count_runs(slots, i, end);
        if (n <= MAX_COLUMNS) lines[n] += n > 1;
    }
    for (size_t n = 2; n <= MAX_COLUMNS; n++)
        if (lines[n] >= lines[best] && lines[n] > 0) best = n;
    return best;
}

/* Columns are what the runs of the full lines cover, then those of the others that do not bridge them. */
static void find_columns(columns *c, const dsvl_slot *slots, size_t count)
{
    size_t usual = usual_runs(slots, count);
    c->count = 0;
    for (int full = 1; full >= 0; full--) {
        for (size_t i = 0, end; i < count; i = end) {
            end = line_end(slots, count, i);
            bool is_full = count_runs(slots, i, end) >= usual;
            for (size_t run = i, next; is_full == full && run < end; run = next) {
                next = run_end(slots, end, run);
                double x0 = (double)slots[run].box[0], x1 = (double)slots[next - 1].box[2];
                if (full || covers(c, x0, x1) <= 1) cover(c, x0, x1);
            }
        }
    }
}

/* The column that a run shares most with; of a heading across columns the first. */
static int column_of(const columns *c, double x0, double x1)
{
    int best = 0;
    double most = -INFINITY;
    bool across = covers(c, x0, x1) > 1;
    for (int i = 0; i < c->count; i++) {
        double shared = fmin(x1, c->x1[i]) - fmax(x0, c->x0[i]);
        if (across && shared > 0) return i;
        if (shared > most) {
            most = shared;
            best = i;
        }
    }
    return best;
}

static void set_columns(const columns *c, dsvl_slot *slots, size_t count)
{
    for (size_t i = 0, next; i < count; i = next) {
        next = run_end(slots, count, i);
        int column = column_of(c, (double)slots[i].box[0], (double)slots[next - 1].box[2]);
        for (size_t k = i; k < next; k++) slots[k].column = column;
    }
}

/* ---- rows ---- */

typedef struct table {
    const columns *columns;
    const dsvl_scribe_word *words;
    dsvl_slot *slots;
    size_t count;
    double least, usual; /* distances of lines, in em: the least, and their median */
    bool loose;          /* some lines are clearly further apart than others */
} table;

static double distance(const dsvl_slot *above, const dsvl_slot *below)
{
    return (middle_y(below) - middle_y(above)) / (double)above->em;
}

static void measure_lines(table *t)
{
    enum { MOST = 512 };
    double steps[MOST];
    size_t n = 0;
    for (size_t i = 0; i < t->count && n < MOST; i = line_end(t->slots, t->count, i)) {
        double step = i ? distance(&t->slots[i - 1], &t->slots[i]) : 0;
        if (step >= OVERLAP) steps[n++] = step;
    }
    if (n > 1) qsort(steps, n, sizeof *steps, by_value);
    t->least = n ? steps[0] : INFINITY;
    t->usual = n ? steps[n / 2] : INFINITY;
    t->loose = n && steps[n - 1] > EVEN * t->least;
}

/* The columns in which slots [begin, end) have something, as bits. */
static uint64_t columns_in(const table *t, size_t begin, size_t end)
{
    uint64_t bits = 0;
    for (size_t i = begin; i < end; i++) bits |= (uint64_t)1 << t->slots[i].column;
    return bits;
}

/* Whether the text of a column in line [a, b) has no room for the first word of line [b, c) in that column,
 * so that the latter may go on with the former. */
static bool wraps(const table *t, size_t a, size_t b, size_t c, int column)
{
    const dsvl_slot *last = NULL, *next = NULL;
    for (size_t i = a; i < b; i++)
        if (t->slots[i].column == column) last = &t->slots[i];
    for (size_t i = c; i-- > b;)
        if (t->slots[i].column == column) next = &t->slots[i];
    if (!last || !next) return false;
    if (dsvl_word_numeric(&t->words[last->word]) && dsvl_word_numeric(&t->words[next->word])) return false;
    double width = (double)next->box[2] - (double)next->box[0];
    return (double)last->box[2] + (0.2 * (double)last->em) + width >
           t->columns->x1[column] - 0.1 * (double)last->em;
}

/* A small letter first: headings of rows have none. */
static bool is_lower(const dsvl_scribe_word *word)
{
    return word->length > 0 && word->text[0] >= 'a' && word->text[0] <= 'z';
}

/* Whether line [b, c) belongs to the row whose last line is [a, b) and which has something in the columns
 * `row`. */
static bool goes_on(const table *t, size_t a, size_t b, size_t c, uint64_t row)
{
    double step = distance(&t->slots[b - 1], &t->slots[b]);
    if (step < OVERLAP) return true;
    if (step > WRAP || step > EVEN * t->least) return false;
    uint64_t line = columns_in(t, b, c), above = columns_in(t, a, b), shared = line & above;
    for (int k = 0; k < t->columns->count; k++)
        if ((shared >> k & 1) && !wraps(t, a, b, c, k)) return false;
    if (shared == 0) return false;
    if ((line & ~row) == 0 && line != row)
        return (line & ~above) == 0 && (!(line & 1) || t->loose || is_lower(&t->words[t->slots[b].word]));
    if (line == row) return t->loose && step < 0.8 * t->usual;
    return t->loose && (row & ~line) == 0 && !(row & 1);
}

bool dsvl_slots_tabular(const dsvl_slot *slots, size_t count)
{
    size_t lines = 0, gapped = 0;
    for (size_t i = 0, end; i < count; i = end, lines++) {
        end = line_end(slots, count, i);
        gapped += count_runs(slots, i, end) > 1;
    }
    return gapped >= 2 && 5 * gapped >= 3 * lines;
}

int dsvl_slots_table(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    columns c;
    part_at_seams(slots, count);
    find_columns(&c, slots, count);
    if (c.count < 2) return 0;
    set_columns(&c, slots, count);
    table t = {.columns = &c, .words = words, .slots = slots, .count = count};
    measure_lines(&t);
    int32_t row = 0;
    uint64_t bits = 0;
    for (size_t a = 0, b = 0, end; b < count; a = b, b = end) {
        end = line_end(slots, count, b);
        if (b > 0 && !goes_on(&t, a, b, end, bits)) {
            row++;
            bits = 0;
        }
        bits |= columns_in(&t, b, end);
        for (size_t i = b; i < end; i++) slots[i].row = row;
    }
    qsort(slots, count, sizeof *slots, by_cell);
    return c.count;
}
