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

/* Give the words of a line to the nearest bars, extending labels: low and high are the labels' edges. */
static void label_bars(const bars *b, const dsvl_slot *slots, size_t begin, size_t end, double *low,
                       double *high)
{
    for (size_t i = begin; i < end; i++) {
        size_t k = nearest(b, middle_x(&slots[i]));
        low[k] = fmin(low[k], (double)slots[i].box[0]);
        high[k] = fmax(high[k], (double)slots[i].box[2]);
    }
}

/* How many bars have a label right below on line [begin, end); 0 where some word of it is nobody's. */
static size_t match_line(const bars *b, const dsvl_slot *slots, size_t begin, size_t end, bool *matched)
{
    double low[MAX_BARS], high[MAX_BARS], pitch = INFINITY;
    size_t n = 0;
    for (size_t k = 0; k < b->count; k++) {
        low[k] = INFINITY, high[k] = -INFINITY;
        if (k) pitch = fmin(pitch, b->x[k] - b->x[k - 1]);
    }
    label_bars(b, slots, begin, end, low, high);
    for (size_t k = 0; k < b->count; k++) {
        double off = fabs((low[k] + high[k]) / 2 - b->x[k]), em = (double)slots[begin].em;
        matched[k] = low[k] <= high[k] && off < fmax(.6 * em, fmin(em, .25 * pitch));
        n += matched[k];
    }
    return n;
}

static size_t upright(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    bars b, best_bars = {0};
    bool matched[MAX_BARS], best_matched[MAX_BARS] = {false};
    size_t best = 1, best_begin = 0;
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && slots[end].line == slots[i].line;) end++;
        find_values(&b, slots, count, words, slots[i].line);
        size_t n = b.count > 1 ? match_line(&b, slots, i, end, matched) : 0;
        if (n <= best) continue;
        best = n, best_begin = i, best_bars = b;
        memcpy(best_matched, matched, sizeof matched);
    }
    if (best < 2) return 0;
    for (size_t i = 0; i < count; i++) slots[i].row = -1;
    double y = 0, em = (double)slots[best_begin].em;
    for (size_t i = best_begin, end; i < count; i = end) { /* labels, and their further lines */
        for (end = i; end < count && slots[end].line == slots[i].line;) end++;
        double middle = ((double)slots[i].box[1] + (double)slots[i].box[3]) / 2;
        if (i != best_begin && middle - y > BELOW * em) break;
        y = middle;
        for (size_t k = i; k < end; k++) {
            size_t bar = nearest(&best_bars, middle_x(&slots[k]));
            if (best_matched[bar]) slots[k].row = (int32_t)bar, slots[k].column = 0;
        }
    }
    for (size_t k = 0; k < best_bars.count; k++)
        if (best_matched[k]) slots[best_bars.value[k]].row = (int32_t)k, slots[best_bars.value[k]].column = 1;
    return best;
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
    int32_t row[DSVL_CHART_WORDS], column[DSVL_CHART_WORDS];
    size_t bars_lying = lying(slots, count, words);
    if (bars_lying) bars_lying = keep_aligned(slots, count);
    for (size_t i = 0; i < count; i++) row[i] = slots[i].row, column[i] = slots[i].column;
    size_t standing = upright(slots, count, words);
    if (standing < 2 && bars_lying < 2) return 0;
    for (size_t i = 0; i < count && bars_lying >= standing; i++)
        slots[i].row = row[i], slots[i].column = column[i];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (slots[i].row >= 0) slots[kept++] = slots[i];
    qsort(slots, kept, sizeof *slots, by_bar);
    return kept;
}
