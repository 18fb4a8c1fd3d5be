/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/evidence.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/chat.h"
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
                      *sizes = dsvl_record_tensor(record, "words.font_size"),
                      *logprobs = dsvl_record_tensor(record, "words.logprob");
    if (!text || !offsets || !boxes || !flags) {
        e->missing = true;
        return 0;
    }
    if (text->dtype != DSVL_U8 || offsets->dtype != DSVL_I32 || boxes->dtype != DSVL_F32 ||
        flags->dtype != DSVL_U8 || offsets->rank != 1 || boxes->rank != 2 || boxes->shape[1] != 4 ||
        flags->rank != 1 || offsets->shape[0] < 1 || boxes->shape[0] != offsets->shape[0] - 1 ||
        flags->shape[0] != boxes->shape[0] ||
        (logprobs &&
         (logprobs->dtype != DSVL_F32 || logprobs->rank != 1 || logprobs->shape[0] != boxes->shape[0])) ||
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
        !room(&e->logprobs, &e->logprob_capacity, e->count + n, sizeof *e->logprobs) ||
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
        e->logprobs[e->count + i] = logprobs ? ((const float *)logprobs->data)[i] : NAN;
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
    dsvl_dealloc(e->logprobs);
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

/* The tokens of an answer: where each ends in the text, and its log-probability. */
typedef struct token_odds {
    size_t *ends;          /* [count]; owned */
    const float *logprobs; /* [count] */
    size_t count;
} token_odds;

static int find_odds(token_odds *odds, const dsvl_model *model, const dsvl_generation *generation)
{
    size_t end = 0;
    *odds = (token_odds){0};
    if (!model || !generation) return 0;
    *odds =
        (token_odds){dsvl_alloc(generation->count, sizeof(size_t)), generation->logprobs, generation->count};
    for (size_t i = 0; odds->ends && i < odds->count; i++) {
        const char *bytes;
        size_t n;
        dsvl_chat_bytes(model, generation->ids[i], &bytes, &n);
        odds->ends[i] = end += n;
    }
    return odds->ends ? 0 : -1;
}

/* Over the tokens that reach into bytes [begin, end); *from is the first token to look at, and moves on. */
static double mean_logprob(const token_odds *odds, size_t begin, size_t end, size_t *from)
{
    double sum = 0;
    size_t n = 0;
    while (*from < odds->count && odds->ends[*from] <= begin) ++*from;
    for (size_t i = *from; i < odds->count && (i == 0 || odds->ends[i - 1] < end); i++, n++)
        sum += (double)odds->logprobs[i];
    return n ? sum / (double)n : 0;
}

/* How sure whoever read a span's words was of them; NAN where the document has them itself. */
static double read_logprob(const dsvl_evidence *e, const dsvl_span *s)
{
    double least = NAN;
    for (size_t k = 0; k < s->count; k++) {
        const double own = (double)e->logprobs[s->words[k]];
        if (!(own >= least)) least = own;
    }
    return least;
}

json_t *dsvl_evidence_cells(const dsvl_evidence *e, const dsvl_grounding *g, const char *answer,
                            size_t length, const dsvl_model *model, const dsvl_generation *generation,
                            const dsvl_task *task)
{
    const bool markdown = task && task->join == DSVL_JOIN_MARKDOWN,
               table = markdown || (task && task->join == DSVL_JOIN_CSV);
    dsvl_table_place place = {0};
    size_t token = 0;
    token_odds odds;
    json_t *cells = find_odds(&odds, model, generation) ? NULL : json_array();
    for (size_t i = 0; cells && i < dsvl_grounding_spans(g); i++) {
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
        const double read = read_logprob(e, &s), written = mean_logprob(&odds, s.begin, s.end, &token);
        double certainty = round((isnan(read) ? written : read) * 1e6) / 1e6;
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
            cells = NULL;
        }
    }
    dsvl_dealloc(odds.ends);
    return cells;
}

/* ---- places ---- */

/* The smallest box around the words of spans [first, end), in 0..999 of page_box. */
static void box_of_spans(const dsvl_evidence *e, const dsvl_grounding *g, size_t first, size_t end,
                         const double page_box[4], double box[4])
{
    box[0] = box[1] = 999, box[2] = box[3] = 0;
    for (size_t i = first; i < end; i++) {
        const dsvl_span s = dsvl_grounding_span(g, i);
        for (size_t k = 0; k < 4 * s.count; k++) {
            const size_t axis = k & 1, side = k & 3;
            const double extent = page_box[axis + 2] - page_box[axis];
            double at = ((double)e->boxes[4 * (size_t)s.words[k / 4] + side] - page_box[axis]) / extent * 999;
            at = fmin(fmax(at, 0), 999);
            box[side] = side < 2 ? fmin(box[side], at) : fmax(box[side], at);
        }
    }
}

/* Let the grounding read a line as often as there are words left for it. Returns the lines, owned, and their
 * boxes in *places, to be freed. */
static char *find_places(const dsvl_evidence *e, dsvl_grounding *g, const double page_box[4],
                         const char *line, size_t n, char **places, dsvl_error *err)
{
    void *lines = NULL, *list = NULL;
    size_t length = 0, room = 0, used = 0, list_room = 0;
    dsvl_grounding_reset(g);
    for (;;) {
        const size_t before = dsvl_grounding_spans(g);
        double b[4];
        if (!dsvl_grow(&lines, &room, length + n + 1, 1) || !dsvl_grow(&list, &list_room, used + 128, 1)) {
            dsvl_fail_memory(err, length + n);
            goto failed;
        }
        ((char *)list)[used] = ((char *)lines)[length] = '\0';
        if (!dsvl_grounding_allows(g, line, n)) break;
        if (dsvl_grounding_accept(g, line, n, err)) goto failed;
        if (dsvl_grounding_spans(g) == before) break; /* of commas alone */
        memcpy((char *)lines + length, line, n);
        length += n;
        box_of_spans(e, g, before, dsvl_grounding_spans(g), page_box, b);
        used += (size_t)snprintf((char *)list + used, 128, "%s[%.0f, %.0f, %.0f, %.0f]", used ? ", " : "",
                                 b[0], b[1], b[2], b[3]);
    }
    *places = list;
    return lines;
failed:
    dsvl_dealloc(lines);
    dsvl_dealloc(list);
    return NULL;
}

char *dsvl_evidence_locate(const dsvl_evidence *e, dsvl_grounding *g, const double page_box[4],
                           const char *text, size_t n, json_t **cells, dsvl_error *err)
{
    static const char form[] = "<|ref|>%.*s<|/ref|><|det|>[%s]<|/det|>";
    char *answer = NULL, *places = NULL, *lines = NULL, *line = dsvl_alloc(n + 1, 1);
    if (!line) {
        dsvl_fail_memory(err, n + 1);
        return NULL;
    }
    memcpy(line, text, n);
    line[n] = '\n'; /* the words must end where the text does */
    lines = find_places(e, g, page_box, line, n + 1, &places, err);
    if (!lines) goto out;
    const size_t room = sizeof form + n + strlen(places);
    *cells = dsvl_evidence_cells(e, g, lines, strlen(lines), NULL, NULL, NULL);
    answer = *cells ? dsvl_alloc_zero(room, 1) : NULL;
    if (answer && *places) snprintf(answer, room, form, (int)n, text, places);
    if (answer) goto out;
    dsvl_fail_memory(err, room);
    json_decref(*cells);
    *cells = NULL;
out:
    dsvl_dealloc(line);
    dsvl_dealloc(lines);
    dsvl_dealloc(places);
    return answer;
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
