/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/answer.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/chat.h"
#include "lib/tokenizer_internal.h"

/* Ten digits show what is measured, not what binary fractions make of it. */
#define LINE_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(10))

char *dsvl_answer_text(const dsvl_model *model, const int32_t *ids, size_t count, dsvl_error *err)
{
    size_t length = 0, capacity = 0, fixed_length;
    void *text = NULL;
    char *fixed = NULL;
    for (size_t i = 0; i <= count; i++) { /* the last round adds the NUL */
        const char *bytes = "";
        size_t n = 1;
        if (i < count) dsvl_chat_bytes(model, ids[i], &bytes, &n);
        if (!dsvl_grow(&text, &capacity, length + n, 1)) {
            dsvl_fail_memory(err, length + n);
            goto failed;
        }
        memcpy((char *)text + length, bytes, n);
        length += n;
    }
    if (tok_utf8_repair(text, length - 1, &fixed, &fixed_length, err)) goto failed;
    if (!fixed) return text;
    char *terminated = dsvl_strndup(fixed, fixed_length);
    dsvl_dealloc(fixed);
    if (!terminated) dsvl_fail_memory(err, fixed_length);
    dsvl_dealloc(text);
    return terminated;
failed:
    dsvl_dealloc(text);
    return NULL;
}

static int read_numbers(const char *text, double *out, int count)
{
    for (int i = 0; i < count; i++) {
        char *end;
        out[i] = text ? strtod(text, &end) : NAN;
        if (!text || end == text || !isfinite(out[i])) return -1;
        text = end;
    }
    return 0;
}

/* What the page's picture shows. */
static void read_page_box(dsvl_source *s, const dsvl_record *record)
{
    const char *text = dsvl_record_get(record, DSVL_KEY_PAGE_CROP);
    double box[4];
    if (read_numbers(text ? text : dsvl_record_get(record, DSVL_KEY_CROP), box, 4) == 0 && box[2] > box[0] &&
        box[3] > box[1])
        memcpy(s->page_box, box, sizeof box);
}

/* From 0..999 of a region's picture to 0..999 of the page's; left as it is where the record does not say. */
static void read_place(dsvl_source *s, const dsvl_record *record)
{
    const char *size[] = {dsvl_record_get(record, DSVL_KEY_IMAGE_WIDTH),
                          dsvl_record_get(record, DSVL_KEY_IMAGE_HEIGHT)};
    const double *page = s->page_box;
    double m[6], picture[2];
    s->to_page[0] = s->to_page[3] = 1;
    if (read_numbers(dsvl_record_get(record, DSVL_KEY_TO_POINTS), m, 6) ||
        read_numbers(size[0], &picture[0], 1) || read_numbers(size[1], &picture[1], 1) || page[2] == 0)
        return;
    for (int axis = 0; axis < 2; axis++) {
        const double extent = page[axis + 2] - page[axis];
        s->to_page[axis] = m[axis] * picture[0] / extent;
        s->to_page[axis + 2] = m[axis + 2] * picture[1] / extent;
        s->to_page[axis + 4] = (m[axis + 4] - page[axis]) / extent * 999;
    }
}

/* What dsvl-regions says of a part of a page; nothing of a whole page. */
static int read_region(dsvl_source *s, const dsvl_record *record, dsvl_error *err)
{
    const char *kind = dsvl_record_get(record, DSVL_KEY_REGION_KIND),
               *part = dsvl_record_get(record, DSVL_KEY_REGION_PART);
    double crop[4];
    long number, overlap;
    s->part = s->parts = 1;
    if (!kind) return 0;
    s->region = json_object();
    int failed = !s->region;
    if (dsvl_record_int(record, DSVL_KEY_REGION, 1, INT_MAX, &number, NULL) == 0)
        failed |= json_object_set_new(s->region, "region", json_integer(number));
    failed |= json_object_set_new(s->region, "kind", json_string(kind));
    if (part && sscanf(part, "%d/%d", &s->part, &s->parts) == 2)
        failed |= json_object_set_new(s->region, "part", json_string(part));
    if (dsvl_record_int(record, DSVL_KEY_REGION_OVERLAP, 0, INT_MAX, &overlap, NULL) == 0)
        s->overlap = (int)overlap;
    if (read_numbers(dsvl_record_get(record, DSVL_KEY_CROP), crop, 4) == 0)
        failed |= json_object_set_new(s->region, "crop_pt",
                                      json_pack("[f,f,f,f]", crop[0], crop[1], crop[2], crop[3]));
    read_place(s, record);
    return failed ? dsvl_fail_memory(err, sizeof *s) : 0;
}

int dsvl_source_read(dsvl_source *source, const dsvl_record *record, dsvl_error *err)
{
    const char *document = dsvl_record_get(record, DSVL_KEY_DOCUMENT),
               *label = dsvl_record_get(record, DSVL_KEY_LABEL);
    const char *seconds = dsvl_record_get(record, DSVL_KEY_SECONDS);
    long page;
    memset(source, 0, sizeof *source);
    if (document) source->document = json_string(document);
    if (label) source->label = json_string(label);
    if (seconds) source->seconds = dsvl_strdup(seconds);
    bool numbered = dsvl_record_int(record, DSVL_KEY_PAGE, 1, LONG_MAX, &page, NULL) == 0;
    if (numbered) source->page = json_integer(page);
    read_page_box(source, record);
    const char *layer = dsvl_record_get(record, DSVL_KEY_TEXT_LAYER);
    source->words_read = layer && strcmp(layer, "read") == 0;
    if (!document == !source->document && !label == !source->label && !seconds == !source->seconds &&
        numbered == !!source->page && read_region(source, record, err) == 0)
        return 0;
    dsvl_source_clear(source);
    return dsvl_fail_memory(err, sizeof *source);
}

void dsvl_source_clear(dsvl_source *source)
{
    json_decref(source->document);
    json_decref(source->page);
    json_decref(source->label);
    json_decref(source->region);
    dsvl_dealloc(source->seconds);
    memset(source, 0, sizeof *source);
}

static double rounded(double x, double unit)
{
    return isfinite(x) ? round(x / unit) * unit : 0;
}

static json_t *shared(json_t *value)
{
    return value ? json_incref(value) : json_null();
}

bool dsvl_source_same_page(const dsvl_source *source, const dsvl_record *record)
{
    const char *document = dsvl_record_get(record, DSVL_KEY_DOCUMENT),
               *mine = json_string_value(source->document);
    long page = 0;
    dsvl_record_int(record, DSVL_KEY_PAGE, 1, LONG_MAX, &page, NULL);
    return page == (long)json_integer_value(source->page) && !document == !mine &&
           (!document || strcmp(document, mine) == 0);
}

int dsvl_source_add_seconds(const dsvl_source *source, json_t *stages)
{
    const char *p = source->seconds;
    int failed = 0;
    while (p && *p) {
        size_t name = strcspn(p, "= "), whole = strcspn(p, " ");
        char key[64];
        double value = p[name] == '=' ? strtod(p + name + 1, NULL) : 0;
        if (p[name] == '=' && name > 0 && name < sizeof key && isfinite(value)) {
            memcpy(key, p, name);
            key[name] = '\0';
            value += json_number_value(json_object_get(stages, key));
            failed |= json_object_set_new_nocheck(stages, key, json_real(rounded(value, 1e-4)));
        }
        p += whole + (p[whole] == ' ');
    }
    return failed;
}

/* Stage times as the records name them, summed over images, then ours. */
static json_t *seconds(const dsvl_answer *answer)
{
    json_t *object = answer->stages ? json_copy(answer->stages) : json_object();
    for (size_t i = 0; !answer->stages && i < answer->count; i++)
        dsvl_source_add_seconds(&answer->sources[i], object);
    json_object_set_new(object, "prefill", json_real(rounded(answer->prefill_seconds, 1e-4)));
    json_object_set_new(object, "decode", json_real(rounded(answer->generation->seconds, 1e-4)));
    return object;
}

static json_t *images(const dsvl_answer *answer)
{
    json_t *list = json_array();
    for (size_t i = 0; i < answer->count; i++) {
        const dsvl_source *s = &answer->sources[i];
        json_array_append_new(list, json_pack("{s:o,s:o,s:o}", "document", shared(s->document), "page",
                                              shared(s->page), "page_label", shared(s->label)));
    }
    return list;
}

/* The document of all images; NULL when there are several or none. */
static json_t *common_document(const dsvl_answer *answer)
{
    for (size_t i = 1; i < answer->count; i++)
        if (!json_equal(answer->sources[i].document, answer->sources[0].document)) return NULL;
    return answer->count ? answer->sources[0].document : NULL;
}

/* Dump with a newline; takes the object. */
static char *line_take(json_t *object, bool complete, dsvl_error *err)
{
    char *line = complete ? json_dumps(object, LINE_FLAGS) : NULL;
    json_decref(object);
    size_t length = line ? strlen(line) : 0;
    char *ended = line ? realloc(line, length + 2) : NULL;
    if (!ended) {
        free(line);
        dsvl_fail_memory(err, length + 2);
        return NULL;
    }
    memcpy(ended + length, "\n", 2);
    return ended;
}

const char *dsvl_finish_name(dsvl_finish finish)
{
    static const char *const names[] = {"stop", "length", "error", "loop", "timeout"};
    return names[finish];
}

char *dsvl_answer_line(const dsvl_answer *answer, dsvl_error *err)
{
    const dsvl_generation *g = answer->generation;
    json_t *o = json_object();
    int failed = 0;
    const dsvl_source *one = answer->list ? NULL : &answer->sources[0];
    failed |= json_object_set_new(o, "document", shared(common_document(answer)));
    failed |= json_object_set_new(o, "page", shared(one ? one->page : NULL));
    failed |= json_object_set_new(o, "page_label", shared(one ? one->label : NULL));
    if (answer->regions) failed |= json_object_set_new(o, "regions", shared(answer->regions));
    if (answer->list) failed |= json_object_set_new(o, "images", images(answer));
    failed |= json_object_set_new(o, "prompt_id", shared(answer->prompt_id));
    char *prompt = dsvl_utf8(answer->prompt, strlen(answer->prompt));
    failed |= json_object_set_new(o, "prompt", json_string_nocheck(prompt));
    dsvl_dealloc(prompt);
    failed |= json_object_set_new(o, "answer", json_string_nocheck(answer->text));
    failed |= json_object_set_new(o, "finish_reason", json_string(dsvl_finish_name(g->finish)));
    if (g->retried) failed |= json_object_set_new(o, "retried", json_true());
    if (answer->grounding) failed |= json_object_set_new(o, "grounded", json_boolean(answer->cells));
    if (answer->cells && answer->count && answer->sources[0].words_read)
        failed |= json_object_set_new(o, "text_layer", json_string("read"));
    if (answer->cells) failed |= json_object_set_new(o, "cells", shared(answer->cells));
    failed |= json_object_set_new(o, "prompt_tokens", json_integer((json_int_t)answer->prompt_tokens));
    failed |= json_object_set_new(o, "completion_tokens", json_integer((json_int_t)g->count));
    failed |= json_object_set_new(o, "mean_logprob", json_real(rounded(g->mean_logprob, 1e-6)));
    if (!answer->no_times) failed |= json_object_set_new(o, "seconds", seconds(answer));
    failed |= json_object_set_new(o, "model", json_string_nocheck(dsvl_model_name(answer->model)));
    failed |= json_object_set_new(o, "model_hash", json_string(dsvl_model_hash(answer->model)));
    return line_take(o, !failed, err);
}

char *dsvl_answer_error_line(const dsvl_source *source, json_t *prompt_id, const char *stage,
                             const char *message, dsvl_error *err)
{
    json_t *o = json_object();
    char *clean = dsvl_utf8(message, strlen(message));
    int failed = json_object_set_new(o, "document", shared(source->document));
    failed |= json_object_set_new(o, "page", shared(source->page));
    if (source->region) failed |= json_object_set_new(o, "region", shared(source->region));
    if (prompt_id) failed |= json_object_set_new(o, "prompt_id", shared(prompt_id));
    failed |= json_object_set_new(o, "finish_reason", json_string("error"));
    failed |= json_object_set_new(o, "stage", json_string(stage));
    failed |= json_object_set_new(o, "error", json_string_nocheck(clean));
    dsvl_dealloc(clean);
    return line_take(o, !failed, err);
}
