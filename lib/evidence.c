/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/evidence.h"

#include <math.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/joined.h"

static bool room(void *block_pointer, size_t *capacity, size_t need, size_t size)
{
    void *block;
    memcpy(&block, block_pointer, sizeof block);
    bool grown = dsvl_grow(&block, capacity, need, size);
    memcpy(block_pointer, &block, sizeof block);
    return grown;
}

/* What dsvl-regions says of a part of a page. */
static dsvl_passage_kind kind_of(const dsvl_record *record)
{
    static const char *const names[] = {"", "text", "table", "figure"};
    const char *kind = dsvl_record_get(record, "region_kind");
    for (int k = DSVL_PASSAGE_TEXT; kind && k <= DSVL_PASSAGE_FIGURE; k++)
        if (strcmp(kind, names[k]) == 0) return (dsvl_passage_kind)k;
    return DSVL_PASSAGE_PAGE;
}

static int inconsistent(const dsvl_record *record, dsvl_error *err)
{
    char place[256];
    return dsvl_fail(err, DSVL_E_INPUT, "%s: the words.* tensors do not agree with each other",
                     dsvl_record_place(record, place));
}

int dsvl_evidence_add(dsvl_evidence *e, const dsvl_record *record, size_t image, dsvl_error *err)
{
    const dsvl_tensor *text = dsvl_record_tensor(record, "words.text"),
                      *offsets = dsvl_record_tensor(record, "words.offsets"),
                      *boxes = dsvl_record_tensor(record, "words.boxes"),
                      *flags = dsvl_record_tensor(record, "words.flags"),
                      *sizes = dsvl_record_tensor(record, "words.font_size");
    if (!text || !offsets || !boxes || !flags) {
        e->missing = true;
        return 0;
    }
    if (text->dtype != DSVL_U8 || offsets->dtype != DSVL_I32 || boxes->dtype != DSVL_F32 ||
        flags->dtype != DSVL_U8 || offsets->rank != 1 || boxes->rank != 2 || boxes->shape[1] != 4 ||
        flags->rank != 1 || offsets->shape[0] < 1 || boxes->shape[0] != offsets->shape[0] - 1 ||
        flags->shape[0] != boxes->shape[0] ||
        (sizes && (sizes->dtype != DSVL_F32 || sizes->rank != 1 || sizes->shape[0] != boxes->shape[0])))
        return inconsistent(record, err);
    size_t n = (size_t)boxes->shape[0];
    if (e->count + n > INT32_MAX / 4 || e->bytes + text->nbytes > INT32_MAX)
        return dsvl_fail(err, DSVL_E_LIMIT, "the text layers are too long for grounding");
    if (!room(&e->text, &e->text_capacity, e->bytes + text->nbytes, 1) ||
        !room(&e->offsets, &e->offset_capacity, e->count + n + 1, sizeof *e->offsets) ||
        !room(&e->boxes, &e->box_capacity, 4 * (e->count + n), sizeof *e->boxes) ||
        !room(&e->flags, &e->flag_capacity, e->count + n, 1) ||
        !room(&e->image, &e->image_capacity, e->count + n, sizeof *e->image) ||
        !room(&e->sizes, &e->size_capacity, e->count + n, sizeof *e->sizes) ||
        !room(&e->passages, &e->passage_capacity, e->passage_count + 1, sizeof *e->passages))
        return dsvl_fail_memory(err, e->bytes + text->nbytes);
    const int32_t *from = offsets->data;
    if (from[0] != 0 || (size_t)from[n] != text->nbytes) return inconsistent(record, err);
    for (size_t i = 0; i <= n; i++) e->offsets[e->count + i] = (int32_t)e->bytes + from[i];
    if (text->nbytes) memcpy(e->text + e->bytes, text->data, text->nbytes);
    if (n) {
        memcpy(e->boxes + 4 * e->count, boxes->data, boxes->nbytes);
        memcpy(e->flags + e->count, flags->data, n);
        e->flags[e->count + n - 1] |= 2;
    }
    for (size_t i = 0; i < n; i++) {
        e->image[e->count + i] = (int32_t)image;
        e->sizes[e->count + i] = sizes ? ((const float *)sizes->data)[i] : 0;
    }
    e->passages[e->passage_count++] = (dsvl_passage){e->count, n, kind_of(record)};
    e->count += n;
    e->bytes += text->nbytes;
    return 0;
}

void dsvl_evidence_reset(dsvl_evidence *e)
{
    e->count = e->bytes = e->passage_count = 0;
    e->missing = false;
}

void dsvl_evidence_clear(dsvl_evidence *e)
{
    dsvl_dealloc(e->text);
    dsvl_dealloc(e->offsets);
    dsvl_dealloc(e->boxes);
    dsvl_dealloc(e->flags);
    dsvl_dealloc(e->image);
    dsvl_dealloc(e->sizes);
    dsvl_dealloc(e->passages);
    memset(e, 0, sizeof *e);
}

dsvl_grounding *dsvl_evidence_ground(const dsvl_evidence *e, dsvl_error *err)
{
    static const int32_t none[1];
    float *apart = dsvl_alloc(4 * e->count, sizeof *apart); /* pages far below one another */
    if (!apart) {
        dsvl_fail_memory(err, 4 * e->count * sizeof *apart);
        return NULL;
    }
    for (size_t i = 0; i < 4 * e->count; i++) {
        const size_t word = i / 4;
        apart[i] = e->boxes[i] + (i & 1 ? 1e5f * (float)e->image[word] : 0);
    }
    const dsvl_grounding_words words = {.text = e->text,
                                        .bytes = e->bytes,
                                        .offsets = e->count ? e->offsets : none,
                                        .boxes = apart,
                                        .sizes = e->sizes,
                                        .flags = e->flags,
                                        .count = e->count,
                                        .passages = e->passages,
                                        .passage_count = e->passage_count};
    dsvl_grounding *g = dsvl_grounding_new(&words, err);
    dsvl_dealloc(apart);
    return g;
}

/* A tenth of a thousandth of a point says all there is. */
static json_t *point(float x)
{
    return json_real(round((double)x * 1e4) / 1e4);
}

/* Over the tokens that reach into bytes [begin, end); *from is the first token to look at, and moves on. */
static double mean_logprob(const dsvl_token_odds *odds, size_t begin, size_t end, size_t *from)
{
    double sum = 0;
    size_t n = 0;
    while (*from < odds->count && odds->ends[*from] <= begin) ++*from;
    for (size_t i = *from; i < odds->count && (i == 0 || odds->ends[i - 1] < end); i++, n++)
        sum += (double)odds->logprobs[i];
    return n ? sum / (double)n : 0;
}

json_t *dsvl_evidence_cells(const dsvl_evidence *e, const dsvl_grounding *g, const char *answer,
                            size_t length, const dsvl_token_odds *odds, const dsvl_task *task)
{
    const bool markdown = task && task->join == DSVL_JOIN_MARKDOWN,
               table = markdown || (task && task->join == DSVL_JOIN_CSV);
    dsvl_table_place place = {0};
    size_t token = 0;
    json_t *cells = json_array();
    for (size_t i = 0; i < dsvl_grounding_spans(g); i++) {
        dsvl_span s = dsvl_grounding_span(g, i);
        if (s.end > length || s.begin > s.end || s.count == 0) continue;
        json_t *words = json_array(), *boxes = json_array();
        for (size_t k = 0; k < s.count; k++) {
            int32_t w = s.words[k];
            const float *b = e->boxes + 4 * w;
            char *word = dsvl_utf8(e->text + e->offsets[w], (size_t)(e->offsets[w + 1] - e->offsets[w]));
            json_array_append_new(words, word ? json_string_nocheck(word) : NULL);
            dsvl_dealloc(word);
            json_array_append_new(boxes,
                                  json_pack("[o,o,o,o]", point(b[0]), point(b[1]), point(b[2]), point(b[3])));
        }
        char *text = dsvl_utf8(answer + s.begin, s.end - s.begin);
        double certainty = round(mean_logprob(odds, s.begin, s.end, &token) * 1e6) / 1e6;
        json_t *cell =
            json_pack("{s:o, s:i, s:o, s:o, s:f}", "text", text ? json_string_nocheck(text) : NULL, "image",
                      (int)e->image[s.words[0]], "words", words, "boxes", boxes, "mean_logprob", certainty);
        dsvl_dealloc(text);
        if (table) {
            dsvl_table_place_seek(&place, answer, s.begin, markdown);
            json_object_set_new(cell, "row", json_integer((json_int_t)place.row));
            json_object_set_new(cell, "column", json_integer((json_int_t)place.column));
        }
        if (json_array_append_new(cells, cell)) {
            json_decref(cells);
            return NULL;
        }
    }
    return cells;
}

bool dsvl_evidence_holds(const dsvl_evidence *e, size_t image, const char *text, size_t n)
{
    char *words = dsvl_alloc(e->bytes + e->count, 1);
    size_t end = 0;
    if (!words) return false;
    for (size_t i = 0; i < e->count; i++) {
        if (e->image[i] != (int32_t)image) continue;
        const size_t length = (size_t)(e->offsets[i + 1] - e->offsets[i]);
        memcpy(words + end, e->text + e->offsets[i], length);
        end += length;
        if (e->flags[i] & 3) words[end++] = ' '; /* a space follows, or another line */
    }
    const bool holds = n > 0 && memmem(words, end, text, n) != NULL;
    dsvl_dealloc(words);
    return holds;
}
