/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/reading.h"

#include <string.h>

#include "lib/alloc.h"
#include "lib/chat.h"
#include "lib/prompt.h"
#include "lib/question.h"

enum { MOST_TOKENS = 1024 }; /* of an answer: a tile shows fewer letters */

struct dsvl_print_reader {
    const dsvl_model *model;
    dsvl_session *session;
    dsvl_prefix prefix;
    int32_t *ids; /* [count]: the prompt, its image as -1 */
    size_t count, floats;
    float *features; /* [2, side*side, width]: the tile as global view and as local one */
    dsvl_image image;
};

dsvl_print_reader *dsvl_print_reader_new(const dsvl_model *model, dsvl_error *err)
{
    dsvl_questions questions = {0};
    const size_t side = (size_t)dsvl_tile_tokens_side(model), width = (size_t)dsvl_model_width(model);
    dsvl_print_reader *r = dsvl_alloc_zero(1, sizeof *r);
    if (!r) {
        dsvl_fail_memory(err, sizeof *r);
        return NULL;
    }
    r->model = model;
    r->floats = side * side * width;
    r->image.tokens = (size_t)dsvl_image_tokens(model, 1, 1);
    r->features = dsvl_alloc(2 * r->floats, sizeof *r->features);
    r->image.embeddings = dsvl_alloc(r->image.tokens * width, sizeof *r->image.embeddings);
    int status = -1;
    if (!r->features || !r->image.embeddings)
        dsvl_fail_memory(err, 2 * r->floats * sizeof *r->features);
    else if (dsvl_questions_add(&questions, "Read the text.", false, err) == 0)
        status = dsvl_question_tokens(questions.items, model, 1, &r->ids, &r->count, err);
    if (status == 0) r->session = dsvl_session_new(model, 0, err);
    dsvl_questions_clear(&questions);
    if (r->session) return r;
    dsvl_print_reader_free(r);
    return NULL;
}

void dsvl_print_reader_free(dsvl_print_reader *r)
{
    if (!r) return;
    dsvl_session_free(r->session);
    dsvl_prefix_clear(&r->prefix);
    dsvl_free(r->ids);
    dsvl_dealloc(r->features);
    dsvl_dealloc(r->image.embeddings);
    dsvl_dealloc(r);
}

/* The bytes of the tokens, and of each byte its token's log-probability. */
static int take_tokens(const dsvl_model *model, const dsvl_generation *g, dsvl_reading *out, dsvl_error *err)
{
    const char *bytes;
    size_t n, length = 0;
    for (size_t i = 0; i < g->count; i++) {
        dsvl_chat_bytes(model, g->ids[i], &bytes, &n);
        length += n;
    }
    out->text = dsvl_alloc(length + 1, 1);
    out->logprobs = dsvl_alloc(length, sizeof *out->logprobs);
    if (!out->text || !out->logprobs) return dsvl_fail_memory(err, length * sizeof *out->logprobs);
    for (size_t i = 0; i < g->count; i++) {
        dsvl_chat_bytes(model, g->ids[i], &bytes, &n);
        memcpy(out->text + out->length, bytes, n);
        for (size_t k = 0; k < n; k++) out->logprobs[out->length++] = g->logprobs[i];
    }
    out->text[length] = '\0';
    return 0;
}

int dsvl_reading_of(dsvl_print_reader *r, const uint8_t *tile, dsvl_reading *out, dsvl_error *err)
{
    dsvl_generation generation = {0};
    size_t tokens;
    memset(out, 0, sizeof *out);
    if (dsvl_encode_tiles(r->model, tile, 1, r->features, err)) return -1;
    memcpy(r->features + r->floats, r->features, r->floats * sizeof *r->features);
    if (dsvl_image_mosaic(r->model, r->features, 1, 1, r->image.embeddings, err)) return -1;
    r->image.id++;
    int status = dsvl_prompt_feed(&r->prefix, r->session, r->ids, r->count, &r->image, 1, &tokens, err);
    if (!status) status = dsvl_session_generate(r->session, NULL, MOST_TOKENS, NULL, NULL, &generation, err);
    if (!status) status = take_tokens(r->model, &generation, out, err);
    out->whole = generation.finish == DSVL_FINISH_STOP;
    dsvl_generation_clear(&generation);
    if (status) dsvl_reading_clear(out);
    return status;
}

void dsvl_reading_clear(dsvl_reading *reading)
{
    dsvl_dealloc(reading->text);
    dsvl_dealloc(reading->logprobs);
    memset(reading, 0, sizeof *reading);
}
