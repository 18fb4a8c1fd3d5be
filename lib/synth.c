/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/synth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/model.h"
#include "lib/quantized.h"
#include "lib/stems.h"

/* Values made, converted and written at a time: 16 MB as f32. */
enum { CHUNK = 4 << 20, EXTRA_TOKENS = 9 };

/* ---- numbers ----------------------------------------------------------------------------------------- */

/* Mean and spread of a tensor by its name, the first row that fits; large enough that every part of the model
 * speaks up, small enough that nothing overflows half precision. root: the spread is divided by the root of a
 * row's length. */
static const struct spread {
    const char *part, *end; /* in the name; at its end */
    float mean, deviation;
    bool root;
} spreads[] = {
    {"e_score_correction_bias", "", 0, 0.2f, false},
    {"", "mlp.gate.weight", 0, 1.5f, true},
    {"embed_tokens", "", 0, 1, false},
    {"image_newline", "", 0, 1, false},
    {"view_seperator", "", 0, 1, false},
    {"lm_head", "", 0, 3, true},
    {"pos_embed", "", 0, 0.5f, false},
    {"position_embedding", "", 0, 0.5f, false},
    {"norm", "weight", 1, 0.2f, false},
    {"", "bias", 0, 0.2f, false},
    {".mlp.", "weight", 0, 2, true},
    {"projector", "weight", 0, 2, true},
    {"", "", 0, 1.2f, true},
};

static struct spread spread_of(const char *name)
{
    const size_t length = strlen(name);
    size_t i = 0;
    for (; i < sizeof spreads / sizeof *spreads - 1; i++) {
        const size_t end = strlen(spreads[i].end);
        if (strstr(name, spreads[i].part) && end <= length &&
            strcmp(name + length - end, spreads[i].end) == 0)
            break;
    }
    return spreads[i];
}

/* FNV-1a of the name: every tensor has numbers of its own, whatever stands before it. */
static uint64_t tensor_key(uint64_t seed, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u ^ seed * 0x9e3779b97f4a7c15u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return h;
}

/* Values first .. first+n-1 (first a multiple of 4): each word of splitmix64 gives four. */
static void fill(float *x, uint64_t key, uint64_t first, size_t n, float mean, float deviation)
{
    const float step = deviation * 1.7320508f / 32768,
                low = mean - 32767.5f * step; /* uniform: root 3 deviations */
    for (size_t i = 0; i < n; i += 4) {
        uint64_t z = key + (first + i) / 4 * 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        for (size_t k = 0; k < 4 && i + k < n; k++) x[i + k] = low + step * (float)(z >> 16 * k & 0xffff);
    }
}

/* ---- tensors ----------------------------------------------------------------------------------------- */

typedef struct synth {
    const dsvl_synth_options *options;
    json_t *config;
    dsvl_model *plan;
    dsvl_want *wants; /* the plan's, and the tensors that no model uses; names borrowed */
    char (*unused)[128];
    size_t count;
    dsvl_st_entry *entries;
    dsvl_folder_writer *writer;
    kern_context *kern;
    float *values;        /* [CHUNK] */
    unsigned char *bytes; /* [4 * CHUNK] */
    int64_t known;        /* tokens with a text: the others never come out */
    uint64_t done, total;
} synth;

static int put(synth *s, const void *bytes, size_t length, dsvl_error *err)
{
    if (dsvl_folder_writer_put(s->writer, bytes, length, err)) return -1;
    s->done += length;
    if (s->options->progress) s->options->progress(s->options->user, s->done, s->total);
    return 0;
}

static int put_floats(synth *s, const dsvl_tensor *t, size_t n, dsvl_error *err)
{
    uint16_t *half = (uint16_t *)(void *)s->bytes;
    if (t->dtype == DSVL_F32) return put(s, s->values, n * sizeof *s->values, err);
    for (size_t i = 0; i < n; i++)
        half[i] = t->dtype == DSVL_BF16 ? dsvl_f32_to_bf16(s->values[i]) : dsvl_f32_to_f16(s->values[i]);
    return put(s, half, n * sizeof *half, err);
}

static int put_quantized(synth *s, const dsvl_want *want, int64_t rows, int64_t cols, dsvl_error *err)
{
    const dsvl_quantization *q = &s->options->quantization;
    const kern_dtype type = q->bits == 8 ? KERN_Q8 : KERN_Q4;
    if (kern_quantize(s->kern, s->bytes, s->values, type, q->group, rows, cols))
        return dsvl_fail(err, DSVL_E_INTERNAL, "%s: cannot be quantized", want->name);
    return put(s, s->bytes, (size_t)kern_quantized_size(type, q->group, rows, cols), err);
}

/* One tensor, whole panels of rows at a time. */
static int write_tensor(synth *s, const dsvl_want *want, const dsvl_tensor *t, dsvl_error *err)
{
    struct spread spread = spread_of(want->name);
    const bool head = strstr(want->name, "lm_head") != NULL;
    const uint64_t key = tensor_key(s->options->seed, want->name);
    int64_t rows = want->shape[0], cols = 1;
    for (int d = 1; d < want->rank; d++) cols *= want->shape[d];
    if (want->rank == 1) rows = 1, cols = want->shape[0];
    if (spread.root) spread.deviation /= sqrtf((float)cols);
    int64_t step = CHUNK / cols / KERN_PANEL * KERN_PANEL;
    if (step == 0) step = KERN_PANEL;
    if (step * cols > CHUNK) return dsvl_fail(err, DSVL_E_INTERNAL, "%s: rows too long", want->name);
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t now = rows - row < step ? rows - row : step;
        /* step * cols is a multiple of 4, so the chunks do not show in the numbers */
        fill(s->values, key, (uint64_t)(row * cols), (size_t)(now * cols), spread.mean, spread.deviation);
        for (int64_t r = 0; head && r < now; r++)
            if (row + r >= s->known) memset(s->values + r * cols, 0, (size_t)cols * sizeof *s->values);
        if (t->dtype == DSVL_U8 ? put_quantized(s, want, now, cols, err)
                                : put_floats(s, t, (size_t)(now * cols), err))
            return -1;
    }
    return 0;
}

/* ---- what to write ----------------------------------------------------------------------------------- */

static int add_unused(synth *s, dsvl_error *err)
{
    const dsvl_vision_config *v = &s->plan->config.vision;
    size_t wanted, unused = 0;
    const dsvl_want *wants = dsvl_checkpoint_wants(s->plan->checkpoint, &wanted);
    const dsvl_unused_tensor *more = s->options->release->unused;
    while (more[unused].name) unused++;
    const dsvl_stems *stems = dsvl_stems_of(&s->plan->config);
    s->wants = dsvl_alloc(wanted + unused, sizeof *s->wants);
    s->unused = dsvl_alloc(unused, sizeof *s->unused);
    if (!s->wants || !s->unused) return dsvl_fail_memory(err, (wanted + unused) * sizeof *s->wants);
    if (s->options->quantization.bits) unused = 0; /* a quantized folder has only what a model reads */
    memcpy(s->wants, wants, wanted * sizeof *wants);
    for (size_t i = 0; i < unused; i++) {
        dsvl_want *w = &s->wants[wanted + i];
        snprintf(s->unused[i], sizeof *s->unused, "%s%s", stems->unused[more[i].prefix], more[i].name);
        *w = (dsvl_want){.name = s->unused[i], .type = DSVL_BIND_VECTOR, .rank = more[i].rank};
        for (int d = 0; d < w->rank; d++) {
            const int dim = more[i].dim[d];
            w->shape[d] = dim == DSVL_DIM_WIDTH ? v->width
                          : dim == DSVL_DIM_KV  ? 2 * (int64_t)v->width
                          : dim == DSVL_DIM_MLP ? v->mlp
                                                : dim;
        }
    }
    s->count = wanted + unused;
    return 0;
}

static dsvl_dtype release_type(const void *user, const char *name)
{
    (void)name;
    return ((const dsvl_release *)user)->dtype;
}

/* The files of the release; scaled down, as many of them. */
static dsvl_shards shards_of(const synth *s)
{
    const dsvl_release *release = s->options->release;
    dsvl_shards shards = release->shards;
    if (s->options->quantization.bits) return (dsvl_shards){0};
    if (s->options->tiny && release->files > 1)
        shards.limit = s->total / (uint64_t)release->files + s->total / 16;
    const int layer = s->options->tiny && release->second_layer ? 2 : release->second_layer;
    char mark[32];
    snprintf(mark, sizeof mark, ".layers.%d.", layer);
    for (size_t i = 0; layer && i < s->count && shards.second == 0; i++)
        if (strstr(s->entries[i].name, mark)) shards.second = i;
    return shards;
}

static int prepare(synth *s, const char *out, dsvl_error *err)
{
    const dsvl_synth_options *o = s->options;
    dsvl_config config;
    s->config = dsvl_release_config(o->release, o->tiny);
    if (s->config && o->quantization.bits)
        json_object_set_new(s->config, DSVL_QUANTIZATION_KEY, dsvl_quantization_json(&o->quantization));
    char *text = s->config ? json_dumps(s->config, JSON_INDENT(2)) : NULL;
    if (!text) return dsvl_fail_memory(err, 0);
    int status = dsvl_config_parse(&config, text, strlen(text), o->release->name, err);
    free(text);
    if (status) return -1;
    s->known = (o->tiny ? o->release->tiny_ids.count : o->release->ids.count) + EXTRA_TOKENS;
    s->plan = dsvl_model_plan(&config, DSVL_PART_VISION | DSVL_PART_DECODER, err);
    if (!s->plan || add_unused(s, err) ||
        dsvl_quantized_entries(&o->quantization, s->wants, s->count, release_type, o->release, &s->entries,
                               err))
        return -1;
    for (size_t i = 0; i < s->count; i++) s->total += s->entries[i].tensor.nbytes;
    s->kern = kern_context_new(o->threads);
    s->values = dsvl_alloc(CHUNK, sizeof *s->values);
    s->bytes = dsvl_alloc(CHUNK, 4);
    if (!s->kern || !s->values || !s->bytes) return dsvl_fail_memory(err, (size_t)CHUNK * 8);
    s->writer = dsvl_folder_writer_new(out, o->replace, err);
    return s->writer ? 0 : -1;
}

/* ---- the other files --------------------------------------------------------------------------------- */

static int put_json(synth *s, const char *name, json_t *value, size_t flags, dsvl_error *err)
{
    char *text = value ? json_dumps(value, flags) : NULL;
    json_decref(value);
    int status =
        text ? dsvl_folder_writer_file(s->writer, name, text, strlen(text), err) : dsvl_fail_memory(err, 0);
    free(text);
    return status;
}

static int write_settings(synth *s, dsvl_error *err)
{
    const dsvl_release *release = s->options->release;
    for (const dsvl_release_file *file = release->settings; file->name; file++)
        if (put_json(s, file->name, dsvl_release_settings(file, s->options->tiny), JSON_INDENT(2), err))
            return -1;
    return put_json(s, "tokenizer.json", dsvl_release_tokenizer(release, s->options->tiny), JSON_COMPACT,
                    err) ||
                   put_json(s, "tokenizer_config.json", dsvl_release_tokenizer_config(), JSON_INDENT(2),
                            err) ||
                   put_json(s, "special_tokens_map.json", dsvl_release_special_tokens(), JSON_INDENT(2),
                            err) ||
                   put_json(s, "config.json", json_incref(s->config), JSON_INDENT(2), err)
               ? -1
               : 0;
}

int dsvl_synth(const char *out, const dsvl_synth_options *options, dsvl_error *err)
{
    synth s = {.options = options};
    int status = prepare(&s, out, err);
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    if (status == 0) {
        const dsvl_shards shards = shards_of(&s);
        status = dsvl_folder_writer_tensors(s.writer, s.entries, s.count, &shards, metadata, err);
    }
    for (size_t i = 0; status == 0 && i < s.count; i++)
        status = write_tensor(&s, &s.wants[s.entries[i].begin], &s.entries[i].tensor, err);
    if (status == 0) status = write_settings(&s, err);
    if (status == 0) status = dsvl_folder_writer_commit(s.writer, err);
    dsvl_folder_writer_free(s.writer);
    json_decref(metadata);
    json_decref(s.config);
    dsvl_model_close(s.plan);
    dsvl_dealloc(s.wants);
    dsvl_dealloc(s.unused);
    dsvl_dealloc(s.entries);
    kern_context_free(s.kern);
    dsvl_dealloc(s.values);
    dsvl_dealloc(s.bytes);
    return status;
}
