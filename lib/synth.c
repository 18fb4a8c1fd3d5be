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

/* The i-th word of a tensor: splitmix64. */
static uint64_t word(uint64_t key, uint64_t i)
{
    uint64_t z = key + i * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Values first .. first+n-1, four to a word. */
static void fill(float *x, uint64_t key, uint64_t first, size_t n, float mean, float deviation)
{
    const float step = deviation * 1.7320508f / 32768,
                low = mean - 32767.5f * step; /* uniform: root 3 deviations */
    for (size_t i = 0; i < n;) {
        const uint64_t z = word(key, (first + i) / 4);
        for (size_t k = (first + i) % 4; k < 4 && i < n; k++, i++)
            x[i] = low + step * (float)(z >> 16 * k & 0xffff);
    }
}

/* The whole numbers of a quantized matrix at once, -7 .. 7 or -127 .. 127, since quantizing as many floats
 * would take minutes: n bytes, a multiple of 8. What is one too low for that range becomes 0. */
static void fill_whole(unsigned char *bytes, int bits, uint64_t key, uint64_t first, size_t n)
{
    const uint64_t ones = bits == 8 ? 0x0101010101010101u : 0x1111111111111111u;
    for (size_t i = 0; i < n / 8; i++) {
        uint64_t z = word(key, first + i), low = z, other = z ^ ones << (bits - 1);
        for (int shift = bits / 2; shift; shift /= 2)
            other |= other >> shift; /* its lowest bit: any bit is set */
        low &= ~((~other & ones) << (bits - 1));
        memcpy(bytes + 8 * i, &low, sizeof low);
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

/* A value that the matrix does not have: row r and column k count within the block. */
static void clear_value(unsigned char *q, int bits, int64_t r, int64_t k)
{
    if (bits == 8)
        q[k / 4 * 128 + r * 4 + k % 4] = 0;
    else
        q[k / 8 * 128 + r * 4 + k % 4] &= k % 8 < 4 ? 0xf0 : 0x0f;
}

/* One block (kernels.h): 32 scales, and the whole numbers of the rows and columns that there are. */
static void fill_block(unsigned char *block, const dsvl_quantization *q, uint64_t key, uint64_t number,
                       float scale, int64_t rows, int64_t cols)
{
    const size_t bytes = (size_t)(KERN_PANEL * q->group * q->bits / 8);
    fill_whole(block + 64, q->bits, key, number * (bytes / 8 + 8) + 8, bytes);
    for (int64_t r = 0; r < KERN_PANEL; r++) {
        const uint64_t dice = word(key, number * (bytes / 8 + 8) + (uint64_t)r / 4) >> 16 * (r % 4) & 0xffff;
        const uint16_t half = r < rows ? dsvl_f32_to_f16(scale * (0.75f + (float)dice / 131072)) : 0;
        block[2 * r] = (unsigned char)(half & 255);
        block[2 * r + 1] = (unsigned char)(half >> 8);
        for (int64_t k = r < rows ? cols : 0; k < q->group; k++) clear_value(block + 64, q->bits, r, k);
    }
}

/* A quantized matrix [panels, blocks, bytes of a block], of which `rows` rows are not zero. */
static int write_quantized(synth *s, const dsvl_want *want, const dsvl_tensor *t, int64_t rows, int64_t cols,
                           float deviation, dsvl_error *err)
{
    const dsvl_quantization *q = &s->options->quantization;
    const uint64_t key = tensor_key(s->options->seed, want->name);
    const float scale = deviation / (q->bits == 8 ? 73.5f : 4.18f); /* the deviation of the whole numbers */
    const size_t bytes = (size_t)t->shape[2];
    size_t used = 0;
    for (int64_t i = 0; i < t->shape[0] * t->shape[1]; i++) {
        const int64_t row = i / t->shape[1] * KERN_PANEL, col = i % t->shape[1] * q->group;
        fill_block(s->bytes + used, q, key, (uint64_t)i, scale, rows - row, cols - col);
        used += bytes;
        if (used + bytes <= 4 * (size_t)CHUNK) continue;
        if (put(s, s->bytes, used, err)) return -1;
        used = 0;
    }
    return put(s, s->bytes, used, err);
}

/* One tensor, some rows at a time. */
static int write_tensor(synth *s, const dsvl_want *want, const dsvl_tensor *t, dsvl_error *err)
{
    struct spread spread = spread_of(want->name);
    const bool head = strstr(want->name, "lm_head") != NULL;
    const uint64_t key = tensor_key(s->options->seed, want->name);
    int64_t rows = want->shape[0], cols = 1;
    for (int d = 1; d < want->rank; d++) cols *= want->shape[d];
    if (want->rank == 1) rows = 1, cols = want->shape[0];
    if (spread.root) spread.deviation /= sqrtf((float)cols);
    if (t->dtype == DSVL_U8)
        return write_quantized(s, want, t, head && s->known < rows ? s->known : rows, cols, spread.deviation,
                               err);
    const int64_t step = CHUNK / cols;
    if (step == 0) return dsvl_fail(err, DSVL_E_INTERNAL, "%s: rows too long", want->name);
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t now = rows - row < step ? rows - row : step;
        fill(s->values, key, (uint64_t)(row * cols), (size_t)(now * cols), spread.mean, spread.deviation);
        for (int64_t r = 0; head && r < now; r++)
            if (row + r >= s->known) memset(s->values + r * cols, 0, (size_t)cols * sizeof *s->values);
        if (put_floats(s, t, (size_t)(now * cols), err)) return -1;
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
    s->values = dsvl_alloc(CHUNK, sizeof *s->values);
    s->bytes = dsvl_alloc(CHUNK, 4);
    if (!s->values || !s->bytes) return dsvl_fail_memory(err, (size_t)CHUNK * 8);
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
    dsvl_dealloc(s.values);
    dsvl_dealloc(s.bytes);
    return status;
}
