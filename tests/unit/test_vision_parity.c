/* SPDX-License-Identifier: Apache-2.0 */
/* Tower, projector and image embeddings against the published PyTorch code: every case of
 * tests/reference/fixtures with pictures. Also: any split of the tiles and any number of threads gives the
 * same bits. */
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

#include "lib/alloc.h"
#include "lib/folder.h"
#include "lib/model.h"
#include "lib/safetensors.h"
#include "tests/unit/check.h"

#define FIXTURES "tests/reference/fixtures"
#define NANO "models/nano"
static const double tolerance = 2e-4;

typedef struct expected {
    char *bytes;
    dsvl_st_header header;
} expected;

static int expected_read(expected *e, const char *folder, dsvl_error *err)
{
    size_t length;
    uint64_t header = 0;
    memset(e, 0, sizeof *e);
    if (dsvl_folder_read(folder, "expected.safetensors", (size_t)1 << 30, &e->bytes, &length, err)) return -1;
    for (int i = 7; i >= 0; i--) header = header << 8 | (unsigned char)e->bytes[i];
    if (dsvl_st_parse(&e->header, e->bytes + 8, (size_t)header, length - 8 - (size_t)header, folder, err))
        return -1;
    for (size_t i = 0; i < e->header.count; i++) {
        e->header.entries[i].tensor.data = e->bytes + 8 + header + e->header.entries[i].begin;
    }
    return 0;
}

static void expected_free(expected *e)
{
    dsvl_st_clear(&e->header);
    dsvl_dealloc(e->bytes);
}

static const dsvl_tensor *tensor(const expected *e, const char *kind, int n)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d", kind, n);
    const dsvl_st_entry *entry = dsvl_st_find(&e->header, name);
    return entry ? &entry->tensor : NULL;
}

/* max |a - b| / max |b|; the fixture may hold only the first part. */
static void compare(const char *folder, const char *stage, int n, const float *got, const dsvl_tensor *want)
{
    double far = 0, largest = 0;
    size_t worst = 0;
    const float *b = want->data;
    for (size_t i = 0; i < want->nbytes / sizeof *b; i++) {
        const double d = fabs((double)got[i] - (double)b[i]);
        if (!(d <= far)) {
            far = d;
            worst = i;
        }
        if (fabs((double)b[i]) > largest) largest = fabs((double)b[i]);
    }
    CHECK_MSG(far <= tolerance * largest,
              "%s: %s.%d: off by %.3g of %.3g (%.3g relative) at element %zu: %.9g, not %.9g", folder, stage,
              n, far, largest, far / largest, worst, (double)got[worst], (double)b[worst]);
    if (getenv("DSVL_TEST_VERBOSE")) fprintf(stderr, "%s: %s.%d: %.3g\n", folder, stage, n, far / largest);
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
    const size_t S = (size_t)dsvl_model_tile_size(m);
    const dsvl_options one = {.threads = 1}, three = {.threads = 3};
    const dsvl_options *const options[] = {NULL, &one, &three};
    float *again = dsvl_alloc(floats, sizeof *again);
    for (int k = 0; k < 3; k++) {
        dsvl_error err = {0};
        dsvl_model *other = dsvl_model_open(folder, DSVL_PART_VISION, options[k], &err);
        CHECK_MSG(other, "%s", err.message);
        for (int i = 0; other && i < n; i += k == 0 ? 1 : n) { /* tile by tile, then all with other threads */
            const int now = k == 0 ? 1 : n;
            CHECK(dsvl_encode_tiles(other, tiles + (size_t)i * S * S * 3, now,
                                    again + floats / (size_t)n * (size_t)i, &err) == 0);
        }
        CHECK_MSG(memcmp(again, whole, floats * sizeof *whole) == 0, "%s: variant %d", folder, k);
        dsvl_model_close(other);
    }
    dsvl_dealloc(again);
}

static void check_image(const char *folder, const char *model_folder, const dsvl_model *m, const expected *e,
                        int n, const uint8_t *tiles, int count)
{
    dsvl_error err = {0};
    const int side = m->config.vision.side, out_side = dsvl_tile_tokens_side(m), width = dsvl_model_width(m);
    const size_t floats = (size_t)count * (size_t)(out_side * out_side * width);
    const dsvl_tensor *want = tensor(e, "embeddings", n);
    int cols, rows;
    if (!find_grid(m, count - 1, want->shape[0], &cols, &rows)) {
        CHECK_MSG(false, "%s: %lld tokens of %d tiles", folder, (long long)want->shape[0], count);
        return;
    }
    float *tower = dsvl_alloc((size_t)count * (size_t)(side * side * m->config.vision.width), sizeof *tower);
    float *features = dsvl_alloc(floats, sizeof *features);
    float *embeddings =
        dsvl_alloc((size_t)dsvl_image_tokens(m, cols, rows) * (size_t)width, sizeof *embeddings);
    kern_context *context = kern_context_new(0);
    CHECK_MSG(dsvl_vision_run(m->vision, context, &m->processor, tiles, count, tower, &err) == 0, "%s",
              err.message);
    compare(folder, "tower", n, tower, tensor(e, "tower", n));
    CHECK_MSG(dsvl_encode_tiles(m, tiles, count, features, &err) == 0, "%s", err.message);
    compare(folder, "projector", n, features, tensor(e, "projector", n));
    CHECK_MSG(dsvl_image_mosaic(m, features, cols, rows, embeddings, &err) == 0, "%s", err.message);
    compare(folder, "embeddings", n, embeddings, want);
    check_splits(model_folder, m, tiles, count, features, floats);
    kern_context_free(context);
    dsvl_dealloc(tower);
    dsvl_dealloc(features);
    dsvl_dealloc(embeddings);
}

/* Returns how many pictures were compared. */
static int check_case(const char *name)
{
    char folder[512];
    expected e;
    dsvl_error err = {0};
    int pictures = 0;
    snprintf(folder, sizeof folder, FIXTURES "/%s", name);
    const char *model_folder = dsvl_folder_has(folder, "config.json") ? folder : NANO;
    dsvl_model *m = dsvl_model_open(model_folder, DSVL_PART_VISION, NULL, &err);
    CHECK_MSG(m, "%s: %s", folder, err.message);
    if (m && expected_read(&e, folder, &err)) CHECK_MSG(false, "%s: %s", folder, err.message);
    for (int n = 0; m && e.bytes && tensor(&e, "embeddings", n); n++) {
        const dsvl_tensor *tiles = tensor(&e, "tiles", n), *image = tensor(&e, "image", n);
        if (tiles) {
            check_image(folder, model_folder, m, &e, n, tiles->data, (int)tiles->shape[0]);
            pictures++;
        } else if (image->shape[0] == m->processor.tile_size && image->shape[1] == m->processor.tile_size) {
            uint8_t *twice =
                dsvl_alloc(2, image->nbytes); /* it is its own global view and its own only tile */
            memcpy(twice, image->data, image->nbytes);
            memcpy(twice + image->nbytes, image->data, image->nbytes);
            check_image(folder, model_folder, m, &e, n, twice, 2);
            dsvl_dealloc(twice);
            pictures++;
        }
    }
    if (m) expected_free(&e);
    dsvl_model_close(m);
    return pictures;
}

int main(void)
{
    DIR *dir = opendir(FIXTURES);
    CHECK(dir);
    int pictures = 0;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char folder[512];
        snprintf(folder, sizeof folder, FIXTURES "/%s", d->d_name);
        if (d->d_name[0] != '.' && dsvl_folder_has(folder, "expected.safetensors"))
            pictures += check_case(d->d_name);
    }
    if (dir) closedir(dir);
    CHECK_MSG(pictures >= 4, "only %d pictures in " FIXTURES, pictures);
    return CHECK_DONE();
}
