/* SPDX-License-Identifier: Apache-2.0 */
/* Which words of a bar chart are the values at its bars, and which label belongs to each. Upright bars have
 * their values right above the labels; lying bars have them on the labels' lines. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/transcript.h"

enum { MAX_BARS = 64 };

/* In em. */
static const double NEAR = 0.35;  /* edges in line with each other */
static const double BELOW = 1.35; /* a label's next line is no further below */

typedef struct bars {
    size_t count;
    size_t value[MAX_BARS]; /* slots */
    double x[MAX_BARS];     /* their middles */
} bars;

static double middle_x(const dsvl_slot *s)
{
    return ((double)s->box[0] + (double)s->box[2]) / 2;
}

static double middle_y(const dsvl_slot *s)
{
    return ((double)s->box[1] + (double)s->box[3]) / 2;
}

bool dsvl_word_numeric(const dsvl_scribe_word *word)
{
    bool digit = false;
    for (int32_t i = 0; i < word->length; i++) {
        unsigned char c = (unsigned char)word->text[i];
        digit = digit || isdigit(c);
        if (isalpha(c)) return false;
    }
    return digit;
}

/* Whether a slot stands alone: nothing next to it on its line, as in a title or a label of several words. */
static bool alone(const dsvl_slot *slots, size_t count, size_t i)
{
    const dsvl_slot *s = &slots[i];
    double room = 0.45 * (double)s->em;
    bool left = i > 0 && s[-1].line == s->line && (double)s->box[0] - (double)s[-1].box[2] < room;
    bool right = i + 1 < count && s[1].line == s->line && (double)s[1].box[0] - (double)s->box[2] < room;
    return !left && !right;
}

/* Numbers in one column at the left or right edge: the ticks of an axis. */
static bool tick(const dsvl_slot *slots, size_t count, const dsvl_scribe_word *words, size_t i)
{
    const dsvl_slot *s = &slots[i];
    int same = 0, beyond[2] = {0};
    for (size_t k = 0; k < count; k++) {
        if (!dsvl_word_numeric(&words[slots[k].word])) continue;
        same += fabs((double)slots[k].box[2] - (double)s->box[2]) < NEAR * (double)s->em;
        beyond[0] += slots[k].box[2] < s->box[0];
        beyond[1] += slots[k].box[0] > s->box[2];
    }
    return same >= 3 && (beyond[0] == 0 || beyond[1] == 0);
}

static size_t nearest(const bars *b, double x)
{
    size_t best = 0;
    for (size_t k = 1; k < b->count; k++)
        if (fabs(b->x[k] - x) < fabs(b->x[best] - x)) best = k;
    return best;
}

static int by_bar(const void *a, const void *b)
{
    const dsvl_slot *p = a, *q = b;
    if (p->row != q->row) return p->row < q->row ? -1 : 1;
    if (p->column != q->column) return p->column < q->column ? -1 : 1;
    if (p->line != q->line) return p->line < q->line ? -1 : 1;
    return p->box[0] < q->box[0] ? -1 : p->box[0] > q->box[0];
}

/* ---- upright bars ---- */

/* Values above line `line`, from left to right. */
static void find_values(bars *b, const dsvl_slot *slots, size_t count, const dsvl_scribe_word *words,
                        int32_t line)
{
    b->count = 0;
    for (size_t i = 0; i < count && slots[i].line < line; i++) {
        if (!dsvl_word_numeric(&words[slots[i].word]) || !alone(slots, count, i) ||
            tick(slots, count, words, i))
            continue;
        if (b->count == MAX_BARS) return;
        size_t at = b->count++;
        for (; at > 0 && b->x[at - 1] > middle_x(&slots[i]); at--) {
            b->x[at] = b->x[at - 1];
            b->value[at] = b->value[at - 1];
        }
        b->x[at] = middle_x(&slots[i]);
        b->value[at] = i;
    }
}

/* The least distance of two bars. */
static double pitch_of(const bars *b)
{
    double pitch = INFINITY;
    for (size_t k = 1; k < b->count; k++) pitch = fmin(pitch, b->x[k] - b->x[k - 1]);
    return pitch;
}

/* Which slots are labels of which bars. */
typedef struct labelling {
    size_t bars, words;            /* bars that have labels; words of these */
    double slope;                  /* see slopes */
    int32_t row[DSVL_CHART_WORDS]; /* of each slot its bar; -1: none */
} labelling;

/* Give the words of line [begin, end) to the nearest bars where that centres them; a line that goes on with
 * labels is set in their size. Returns how many bars got some. */
static size_t label_line(const bars *b, const dsvl_slot *slots, size_t begin, size_t end, double em,
                         labelling *to)
{
    double low[MAX_BARS], high[MAX_BARS], pitch = pitch_of(b), own = (double)slots[begin].em;
    size_t n = 0;
    for (size_t k = 0; k < b->count; k++) low[k] = INFINITY, high[k] = -INFINITY;
    for (size_t i = begin; i < end; i++) {
        size_t k = nearest(b, middle_x(&slots[i]));
        low[k] = fmin(low[k], (double)slots[i].box[0]);
        high[k] = fmax(high[k], (double)slots[i].box[2]);
    }
    if (fabs(own - em) > 0.08 * em) return 0; /* the title of the axis */
    for (size_t k = 0; k < b->count; k++) {
        double off = fabs((low[k] + high[k]) / 2 - b->x[k]);
        bool matched = low[k] <= high[k] && off < fmax(.6 * em, fmin(em, .25 * pitch));
        n += matched;
        for (size_t i = begin; i < end && matched; i++) {
            if (nearest(b, middle_x(&slots[i])) != k) continue;
            to->row[i] = (int32_t)k;
            to->words++;
        }
    }
    return n;
}

/* Labels in level lines, the first of them [begin, end). */
static void label_level(labelling *to, const bars *b, const dsvl_slot *slots, size_t count, size_t begin,
                        size_t end)
{
    double em = (double)slots[begin].em, y = middle_y(&slots[begin]);
    for (size_t i = 0; i < count; i++) to->row[i] = -1;
    to->words = 0;
    to->slope = NAN;
    to->bars = label_line(b, slots, begin, end, em, to);
    for (size_t i = end; i < count && to->bars; i = end) {
        while (end < count && slots[end].line == slots[i].line) end++;
        if (middle_y(&slots[i]) - y > BELOW * em || !label_line(b, slots, i, end, em, to)) return;
        y = middle_y(&slots[i]);
    }
}

/* Of labels that are turned: how far their letters move to the left for each step down, which is the
 * cotangent of the angle. Text layers break words aslant into pieces of a letter or two, whose middles stay
 * on the label's own line. */
static double slope_at(int degrees)
{
    return degrees == 90 ? 0 : 1 / tan(degrees * 3.14159265358979 / 180);
}

static int by_size(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

/* Whether a word may be turned: pieces aslant are not wide; words upright are narrow, or in line with one
 * that is. */
static bool is_turned(const dsvl_slot *slots, size_t count, size_t i, bool aslant, float em)
{
    const float *a = slots[i].box;
    if (aslant) return a[2] - a[0] < 2 * em;
    for (size_t k = 0; k < count; k++) {
        const float *b = slots[k].box, near = 0.15f * slots[i].em;
        if (b[3] - b[1] > 1.2f * (b[2] - b[0]) && fabsf(a[0] - b[0]) < near && fabsf(a[2] - b[2]) < near)
            return true;
    }
    return false;
}

/* Labels turned as the slope says, in slots from begin on. */
static void label_turned(labelling *to, const bars *b, const dsvl_slot *slots, size_t count, size_t begin,
                         double slope)
{
    const double em = (double)slots[b->value[0]].em, top = middle_y(&slots[begin]);
    double keys[DSVL_CHART_WORDS], off[DSVL_CHART_WORDS];
    size_t n = 0, of[MAX_BARS] = {0};
    for (size_t i = 0; i < count; i++) {
        keys[i] = INFINITY;
        if (i < begin || !is_turned(slots, count, i, slope != 0, (float)em)) continue;
        keys[i] = middle_x(&slots[i]) + slope * (middle_y(&slots[i]) - top);
        off[n++] = keys[i] - b->x[nearest(b, keys[i])];
    }
    /* Their ends stand below the bars, not their middles: all are off by as much. */
    if (n) qsort(off, n, sizeof *off, by_size);
    const double shift = n ? off[n / 2] : 0,
                 reach = fmin(0.25 * pitch_of(b), 0.6 * em * sqrt(1 + slope * slope));
    to->slope = slope;
    to->bars = to->words = 0;
    for (size_t i = 0; i < count; i++) {
        to->row[i] = -1;
        if (fabs(shift) > em * (0.6 + fabs(slope)) || !isfinite(keys[i])) continue;
        const size_t k = nearest(b, keys[i] - shift);
        if (fabs(keys[i] - shift - b->x[k]) >= reach) continue;
        to->row[i] = (int32_t)k;
        to->words++;
        to->bars += of[k]++ == 0;
    }
}

/* Bars and their labels that most agree, level ones in one way and turned ones by each slope. */
static void best_labels(labelling *best, bars *best_bars, const dsvl_slot *slots, size_t count,
                        const dsvl_scribe_word *words, const double *slope)
{
    bars b;
    labelling now;
    *best = (labelling){.slope = NAN};
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && slots[end].line == slots[i].line;) end++;
        find_values(&b, slots, count, words, slots[i].line);
        if (b.count < 2) continue;
        if (slope)
            label_turned(&now, &b, slots, count, i, *slope);
        else
            label_level(&now, &b, slots, count, i, end);
        if (now.bars > best->bars) *best = now, *best_bars = b;
    }
}

static size_t upright(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    bars best_bars, turned_bars;
    labelling best, turned;
    best_labels(&best, &best_bars, slots, count, words, NULL);
    /* Words upright are easily told, those aslant by their number: level lines agree with some angles too. */
    const size_t level = best.bars, most = best.words;
    for (int turn = 0; turn < 27 && !(best.slope == 0); turn++) { /* 90, then 95, 85 and so on */
        const double slope = slope_at(90 + (turn % 2 ? 5 : -5) * ((turn + 1) / 2));
        best_labels(&turned, &turned_bars, slots, count, words, &slope);
        if (turned.bars < 2 || turned.bars < level || turned.words < (slope == 0 ? most : most * 5 / 4 + 1))
            continue;
        if (!isnan(best.slope) && (turned.bars < best.bars || turned.words <= best.words)) continue;
        best = turned, best_bars = turned_bars;
    }
    if (best.bars < 2) return 0;
    bool labelled[MAX_BARS] = {false};
    for (size_t i = 0; i < count; i++) {
        slots[i].row = best.row[i];
        slots[i].column = 0;
        if (slots[i].row < 0) continue;
        labelled[slots[i].row] = true;
        /* Words upright come as the text layer has them, pieces of words aslant from left to right. */
        if (!isnan(best.slope)) slots[i].line = best.slope == 0 ? slots[i].word : 0;
    }
    for (size_t k = 0; k < best_bars.count; k++)
        if (labelled[k]) slots[best_bars.value[k]].row = (int32_t)k, slots[best_bars.value[k]].column = 1;
    return best.bars;
}

/* ---- lying bars ---- */

/* Lines that hold a label and, last, a value. */
static size_t lying(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    size_t n = 0;
    int32_t row = 0;
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && slots[end].line == slots[i].line;) end++;
        for (size_t k = i; k < end; k++) slots[k].row = -1;
        bool labelled =
            end - i >= 2 && dsvl_word_numeric(&words[slots[end - 1].word]) && alone(slots, count, end - 1);
        size_t numbers = 0;
        for (size_t k = i; k < end; k++) numbers += dsvl_word_numeric(&words[slots[k].word]);
        if (!labelled || numbers > 2) continue; /* ticks, or the years of a title */
        for (size_t k = i; k < end; k++) {
            slots[k].row = row;
            slots[k].column = k + 1 == end;
        }
        row++;
        n++;
    }
    return n;
}

/* Of the pairs on lines those whose labels begin or end in line with another's. */
static size_t keep_aligned(dsvl_slot *slots, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (slots[i].row < 0 || slots[i].column == 1 || (i && slots[i - 1].row == slots[i].row)) continue;
        size_t last = i;
        while (slots[last + 1].column == 0 && slots[last + 1].row == slots[i].row) last++;
        int same = 0;
        for (size_t k = 0; k + 1 < count; k++) {
            bool begins = slots[k].row >= 0 && slots[k].column == 0;
            bool ends = begins && slots[k + 1].column == 1;
            begins = begins && (k == 0 || slots[k - 1].row != slots[k].row);
            double near = NEAR * (double)slots[i].em;
            same += (begins && fabs((double)slots[k].box[0] - (double)slots[i].box[0]) < near) ||
                    (ends && fabs((double)slots[k].box[2] - (double)slots[last].box[2]) < near);
        }
        int32_t row = slots[i].row;
        if (same >= 2) {
            kept++;
            continue;
        }
        for (size_t k = i; k < count && slots[k].row == row; k++) slots[k].row = -1;
    }
    return kept;
}

size_t dsvl_slots_chart(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    int32_t row[DSVL_CHART_WORDS], column[DSVL_CHART_WORDS], line[DSVL_CHART_WORDS];
    size_t bars_lying = lying(slots, count, words);
    if (bars_lying) bars_lying = keep_aligned(slots, count);
    for (size_t i = 0; i < count; i++)
        row[i] = slots[i].row, column[i] = slots[i].column, line[i] = slots[i].line;
    size_t standing = upright(slots, count, words);
    if (standing < 2 && bars_lying < 2) return 0;
    for (size_t i = 0; i < count && bars_lying >= standing; i++)
        slots[i].row = row[i], slots[i].column = column[i], slots[i].line = line[i];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (slots[i].row >= 0) slots[kept++] = slots[i];
    qsort(slots, kept, sizeof *slots, by_bar);
    return kept;
}
