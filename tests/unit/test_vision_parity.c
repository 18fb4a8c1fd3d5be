/* SPDX-License-Identifier: Apache-2.0 */
/* Tower, projector and image embeddings against the published PyTorch code: every case of
 * tests/reference/fixtures with pictures. Also: any split of the tiles and any number of threads gives the
 * same bits. */
#include <math.h>

#include "filters/tiling.h"
#include "lib/model.h"
#include "lib/tile_cache.h"
#include "tests/unit/check.h"
#include "tests/unit/fixture.h"

static const double tolerance = 2e-4;
static int pictures, squares;

static const dsvl_tensor *numbered(const fixture *f, const char *kind, int n)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d", kind, n);
    return fixture_tensor(f, name);
}

/* max |a - b| / max |b|; the fixture may hold only the first part. */
static void compare(const fixture *f, const char *stage, int n, const float *got)
{
    const dsvl_tensor *want = numbered(f, stage, n);
    if (!want) return; /* left out of the larger fixtures */
    double far = 0, largest = 0;
    size_t worst = 0;
    const float *b = want->data;
    for (size_t i = 0; i < want->nbytes / sizeof *b; i++) {
        const double d = fabs((double)got[i] - (double)b[i]);
        if (!(d <= far) && !isnan(far)) {
            far = d;
            worst = i;
        }
        if (fabs((double)b[i]) > largest) largest = fabs((double)b[i]);
    }
    CHECK_MSG(far <= tolerance * largest,
              "%s: %s.%d is off by %.3g of %.3g (%.3g relative) at element %zu: %.9g, not %.9g", f->name,
              stage, n, far, largest, far / largest, worst, (double)got[worst], (double)b[worst]);
    if (getenv("DSVL_TEST_VERBOSE")) fprintf(stderr, "%s: %s.%d: %.3g\n", f->name, stage, n, far / largest);
}

/* cols x rows local tiles from the number of tokens of the image: rows alone adds to the product's share. */
static bool find_grid(const dsvl_model *m, int local, int64_t tokens, int *cols, int *rows)
{
    for (*rows = 1; *rows <= local; (*rows)++) {
        *cols = local / *rows;
        if (*cols * *rows == local && dsvl_image_tokens(m, *cols, *rows) == tokens) return true;
    }
    return false;
}

static void check_splits(const char *folder, const dsvl_model *m, const uint8_t *tiles, int n,
                         const float *whole, size_t floats)
{
    const size_t bytes = dsvl_model_tile_bytes(m);
    const dsvl_options one = {.threads = 1}, three = {.threads = 3};
    const dsvl_options *const options[] = {NULL, &one, &three};
    float *again = dsvl_alloc(floats, sizeof *again);
    for (int k = 0; k < 3; k++) {
        dsvl_error err = {0};
        dsvl_model *other = dsvl_model_open(folder, DSVL_PART_VISION, options[k], &err);
        CHECK_MSG(other, "%s", err.message);
        for (int i = 0; other && i < n; i += k == 0 ? 1 : n) { /* tile by tile, then all with other threads */
            const int now = k == 0 ? 1 : n;
            CHECK(dsvl_encode_tiles(other, tiles + (size_t)i * bytes, now,
                                    again + floats / (size_t)n * (size_t)i, &err) == 0);
        }
        CHECK_MSG(memcmp(again, whole, floats * sizeof *whole) == 0, "%s: variant %d", folder, k);
        dsvl_model_close(other);
    }
    dsvl_dealloc(again);
}

static void check_image(const fixture *f, const dsvl_model *m, int n, const uint8_t *tiles, int count)
{
    dsvl_error err = {0};
    const int side = m->config.vision.side, out_side = dsvl_tile_tokens_side(m), width = dsvl_model_width(m);
    const size_t floats = (size_t)count * (size_t)(out_side * out_side * width);
    const int64_t tokens = numbered(f, "embeddings", n)->shape[0];
    int cols = 0, rows = 0; /* a square is not cut */

    if (!m->processor.square && !find_grid(m, count - 1, tokens, &cols, &rows)) {
        CHECK_MSG(false, "%s: %lld tokens of %d tiles", f->name, (long long)tokens, count);
        return;
    }
    const size_t low = (size_t)count * (size_t)(side * side * m->config.vision.width);
    float *tower = dsvl_alloc((size_t)count * (size_t)dsvl_towers_floats(m), sizeof *tower);
    float *features = dsvl_alloc(floats, sizeof *features);
    float *embeddings = dsvl_alloc((size_t)tokens * (size_t)width, sizeof *embeddings);
    kern_context *context = kern_context_new(0);
    CHECK_MSG(dsvl_towers_run(m, context, tiles, count, tower, &err) == 0, "%s", err.message);
    compare(f, "tower", n, tower);
    if (m->sam) compare(f, "high", n, tower + low);
    CHECK_MSG(dsvl_encode_tiles(m, tiles, count, features, &err) == 0, "%s", err.message);
    compare(f, "projector", n, features);
    CHECK_MSG(dsvl_image_mosaic(m, features, cols, rows, embeddings, &err) == 0, "%s", err.message);
    compare(f, "embeddings", n, embeddings);
    check_splits(f->folder, m, tiles, count, features, floats);
    kern_context_free(context);
    dsvl_dealloc(tower);
    dsvl_dealloc(features);
    dsvl_dealloc(embeddings);
    pictures++;
}

/* Cases of the embedded model come without tiles: cut them here. */
static int cut_tiles(const fixture *f, const dsvl_model *m, int n, dsvl_tensor *tiles, dsvl_error *err)
{
    const dsvl_tensor *image = numbered(f, "image", n);
    const int width = (int)image->shape[1], height = (int)image->shape[0];
    const dsvl_picture picture = {image->data, (size_t)width * 3, width, height, 3};
    dsvl_tile_plan plan;
    if (dsvl_tiling_plan(&plan, &m->processor, width, height, true, err)) return -1;
    return dsvl_tiling_cut(tiles, &plan, &m->processor, &picture, DSVL_PILLOW_13_0, err);
}

/* A picture cut as dsvl-tile does gives the published pixels: the square, and its smaller picture if any. */
static void check_square(const fixture *f, const dsvl_model *m, const char *picture, const char *square,
                         int n)
{
    dsvl_error err = {0};
    dsvl_tile_plan plan;
    dsvl_tensor cut, low = {0};
    char low_name[32];
    snprintf(low_name, sizeof low_name, "%s_low", square);
    const dsvl_tensor *image = numbered(f, picture, n), *want = numbered(f, square, n),
                      *want_low = numbered(f, low_name, n);
    const int width = (int)image->shape[1], height = (int)image->shape[0];
    const dsvl_picture source = {image->data, (size_t)width * 3, width, height, 3};
    if (dsvl_tiling_plan(&plan, &m->processor, width, height, true, &err) ||
        dsvl_tiling_cut(&cut, &plan, &m->processor, &source, DSVL_PILLOW_9_3, &err)) {
        CHECK_MSG(false, "%s: %s", f->name, err.message);
        return;
    }
    if (want->shape[1] !=
        m->processor.tile_size) { /* transformers' longer side, rounded down: see tiling.h */
        CHECK(m->processor.by_ratio && want->shape[1] == m->processor.tile_size - 1 &&
              cut.shape[1] == m->processor.tile_size);
        dsvl_tensor_free(&cut);
        return;
    }
    CHECK_MSG(cut.nbytes == want->nbytes && memcmp(cut.data, want->data, cut.nbytes) == 0,
              "%s: %s.%d (%d x %d)", f->name, square, n, width, height);
    CHECK(!want_low == !m->processor.low_size);
    if (want_low) {
        CHECK(dsvl_tiling_low(&low, &cut, &m->processor, &err) == 0);
        CHECK_MSG(low.nbytes == want_low->nbytes && memcmp(low.data, want_low->data, low.nbytes) == 0,
                  "%s: %s.%d (%d x %d)", f->name, low_name, n, width, height);
    }
    dsvl_tensor_free(&cut);
    dsvl_tensor_free(&low);
    squares++;
}

/* A square and the smaller picture behind it; owned. */
static uint8_t *joined(const dsvl_model *m, const dsvl_tensor *tiles, const dsvl_tensor *low)
{
    uint8_t *whole = dsvl_alloc(dsvl_model_tile_bytes(m), 1);
    memcpy(whole, tiles->data, tiles->nbytes);
    memcpy(whole + tiles->nbytes, low->data, low->nbytes);
    return whole;
}

static void check_case(const fixture *f)
{
    dsvl_error err = {0};
    dsvl_model *m = dsvl_model_open(f->folder, DSVL_PART_VISION, NULL, &err);
    CHECK_MSG(m, "%s: %s", f->name, err.message);
    for (int n = 0; m && numbered(f, "embeddings", n); n++) {
        dsvl_tensor cut = {0};
        const dsvl_tensor *tiles = numbered(f, "tiles", n);
        if (!tiles && cut_tiles(f, m, n, &cut, &err)) CHECK_MSG(false, "%s: %s", f->name, err.message);
        if (!tiles) tiles = &cut;
        const dsvl_tensor *low = numbered(f, "tiles_low", n);
        uint8_t *both = low ? joined(m, tiles, low) : NULL;
        if (tiles->data) check_image(f, m, n, both ? both : tiles->data, (int)tiles->shape[0]);
        if (m->processor.square) check_square(f, m, "image", "tiles", n);
        dsvl_dealloc(both);
        dsvl_tensor_free(&cut);
    }
    for (int n = 0; m && numbered(f, "shape", n); n++) check_square(f, m, "shape", "square", n);
    dsvl_model_close(m);
}

/* Opening and encoding with memory running out at every place in turn: an error, no leak, and no other code.
 */
static void memory_runs_out(const char *folder)
{
    static uint8_t tiles[128 * 128 * 3 + 48 * 48 * 3];
    for (long n = 1;; n++) {
        dsvl_error err = {0};
        bool fresh;
        dsvl_alloc_fail_at(n);
        dsvl_model *m = dsvl_model_open(folder, DSVL_PART_VISION, NULL, &err);
        dsvl_tile_cache *cache = m ? dsvl_tile_cache_new(m, 1 << 20, &err) : NULL;
        bool done = cache && dsvl_tile_cache_add(cache, tiles, &fresh, &err) &&
                    dsvl_tile_cache_encode(cache, &err) == 0;
        dsvl_alloc_fail_at(0);
        dsvl_tile_cache_free(cache);
        dsvl_model_close(m);
        if (done) break;
        CHECK_MSG(err.code == DSVL_E_MEMORY && n < 2000, "%ld: %s", n, err.message);
        if (n >= 2000) break;
    }
}

int main(void)
{
    memory_runs_out(FIXTURES "/vl2-small");
    memory_runs_out(FIXTURES "/vl-7b");
    memory_runs_out(FIXTURES "/vl-7b-transformers");
    CHECK(fixture_each(check_case) >= 20);
    CHECK_MSG(pictures >= 20, "only %d pictures", pictures);
    CHECK_MSG(squares >= 50, "only %d squares", squares);
    return CHECK_DONE();
}
