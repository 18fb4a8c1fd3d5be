/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation of a fixture file through all stages, until one departs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/chat.h"
#include "lib/folder.h"
#include "lib/verify.h"

#define FIXTURE_LIMIT ((size_t)2 << 30)

typedef struct run {
    const dsvl_model *model;
    double tolerance;
    dsvl_cut_fn cut;
    dsvl_stage_fn seen;
    void *user;
    dsvl_st_header fixture;
    kern_context *kern;
    float *rows; /* [length, width]: embeddings of the images in their places */
    int64_t placed;
    bool departed;
} run;

static const dsvl_tensor *find(const run *r, const char *kind, int n)
{
    char name[48];
    snprintf(name, sizeof name, n < 0 ? "%s" : "%s.%d", kind, n);
    const dsvl_st_entry *entry = dsvl_st_find(&r->fixture, name);
    return entry ? &entry->tensor : NULL;
}

static void report(run *r, const char *kind, int n, double deviation)
{
    dsvl_stage stage = {.deviation = deviation, .departs = !(deviation <= r->tolerance)};
    snprintf(stage.name, sizeof stage.name, n < 0 ? "%s" : "%s.%d", kind, n);
    r->departed = r->departed || stage.departs;
    r->seen(r->user, &stage);
}

/* got [rows, cols] against a tensor that may hold only the first rows, or (`last`) only the last ones. */
static void compare(run *r, const char *kind, int n, const float *got, int64_t rows, int64_t cols, bool last)
{
    const dsvl_tensor *want = find(r, kind, n);
    if (!want || r->departed) return;
    const int64_t have = want->rank > 0 ? (int64_t)(want->nbytes / sizeof(float)) : 0;
    if (want->dtype != DSVL_F32 || have % cols || have > rows * cols) {
        report(r, kind, n, INFINITY); /* other sizes: another model */
        return;
    }
    const float *b = want->data;
    if (last) got += rows * cols - have;
    double far = 0, largest = 0;
    for (int64_t i = 0; i < have; i++) {
        const double d = fabs((double)got[i] - (double)b[i]);
        if (!(d <= far) && !isnan(far)) far = d;
        if (fabs((double)b[i]) > largest) largest = fabs((double)b[i]);
    }
    report(r, kind, n, largest > 0 ? far / largest : far);
}

/* ---- pictures ---------------------------------------------------------------------------------------- */

/* cols x rows local tiles from the number of tokens of the image. */
static bool find_grid(const dsvl_model *m, int local, int64_t tokens, int *cols, int *rows)
{
    for (*rows = 1; *rows <= local; (*rows)++) {
        *cols = local / *rows;
        if (*cols * *rows == local && dsvl_image_tokens(m, *cols, *rows) == tokens) return true;
    }
    return false;
}

/* tiles [count, dsvl_model_tile_bytes]; one by one: the bits are the same, the memory is small. */
static int run_tower(run *r, int n, const uint8_t *tiles, int64_t count, float *features, dsvl_error *err)
{
    const dsvl_model *m = r->model;
    const int64_t patches = (int64_t)m->config.vision.side * m->config.vision.side,
                  width = m->config.vision.width, low = patches * width;
    const int64_t side = dsvl_tile_tokens_side(m), floats = dsvl_towers_floats(m);
    float *tower = dsvl_alloc((size_t)(count * low + floats), sizeof *tower);
    if (!tower) return dsvl_fail_memory(err, (size_t)(count * low + floats) * sizeof *tower);
    float *one = tower + count * low; /* of a hybrid the low features, then the high ones */
    int status = 0;
    for (int64_t i = 0; status == 0 && i < count; i++) {
        status = dsvl_towers_run(m, r->kern, tiles + (size_t)i * dsvl_model_tile_bytes(m), 1, one, err);
        memcpy(tower + i * low, one, (size_t)low * sizeof *tower);
        if (status == 0)
            status = dsvl_projector_run(m->projector, r->kern, one, m->sam ? one + low : NULL, 1,
                                        features + i * side * side * dsvl_model_width(m), err);
    }
    if (status == 0) {
        compare(r, "tower", n, tower, count * patches, width, false);
        if (m->sam) compare(r, "high", n, one + low, patches, m->config.sam.down[1], false);
        compare(r, "projector", n, features, count * side * side, dsvl_model_width(m), false);
    }
    dsvl_dealloc(tower);
    return status;
}

/* A square and, where the processor makes one, its smaller picture behind it; owned. NULL: another model's.
 */
static uint8_t *join_pictures(const run *r, int n, const dsvl_tensor *tiles)
{
    const dsvl_tensor *low = find(r, "tiles_low", n);
    const size_t bytes = dsvl_model_tile_bytes(r->model);
    if (tiles->nbytes + (low ? low->nbytes : 0) != bytes) return NULL;
    uint8_t *whole = dsvl_alloc(bytes, 1);
    if (!whole) return NULL;
    memcpy(whole, tiles->data, tiles->nbytes);
    if (low) memcpy(whole + tiles->nbytes, low->data, low->nbytes);
    return whole;
}

/* tiles -> embeddings, appended to the rows of the images. */
static int encode(run *r, int n, const dsvl_tensor *tiles, int64_t tokens, dsvl_error *err)
{
    const dsvl_model *m = r->model;
    const int64_t side = dsvl_tile_tokens_side(m), width = dsvl_model_width(m);
    const bool square = m->processor.square;
    int cols = 0, rows = 0;
    uint8_t *joined = NULL;
    if (tiles->rank != 4 || tiles->dtype != DSVL_U8 || tiles->shape[0] < 1 ||
        tiles->shape[1] != m->processor.tile_size || tiles->shape[2] != tiles->shape[1] ||
        tiles->shape[3] != 3 ||
        (square ? !(joined = join_pictures(r, n, tiles)) || dsvl_image_tokens(m, 0, 0) != tokens
                : !find_grid(m, (int)tiles->shape[0] - 1, tokens, &cols, &rows))) {
        dsvl_dealloc(joined);
        report(r, "tiles", n, INFINITY);
        return 0;
    }
    float *features = dsvl_alloc((size_t)(tiles->shape[0] * side * side), (size_t)width * sizeof *features);
    float *to = r->rows + r->placed * width;
    int status =
        features ? run_tower(r, n, joined ? joined : tiles->data, tiles->shape[0], features, err)
                 : dsvl_fail_memory(err, (size_t)(tiles->shape[0] * side * side * width) * sizeof *features);
    dsvl_dealloc(joined);
    if (status == 0) status = dsvl_image_mosaic(m, features, cols, rows, to, err);
    dsvl_dealloc(features);
    if (status == 0) compare(r, "embeddings", n, to, tokens, width, false);
    r->placed += tokens;
    return status;
}

static int picture(run *r, int n, bool crop, dsvl_error *err)
{
    const dsvl_tensor *image = find(r, "image", n), *tiles = find(r, "tiles", n),
                      *want = find(r, "embeddings", n);
    dsvl_tensor cut = {0};
    int status = 0;
    if (image && (image->rank != 3 || image->shape[2] != 3 || image->dtype != DSVL_U8))
        return dsvl_fail(err, DSVL_E_INPUT, "image.%d of the fixture is not an RGB picture", n);
    if (image) status = r->cut(&r->model->processor, image, crop, &cut, err);
    if (status == 0 && image && tiles)
        report(r, "tiles", n,
               cut.nbytes == tiles->nbytes && memcmp(cut.data, tiles->data, cut.nbytes) == 0 ? 0 : INFINITY);
    if (status == 0 && !r->departed) status = encode(r, n, image ? &cut : tiles, want->shape[0], err);
    dsvl_tensor_free(&cut);
    return status;
}

/* ---- text -------------------------------------------------------------------------------------------- */

static void watch(void *user, const char *stage, const float *values, int64_t rows, int64_t cols)
{
    compare(user, stage, -1, values, rows, cols, true);
}

/* Rows at the end of the prompt that the fixture has layers or logits of. */
static int64_t watched_rows(const run *r, int64_t length)
{
    const dsvl_tensor *layer = find(r, "layer", 0), *logits = find(r, "logits", -1);
    const int64_t a = layer && layer->rank == 2 ? layer->shape[0] : 1,
                  b = logits && logits->rank == 2 ? logits->shape[0] : 1;
    const int64_t rows = a > b ? a : b;
    return rows < length ? rows : length;
}

/* The whole prompt as rows, as the published code has it: tokens' embeddings, and the pictures' in their
 * places. */
static int feed(run *r, dsvl_session *session, const int64_t *ids, int64_t length, int32_t image,
                dsvl_error *err)
{
    const size_t width = (size_t)dsvl_model_width(r->model);
    float *all = dsvl_alloc((size_t)length * width, sizeof *all);
    if (!all) return dsvl_fail_memory(err, (size_t)length * width * sizeof *all);
    const dsvl_decoder_config *c = &r->model->config.decoder;
    int status = 0;
    int64_t used = 0;
    for (int64_t i = 0; status == 0 && i < length; i++) {
        float *row = all + (size_t)i * width;
        if (ids[i] == image && used < r->placed)
            memcpy(row, r->rows + (size_t)used++ * width, width * sizeof *row);
        else if (ids[i] < 0 || ids[i] >= c->vocab)
            status = dsvl_fail(err, DSVL_E_INPUT, "input_ids of the fixture holds %lld", (long long)ids[i]);
        else
            dsvl_session_embed(session, (int32_t)ids[i], row);
    }
    const size_t kept = (size_t)watched_rows(r, length), before = (size_t)length - kept;
    if (status == 0) status = dsvl_session_feed_embeddings(session, all, before, err);
    dsvl_session_probe(session, watch, r);
    if (status == 0) status = dsvl_session_feed_embeddings(session, all + before * width, kept, err);
    dsvl_session_probe(session, NULL, NULL);
    dsvl_dealloc(all);
    return status;
}

static int greedy(run *r, dsvl_session *session, dsvl_error *err)
{
    const dsvl_tensor *want = find(r, "greedy", -1);
    if (!want || want->dtype != DSVL_I64 || r->departed) return 0;
    bool same = true;
    for (int64_t k = 0; same && k < want->shape[0]; k++) {
        size_t vocab = 0, best = 0;
        const float *logits = dsvl_session_logits(session, &vocab);
        for (size_t i = 1; logits && i < vocab; i++)
            if (logits[i] > logits[best]) best = i;
        const int32_t token = (int32_t)best;
        same = logits && token == ((const int64_t *)want->data)[k];
        if (dsvl_session_feed_tokens(session, &token, 1, err)) return -1;
    }
    report(r, "greedy", -1, same ? 0 : INFINITY);
    return 0;
}

static int answer(run *r, dsvl_error *err)
{
    const dsvl_tensor *ids = find(r, "input_ids", -1), *want = find(r, "greedy", -1);
    const int64_t length = ids->shape[0], more = want ? want->shape[0] : 0;
    const int context = dsvl_model_context(r->model);
    dsvl_session *session =
        dsvl_session_new(r->model, length + more > context ? (int)(length + more) : 0, err);
    if (!session) return -1;
    int status = feed(r, session, ids->data, length,
                      dsvl_chat_special(r->model, r->model->processor.image_token), err);
    if (status == 0) status = greedy(r, session, err);
    dsvl_session_free(session);
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static int stages(run *r, dsvl_error *err)
{
    const dsvl_tensor *ids = find(r, "input_ids", -1);
    const size_t width = (size_t)dsvl_model_width(r->model);
    if (!ids || ids->dtype != DSVL_I64 || ids->rank != 1 || ids->shape[0] < 1 || ids->shape[0] > 1 << 24)
        return dsvl_fail(err, DSVL_E_INPUT, "the fixture has no input_ids; see tests/reference/README.md");
    r->kern = kern_context_new(r->model->options.threads);
    r->rows = dsvl_alloc((size_t)ids->shape[0] * width, sizeof *r->rows);
    if (!r->kern || !r->rows) return dsvl_fail_memory(err, (size_t)ids->shape[0] * width * sizeof *r->rows);
    int images = 0;
    int64_t tokens = 0;
    for (const dsvl_tensor *t; (t = find(r, "embeddings", images)); images++) {
        if (t->rank != 2 || t->dtype != DSVL_F32 || !(find(r, "image", images) || find(r, "tiles", images)))
            return dsvl_fail(err, DSVL_E_INPUT, "the fixture has embeddings.%d without image.%d or tiles.%d",
                             images, images, images);
        tokens += t->shape[0];
    }
    if (tokens > ids->shape[0])
        return dsvl_fail(err, DSVL_E_INPUT, "the fixture has more image tokens than input_ids");
    for (int n = 0; n < images && !r->departed; n++)
        if (picture(r, n, images <= 2, err)) return -1; /* the published rule for cutting */
    return r->departed ? 0 : answer(r, err);
}

int dsvl_verify_stages(const dsvl_model *model, const char *path, double tolerance, dsvl_cut_fn cut,
                       dsvl_stage_fn seen, void *user, dsvl_error *err)
{
    run r = {.model = model, .tolerance = tolerance, .cut = cut, .seen = seen, .user = user};
    char *bytes = NULL, *folder = dsvl_strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    size_t length;
    int status = -1;
    if (!folder) return dsvl_fail_memory(err, strlen(path));
    if (slash) *slash = '\0';
    if (dsvl_folder_read(slash ? folder : ".", slash ? slash + 1 : path, FIXTURE_LIMIT, &bytes, &length, err))
        goto out;
    uint64_t header = 0;
    for (int i = 7; length >= 8 && i >= 0; i--) header = header << 8 | (unsigned char)bytes[i];
    if (length < 8 || header > length - 8) {
        dsvl_fail(err, DSVL_E_INPUT, "%s: no safetensors file", path);
        goto out;
    }
    if (dsvl_st_parse(&r.fixture, bytes + 8, (size_t)header, length - 8 - header, path, err)) goto out;
    for (size_t i = 0; i < r.fixture.count; i++)
        r.fixture.entries[i].tensor.data = bytes + 8 + header + r.fixture.entries[i].begin;
    status = stages(&r, err);
    if (status) dsvl_error_prefix(err, "%s: ", path);
out:
    dsvl_st_clear(&r.fixture);
    kern_context_free(r.kern);
    dsvl_dealloc(r.rows);
    dsvl_dealloc(bytes);
    dsvl_dealloc(folder);
    return status;
}
