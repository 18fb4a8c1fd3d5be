/* SPDX-License-Identifier: Apache-2.0 */
/* A model folder as a whole: opening its parts, and pixels to embeddings. Mirrors DeepseekVLV2ForCausalLM. */
#include "lib/model.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/chat.h"
#include "lib/folder.h"
#include "lib/stems.h"

enum { USUAL_CONTEXT = 4096 }; /* tokens that are counted on, where a model could take more */

/* ---- opening ----------------------------------------------------------------------------------------- */

static void ignore_all(dsvl_checkpoint *checkpoint, const char *const *prefixes)
{
    for (int i = 0; i < DSVL_STEM_PREFIXES && prefixes[i]; i++)
        dsvl_checkpoint_ignore(checkpoint, prefixes[i]);
}

static int bind_vision(dsvl_model *m, dsvl_error *err)
{
    const dsvl_config *c = &m->config;
    if (c->arch == DSVL_ARCH_VL_HYBRID && !(m->sam = dsvl_sam_bind(m->checkpoint, c, err))) return -1;
    m->vision = dsvl_vision_bind(m->checkpoint, c, err);
    if (m->vision) m->projector = dsvl_projector_bind(m->checkpoint, c, err);
    return m->projector ? 0 : -1;
}

static int bind_weights(dsvl_model *m, unsigned parts, dsvl_error *err)
{
    if (parts & DSVL_PART_VISION) {
        if (bind_vision(m, err)) return -1;
    }
    if (parts & DSVL_PART_DECODER) {
        m->decoder = dsvl_decoder_bind(m->checkpoint, &m->config, err);
        if (!m->decoder) return -1;
    }
    return 0;
}

/* Weights that do not fit would be read from the disk again for every token. */
static int check_memory(const dsvl_model *m, unsigned parts, dsvl_error *err)
{
    if (parts & DSVL_PART_STREAMED) return 0;
    const dsvl_decoder_config *c = &m->config.decoder;
    const uint64_t weights = dsvl_checkpoint_bound(m->checkpoint), there = dsvl_memory_there();
    uint64_t working = parts & DSVL_PART_VISION ? dsvl_encode_bytes(m, m->options.threads) : 0;
    const size_t tokens = c->context < USUAL_CONTEXT ? (size_t)c->context : USUAL_CONTEXT;
    const uint64_t answer = parts & DSVL_PART_DECODER ? dsvl_session_bytes(m->decoder, tokens) : 0;
    if (answer > working) working = answer; /* one after the other */
    if (m->options.max_memory && m->options.max_memory < working) working = m->options.max_memory;
    if (weights <= there && working <= there - weights) return 0;
    dsvl_model *plan = dsvl_model_plan(&m->config, parts, err);
    if (!plan) return -1;
    const char *fits = dsvl_precision_that_fits(plan, working, there);
    dsvl_model_close(plan);
    return dsvl_fail(err, DSVL_E_LIMIT,
                     "%s: %.2f GB of weights and %.2f GB to work in, of %.2f GB of memory; %s%s%s", m->folder,
                     (double)weights / 1e9, (double)working / 1e9, (double)there / 1e9,
                     fits ? "it would fit in " : "no precision would make it fit", fits ? fits : "",
                     fits ? ": see dsvl-model quantize" : "");
}

/* A tensor of a part that is not opened may be anything; one of no part is an error. */
static int bind_parts(dsvl_model *m, unsigned parts, dsvl_error *err)
{
    const dsvl_stems *stems = dsvl_stems_of(&m->config);
    m->checkpoint = dsvl_checkpoint_open(m->folder, err);
    if (!m->checkpoint) return -1;
    dsvl_checkpoint_quantized(m->checkpoint, &m->config.quantization);
    ignore_all(m->checkpoint, stems->unused);
    if (bind_weights(m, parts, err)) return -1;
    if (!(parts & DSVL_PART_VISION)) ignore_all(m->checkpoint, stems->vision_parts);
    if (!(parts & DSVL_PART_DECODER)) ignore_all(m->checkpoint, stems->decoder_parts);
    if (dsvl_checkpoint_surplus(m->checkpoint, "", err) || check_memory(m, parts, err)) return -1;
    return dsvl_checkpoint_hash(m->checkpoint, m->folder, m->hash, err);
}

/* The folder's own name, whatever path led there. */
static int set_name(dsvl_model *m, const char *folder, dsvl_error *err)
{
    m->folder = dsvl_strdup(folder);
    char *real = realpath(folder, NULL);
    if (!real) return dsvl_fail(err, DSVL_E_MODEL, "%s: no such model folder: %s", folder, strerror(errno));
    const char *slash = strrchr(real, '/');
    m->name = dsvl_strdup(slash && slash[1] ? slash + 1 : real);
    free(real);
    return m->folder && m->name ? 0 : dsvl_fail_memory(err, strlen(folder));
}

dsvl_model *dsvl_model_open(const char *folder, unsigned parts, const dsvl_options *options, dsvl_error *err)
{
    dsvl_model *m = dsvl_alloc_zero(1, sizeof *m);
    if (m) m->spare = dsvl_alloc_zero(1, sizeof *m->spare);
    if (!m || !m->spare) {
        dsvl_fail_memory(err, sizeof *m);
        goto fail;
    }
    if (options) m->options = *options;
    if (set_name(m, folder, err) || dsvl_config_read(&m->config, folder, err) ||
        dsvl_processor_config_read(&m->processor, folder, err) ||
        dsvl_config_match(&m->config, &m->processor, folder, err)) {
        goto fail;
    }
    if (m->options.int8 && m->config.quantization.bits == 0) {
        dsvl_fail(err, DSVL_E_USAGE,
                  "%s: activations of 8 bits need weights of 8 or 4 bits: make such a model with dsvl-model "
                  "quantize",
                  folder);
        goto fail;
    }
    if (parts & DSVL_PART_TOKENIZER) {
        m->tokenizer = dsvl_tokenizer_open(folder, err);
        if (!m->tokenizer || dsvl_chat_read_ends(m, err)) goto fail;
    }
    if ((parts & (DSVL_PART_VISION | DSVL_PART_DECODER)) && bind_parts(m, parts, err)) goto fail;
    return m;
fail:
    dsvl_model_close(m);
    return NULL;
}

dsvl_model *dsvl_model_plan(const dsvl_config *config, unsigned parts, dsvl_error *err)
{
    dsvl_model *m = dsvl_alloc_zero(1, sizeof *m);
    if (!m) {
        dsvl_fail_memory(err, sizeof *m);
        return NULL;
    }
    m->config = *config;
    m->checkpoint = dsvl_checkpoint_blank(err);
    if (m->checkpoint) ignore_all(m->checkpoint, dsvl_stems_of(config)->unused);
    if (m->checkpoint && bind_weights(m, parts, err) == 0) return m;
    dsvl_model_close(m);
    return NULL;
}

void dsvl_model_close(dsvl_model *m)
{
    if (!m) return;
    if (m->spare) kern_context_free(atomic_load(m->spare));
    dsvl_dealloc(m->spare);
    dsvl_vision_free(m->vision);
    dsvl_sam_free(m->sam);
    dsvl_projector_free(m->projector);
    dsvl_decoder_free(m->decoder);
    dsvl_tokenizer_free(m->tokenizer);
    dsvl_checkpoint_close(m->checkpoint);
    dsvl_dealloc(m->folder);
    dsvl_dealloc(m->name);
    dsvl_dealloc(m);
}

/* ---- facts ------------------------------------------------------------------------------------------- */

const char *dsvl_model_name(const dsvl_model *model)
{
    return model->name;
}

const char *dsvl_model_hash(const dsvl_model *model)
{
    return model->hash;
}

int dsvl_model_width(const dsvl_model *model)
{
    return model->config.decoder.width;
}

int dsvl_model_context(const dsvl_model *model)
{
    return model->config.decoder.context;
}

int dsvl_model_tile_size(const dsvl_model *model)
{
    return model->processor.tile_size;
}

size_t dsvl_model_tile_bytes(const dsvl_model *model)
{
    const size_t size = (size_t)model->processor.tile_size, low = (size_t)model->processor.low_size;
    return 3 * (size * size + low * low);
}

int dsvl_tile_tokens_side(const dsvl_model *model)
{
    return dsvl_config_tile_side(&model->config);
}

int dsvl_image_tokens(const dsvl_model *model, int cols, int rows)
{
    const int64_t side = dsvl_tile_tokens_side(model);
    if (model->processor.square) return cols == 0 && rows == 0 ? (int)(side * side) : 0;
    if (cols < 1 || rows < 1 || cols > 4096 || rows > 4096) return 0;
    const int64_t tokens = side * (side + 1) + 1 + rows * side * (cols * side + 1);
    return tokens <= INT_MAX ? (int)tokens : 0;
}

/* ---- pixels to embeddings ---------------------------------------------------------------------------- */

/* Patches in one pass, for every two threads and at most. Few, so that the activations of a pass stay in
 * cache (measured: of the released towers, whose tiles have 729 patches and take 19 MB, one tile at once
 * comes to 0.91 of a matrix product's speed, two to 0.85 and four to 0.78); enough that every thread has rows
 * of its own and that weights in 16 bits are rarely widened. */
enum { PASS_PATCHES = 768, PASS_MOST = 6144 };

/* Bytes for each tile of a pass. */
static int64_t tile_bytes(const dsvl_model *m)
{
    const int64_t towers = dsvl_towers_scratch(m), projector = dsvl_projector_scratch(m->projector);
    return (towers > projector ? towers : projector) + (int64_t)sizeof(float) * dsvl_towers_floats(m);
}

static int64_t tiles_at_once(const dsvl_model *m, int threads)
{
    int64_t count = (int64_t)PASS_PATCHES * (threads > 2 ? threads / 2 : 1);
    count =
        (count < PASS_MOST ? count : PASS_MOST) / ((int64_t)m->config.vision.side * m->config.vision.side);
    return count ? count : 1;
}

uint64_t dsvl_encode_bytes(const dsvl_model *m, int threads)
{
    return (uint64_t)tile_bytes(m) * (uint64_t)tiles_at_once(m, threads);
}

/* How many of n tiles go through the tower at once, under the model's memory limit. */
static int tiles_per_pass(const dsvl_model *m, int threads, int n, dsvl_error *err)
{
    const int64_t each = tile_bytes(m);
    int64_t count = tiles_at_once(m, threads);
    if (m->options.max_memory && (uint64_t)count > m->options.max_memory / (uint64_t)each) {
        count = (int64_t)(m->options.max_memory / (uint64_t)each);
    }
    if (count == 0) {
        return dsvl_fail(err, DSVL_E_LIMIT,
                         "the vision tower needs %lld MB for one tile, and --max-memory leaves it %llu MB",
                         (long long)(each >> 20) + 1, (unsigned long long)(m->options.max_memory >> 20));
    }
    return count < n ? (int)count : n;
}

static int check_finite(const dsvl_model *m, const char *stage, const char *weights, const float *x,
                        int64_t n, dsvl_error *err)
{
    if (dsvl_all_finite(x, (size_t)n)) return 0;
    return dsvl_fail(
        err, DSVL_E_MODEL,
        "%s: the %s gave a NaN or infinity: a weight of %s is not finite or too large; fetch the files again",
        m->folder, stage, weights);
}

static int encode_pass(const dsvl_model *m, kern_context *context, const uint8_t *tiles, int n, float *tower,
                       float *features, dsvl_error *err)
{
    const int64_t tokens = (int64_t)dsvl_tile_tokens_side(m) * dsvl_tile_tokens_side(m);
    const int64_t low = (int64_t)m->config.vision.side * m->config.vision.side * m->config.vision.width;
    const dsvl_stems *stems = dsvl_stems_of(&m->config);
    char weights[64];
    snprintf(weights, sizeof weights, "%s*", stems->vision);
    if (dsvl_towers_run(m, context, tiles, n, tower, err) ||
        check_finite(m, "vision tower", m->sam ? "the vision towers" : weights, tower,
                     n * dsvl_towers_floats(m), err) ||
        dsvl_projector_run(m->projector, context, tower, m->sam ? tower + n * low : NULL, n, features, err)) {
        return -1;
    }
    snprintf(weights, sizeof weights, "%s*", stems->projector);
    return check_finite(m, "projector", weights, features, n * tokens * m->config.projector.output, err);
}

int dsvl_encode_tiles(const dsvl_model *m, const uint8_t *tiles, int n, float *features, dsvl_error *err)
{
    if (!m->projector || n < 0) {
        return dsvl_fail(err, DSVL_E_USAGE,
                         n < 0 ? "%s: a negative number of tiles" : "%s: opened without its vision part",
                         m->folder);
    }
    if (n == 0) return 0;
    const int64_t tokens = (int64_t)dsvl_tile_tokens_side(m) * dsvl_tile_tokens_side(m);
    const size_t bytes = dsvl_model_tile_bytes(m), floats = (size_t)dsvl_towers_floats(m);
    int status = -1, pass = 0;
    float *tower = NULL;
    kern_context *context = atomic_exchange(m->spare, NULL);
    if (!context) context = kern_context_new(m->options.threads);
    if (!context) {
        dsvl_fail_memory(err, 0);
        goto out;
    }
    kern_context_int8(context, m->options.int8 != 0);
    pass = tiles_per_pass(m, kern_context_threads(context), n, err);
    if (pass < 0) goto out;
    tower = dsvl_alloc((size_t)pass * floats, sizeof *tower);
    if (!tower) {
        dsvl_fail_memory(err, (size_t)pass * floats * sizeof *tower);
        goto out;
    }
    for (int done = 0; done < n; done += pass) {
        const int now = n - done < pass ? n - done : pass;
        if (encode_pass(m, context, tiles + (size_t)done * bytes, now, tower,
                        features + done * tokens * m->config.projector.output, err)) {
            goto out;
        }
    }
    status = 0;
out:
    dsvl_dealloc(tower);
    kern_context_free(atomic_exchange(m->spare, context)); /* another thread may have left its own there */
    return status;
}

int dsvl_image_mosaic(const dsvl_model *m, const float *features, int cols, int rows, float *embeddings,
                      dsvl_error *err)
{
    if (!m->projector) return dsvl_fail(err, DSVL_E_USAGE, "%s: opened without its vision part", m->folder);
    if (!dsvl_image_tokens(m, cols, rows)) {
        return dsvl_fail(err, DSVL_E_USAGE, "an image of %d x %d tiles cannot be", cols, rows);
    }
    dsvl_projector_mosaic(m->projector, features, cols, rows, embeddings);
    return 0;
}
