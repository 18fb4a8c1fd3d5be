/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/transcript.h"

#include <math.h>
#include <string.h>

#include "lib/alloc.h"

typedef struct writer {
    dsvl_transcript *to;
    size_t capacity;
    bool failed; /* out of memory */
} writer;

static void put(writer *w, const char *text, size_t length)
{
    void *block = w->to->text;
    if (w->failed || !dsvl_grow(&block, &w->capacity, w->to->length + length, 1)) {
        w->failed = true;
        return;
    }
    w->to->text = block;
    if (length) memcpy(w->to->text + w->to->length, text, length);
    w->to->length += length;
}

static void put_times(writer *w, const char *text, int32_t times)
{
    while (times-- > 0) put(w, text, strlen(text));
}

/* A word; within quotes of CSV its own are doubled. */
static void put_word(writer *w, const dsvl_scribe_word *words, int32_t index, bool quoted)
{
    const dsvl_scribe_word *word = &words[index];
    w->to->sequence[w->to->written++] = index;
    w->to->begins[index] = (int32_t)w->to->length;
    for (int32_t i = 0; i < word->length; i++) {
        if (quoted && word->text[i] == '"') put(w, "\"", 1);
        put(w, word->text + i, 1);
    }
    w->to->ends[index] = (int32_t)w->to->length;
}

/* Between words a and b of one cell or line. */
static void put_space(writer *w, const dsvl_slot *a, const dsvl_slot *b)
{
    if (a->line != b->line || !dsvl_slots_touch(a, b)) put(w, " ", 1);
}

/* ---- lines ---- */

static void write_lines(writer *w, const dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && slots[i].line != slots[i - 1].line)
            put(w, "\n", 1);
        else if (i > 0)
            put_space(w, &slots[i - 1], &slots[i]);
        put_word(w, words, slots[i].word, false);
    }
}

/* A whole page: the order and the lines of its text layer. */
static void page_lines(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    int32_t line = 0;
    for (size_t i = 0; i < count; i++) {
        slots[i].line = line;
        line += words[slots[i].word].ends_line;
    }
}

/* ---- cells ---- */

static bool same_cell(const dsvl_slot *a, const dsvl_slot *b)
{
    return a->row == b->row && a->column == b->column;
}

static bool needs_quotes(const dsvl_slot *slots, size_t count, size_t from, const dsvl_scribe_word *words)
{
    for (size_t i = from; i < count && same_cell(&slots[i], &slots[from]); i++) {
        const dsvl_scribe_word *word = &words[slots[i].word];
        if (memchr(word->text, ',', (size_t)word->length) || memchr(word->text, '"', (size_t)word->length))
            return true;
    }
    return false;
}

static void write_csv(writer *w, const dsvl_slot *slots, size_t count, int columns,
                      const dsvl_scribe_word *words)
{
    bool quoted = false;
    for (size_t i = 0; i < count; i++) {
        const dsvl_slot *s = &slots[i], *before = i ? s - 1 : NULL;
        if (before && same_cell(before, s)) {
            put_space(w, before, s);
        } else {
            if (quoted) put(w, "\"", 1);
            if (before && before->row == s->row) {
                put_times(w, ",", s->column - before->column);
            } else {
                if (before) put_times(w, ",", columns - 1 - before->column);
                if (before) put(w, "\n", 1);
                put_times(w, ",", s->column);
            }
            quoted = needs_quotes(slots, count, i, words);
            if (quoted) put(w, "\"", 1);
        }
        put_word(w, words, s->word, quoted);
    }
    if (quoted) put(w, "\"", 1);
    if (count) put_times(w, ",", columns - 1 - slots[count - 1].column);
}

static void write_markdown(writer *w, const dsvl_slot *slots, size_t count, int columns,
                           const dsvl_scribe_word *words)
{
    const int32_t first = count ? slots[0].row : 0;
    for (size_t i = 0; i < count; i++) {
        const dsvl_slot *s = &slots[i], *before = i ? s - 1 : NULL;
        if (before && same_cell(before, s)) {
            put_space(w, before, s);
        } else if (before && before->row == s->row) {
            put_times(w, " | ", s->column - before->column);
        } else {
            if (before) put_times(w, " | ", columns - 1 - before->column);
            if (before) put(w, " |\n", 3);
            if (before && before->row == first) {
                put(w, "|", 1);
                put_times(w, "---|", columns);
                put(w, "\n", 1);
            }
            put(w, "| ", 2);
            put_times(w, " | ", s->column);
        }
        put_word(w, words, s->word, false);
    }
    if (count) put_times(w, " | ", columns - 1 - slots[count - 1].column);
    if (count) put(w, " |", 2);
}

/* ---- charts ---- */

/* The pairs of a chart; the slots stay as they are. */
static void write_chart(writer *w, const dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    dsvl_slot kept[DSVL_CHART_WORDS];
    if (count > DSVL_CHART_WORDS) return;
    memcpy(kept, slots, count * sizeof *kept);
    size_t n = dsvl_slots_chart(kept, count, words);
    if (n && w->to->length) put(w, "\n", 1);
    write_csv(w, kept, n, 2, words);
}

/* ---- passages ---- */

/* Print that is struck twice, for weight or an outline, counts once. slots: in lines, from left to right. */
static size_t drop_doubles(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const dsvl_scribe_word *w = &words[slots[i].word], *b = kept ? &words[slots[kept - 1].word] : NULL;
        const float slack = 0.1f * slots[i].em;
        if (b && slots[kept - 1].line == slots[i].line && b->length == w->length &&
            memcmp(b->text, w->text, (size_t)w->length) == 0 && fabsf(b->box[0] - w->box[0]) < slack &&
            fabsf(b->box[2] - w->box[2]) < slack)
            continue;
        slots[kept++] = slots[i];
    }
    return kept;
}

static void write_passage(writer *writers, const dsvl_passage *p, dsvl_slot *slots,
                          const dsvl_scribe_word *words)
{
    size_t count = 0;
    for (size_t i = p->first; i < p->first + p->count; i++) {
        if (words[i].length == 0) continue;
        dsvl_slot *s = &slots[count++];
        *s = (dsvl_slot){.word = (int32_t)i, .em = words[i].em};
        memcpy(s->box, words[i].box, sizeof s->box);
    }
    if (count == 0) return;
    if (writers[DSVL_AS_TEXT].to->length) put(&writers[DSVL_AS_TEXT], "\n", 1);
    if (p->kind == DSVL_PASSAGE_PAGE) {
        page_lines(slots, count, words);
        write_lines(&writers[DSVL_AS_TEXT], slots, count, words);
    }
    dsvl_slots_space(slots, count, words);
    dsvl_slots_line(slots, count);
    count = drop_doubles(slots, count, words);
    if (p->kind != DSVL_PASSAGE_PAGE) write_lines(&writers[DSVL_AS_TEXT], slots, count, words);
    write_chart(&writers[DSVL_AS_PAIRS], slots, count, words);
    if (p->kind != DSVL_PASSAGE_TABLE && !dsvl_slots_tabular(slots, count)) return;
    int columns = dsvl_slots_table(slots, count, words);
    for (int f = DSVL_AS_CSV; columns > 0 && f <= DSVL_AS_MARKDOWN; f++) {
        if (writers[f].to->length) put(&writers[f], "\n", 1);
        (f == DSVL_AS_CSV ? write_csv : write_markdown)(&writers[f], slots, count, columns, words);
    }
}

int dsvl_transcripts_write(dsvl_transcript *transcripts, const dsvl_scribe_word *words, size_t count,
                           const dsvl_passage *passages, size_t passage_count, dsvl_error *err)
{
    writer writers[DSVL_FORMATS];
    dsvl_slot *slots = dsvl_alloc(count, sizeof *slots);
    bool failed = !slots;
    memset(transcripts, 0, DSVL_FORMATS * sizeof *transcripts);
    for (int f = 0; f < DSVL_FORMATS; f++) {
        writers[f] = (writer){.to = &transcripts[f]};
        transcripts[f].begins = dsvl_alloc(count, sizeof(int32_t));
        transcripts[f].ends = dsvl_alloc(count, sizeof(int32_t));
        transcripts[f].sequence = dsvl_alloc(count, sizeof(int32_t));
        failed = failed || !transcripts[f].begins || !transcripts[f].ends || !transcripts[f].sequence;
        for (size_t i = 0; !failed && i < count; i++) transcripts[f].begins[i] = transcripts[f].ends[i] = -1;
    }
    for (size_t i = 0; !failed && i < passage_count; i++) write_passage(writers, &passages[i], slots, words);
    for (int f = 0; f < DSVL_FORMATS; f++) failed = failed || writers[f].failed;
    dsvl_dealloc(slots);
    if (!failed) return 0;
    dsvl_transcripts_free(transcripts);
    return dsvl_fail_memory(err, count * sizeof *slots);
}

void dsvl_transcripts_free(dsvl_transcript *transcripts)
{
    for (int f = 0; f < DSVL_FORMATS; f++) {
        dsvl_dealloc(transcripts[f].text);
        dsvl_dealloc(transcripts[f].begins);
        dsvl_dealloc(transcripts[f].ends);
        dsvl_dealloc(transcripts[f].sequence);
        transcripts[f] = (dsvl_transcript){0};
    }
}
