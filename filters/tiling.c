/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles of a page: see filters/tiling.h. */
#include "filters/tiling.h"

#include <math.h>
#include <string.h>

#include "lib/alloc.h"

void dsvl_tiling_select(const dsvl_processor_config *config, int width, int height, int *best_width,
                        int *best_height)
{
    int64_t most = 0, least = INT64_MAX; /* Python starts the latter at infinity */
    *best_width = *best_height = config->tile_size;
    for (int i = 0; i < config->candidates; i++) {
        int64_t w = config->candidate[i][0], h = config->candidate[i][1];
        double across = (double)w / width, down = (double)h / height;
        double scale = across < down ? across : down;
        /* int() truncates: a side may come out one below what exact arithmetic gives, as it does in Python.
         */
        int64_t scaled = (int64_t)(width * scale) * (int64_t)(height * scale);
        int64_t all = (int64_t)width * height;
        int64_t kept = scaled < all ? scaled : all;
        int64_t wasted = w * h - kept;
        if (kept > most || (kept == most && wasted < least)) {
            most = kept;
            least = wasted;
            *best_width = (int)w;
            *best_height = (int)h;
        }
    }
}

dsvl_box dsvl_pad_box(int width, int height, int pad_width, int pad_height)
{
    double ratio = (double)width / height, wanted = (double)pad_width / pad_height;
    dsvl_box box = {0, 0, pad_width, pad_height};
    /* rint rounds halves to even, as Python's round does. */
    if (ratio > wanted)
        box.height = (int)rint((double)height / width * pad_width);
    else if (ratio < wanted)
        box.width = (int)rint((double)width / height * pad_height);
    if (box.width != pad_width)
        box.x = (int)rint((pad_width - box.width) * 0.5);
    else
        box.y = (int)rint((pad_height - box.height) * 0.5);
    return box;
}

static int square_side(const dsvl_processor_config *config, int side, int longest)
{
    const int size = config->tile_size;
    if (side == longest) return size;
    int scaled =
        config->by_ratio ? (int)(side * ((double)size / longest)) : (int)((double)side / longest * size);
    return scaled > config->min_size ? scaled : config->min_size;
}

dsvl_box dsvl_square_box(const dsvl_processor_config *config, int width, int height)
{
    const int longest = width > height ? width : height;
    dsvl_box box = {.width = square_side(config, width, longest),
                    .height = square_side(config, height, longest)};
    box.x = (config->tile_size - box.width) / 2;
    box.y = (config->tile_size - box.height) / 2;
    return box;
}

int dsvl_tiling_plan(dsvl_tile_plan *plan, const dsvl_processor_config *config, int width, int height,
                     bool cropping, dsvl_error *err)
{
    int size = config->tile_size, best_width = size, best_height = size;
    if (width < 1 || height < 1 || width > DSVL_RESIZE_MAX_SIDE || height > DSVL_RESIZE_MAX_SIDE)
        return dsvl_fail(err, DSVL_E_INPUT, "a picture of %dx%d pixels cannot be tiled", width, height);
    if (config->square) {
        const dsvl_box box = dsvl_square_box(config, width, height);
        *plan = (dsvl_tile_plan){.tile_size = size, .content = box, .thumbnail = box};
        return 0;
    }
    if (cropping) dsvl_tiling_select(config, width, height, &best_width, &best_height);
    if (size < 1 || best_width < 1 || best_height < 1 || best_width % size || best_height % size)
        return dsvl_fail(err, DSVL_E_INTERNAL, "tiles of %d pixels do not fill %dx%d", size, best_width,
                         best_height);
    *plan = (dsvl_tile_plan){.tile_size = size,
                             .cols = best_width / size,
                             .rows = best_height / size,
                             .content = dsvl_pad_box(width, height, best_width, best_height),
                             .thumbnail = dsvl_pad_box(width, height, size, size)};
    return 0;
}

/* Whether Image.resize makes the vertical pass first. */
static bool vertical_first(dsvl_pillow pillow, const dsvl_picture *source, const dsvl_box *box)
{
    int64_t lower = (int64_t)source->height - box->height, narrower = (int64_t)source->width - box->width;
    if (pillow == DSVL_PILLOW_13_0) return lower > 0 && lower > narrower * 2;
    if (pillow == DSVL_PILLOW_12_2) return source->height > (int64_t)source->width * 100 && lower > 0;
    return false;
}

static dsvl_resize_filter filter_of(int number)
{
    return number == DSVL_PILLOW_BILINEAR ? DSVL_RESIZE_BILINEAR : DSVL_RESIZE_BICUBIC;
}

/* Image.resize(filter) of the whole source into the box at dst. */
static int resize_into(uint8_t *dst, size_t stride, const dsvl_box *box, const dsvl_picture *source,
                       dsvl_resize_filter filter, dsvl_pillow pillow, dsvl_error *err)
{
    if (!vertical_first(pillow, source, box))
        return dsvl_resize(dst, stride, box->width, box->height, source, NULL, filter, err);
    size_t bytes = (size_t)source->width * 3;
    uint8_t *lower = dsvl_alloc((size_t)box->height, bytes); /* [box->height, source->width, 3] */
    if (!lower) return dsvl_fail_memory(err, (size_t)box->height * bytes);
    dsvl_picture half = {lower, bytes, source->width, box->height, 3};
    int status = dsvl_resize(lower, bytes, source->width, box->height, source, NULL, filter, err);
    if (!status) status = dsvl_resize(dst, stride, box->width, box->height, &half, NULL, filter, err);
    dsvl_dealloc(lower);
    return status;
}

/* ImageOps.pad into canvas [height, width, 3]. */
static int pad(uint8_t *canvas, int width, int height, const dsvl_box *box,
               const dsvl_processor_config *config, const dsvl_picture *source, dsvl_pillow pillow,
               dsvl_error *err)
{
    const int *color = config->pad_color;
    size_t stride = (size_t)width * 3;
    if (box->width != width || box->height != height) {
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) canvas[x * 3 + c] = (uint8_t)color[c];
        for (int y = 1; y < height; y++) memcpy(canvas + (size_t)y * stride, canvas, stride);
    }
    if (box->width < 1 || box->height < 1) return 0;
    return resize_into(canvas + (size_t)box->y * stride + (size_t)box->x * 3, stride, box, source,
                       filter_of(config->filter), pillow, err);
}

/* The tile in column `col` and row `row` of the mosaic [rows*S, cols*S, 3]. Mirrors local_view.crop. */
static void crop(uint8_t *tile, const uint8_t *mosaic, const dsvl_tile_plan *plan, int col, int row)
{
    size_t bytes = (size_t)plan->tile_size * 3, stride = (size_t)plan->cols * bytes;
    const uint8_t *from = mosaic + (size_t)row * (size_t)plan->tile_size * stride + (size_t)col * bytes;
    for (int y = 0; y < plan->tile_size; y++)
        memcpy(tile + (size_t)y * bytes, from + (size_t)y * stride, bytes);
}

/* The local tiles [rows*cols, S, S, 3]. */
static int cut_local(uint8_t *tiles, const dsvl_tile_plan *plan, const dsvl_processor_config *config,
                     const dsvl_picture *source, dsvl_pillow pillow, dsvl_error *err)
{
    size_t tile = (size_t)plan->tile_size * (size_t)plan->tile_size * 3;
    size_t count = (size_t)plan->cols * (size_t)plan->rows;
    uint8_t *mosaic = dsvl_alloc(count, tile);
    if (!mosaic) return dsvl_fail_memory(err, count * tile);
    int status = pad(mosaic, plan->cols * plan->tile_size, plan->rows * plan->tile_size, &plan->content,
                     config, source, pillow, err);
    for (int row = 0; row < plan->rows && !status; row++)
        for (int col = 0; col < plan->cols; col++)
            crop(tiles + (size_t)(row * plan->cols + col) * tile, mosaic, plan, col, row);
    dsvl_dealloc(mosaic);
    return status;
}

int dsvl_tiling_cut(dsvl_tensor *tiles, const dsvl_tile_plan *plan, const dsvl_processor_config *config,
                    const dsvl_picture *source, dsvl_pillow pillow, dsvl_error *err)
{
    int size = plan->tile_size;
    int64_t shape[4] = {1 + (int64_t)plan->cols * plan->rows, size, size, 3};
    if (source->channels != 3)
        return dsvl_fail(err, DSVL_E_INTERNAL, "tiling wants 3 channels, not %d", source->channels);
    memset(tiles, 0, sizeof *tiles);
    if (dsvl_tensor_new(tiles, DSVL_U8, 4, shape, err)) return -1;
    uint8_t *global = tiles->data, *local = global + (size_t)size * (size_t)size * 3;
    int status = pad(global, size, size, &plan->thumbnail, config, source, pillow, err);
    if (!status && plan->cols * plan->rows == 0)
        return 0;
    else if (!status && plan->cols * plan->rows == 1)
        memcpy(local, global, (size_t)(local - global)); /* one tile: the same picture in the same size */
    else if (!status)
        status = cut_local(local, plan, config, source, pillow, err);
    if (status) dsvl_tensor_free(tiles);
    return status;
}

int dsvl_tiling_low(dsvl_tensor *low, const dsvl_tensor *tiles, const dsvl_processor_config *config,
                    dsvl_error *err)
{
    const int size = config->tile_size, side = config->low_size;
    const dsvl_picture square = {tiles->data, (size_t)size * 3, size, size, 3};
    if (side < 1 || tiles->shape[0] != 1 || tiles->shape[1] != size)
        return dsvl_fail(err, DSVL_E_INTERNAL, "no square of %d pixels to make one of %d of", size, side);
    memset(low, 0, sizeof *low);
    if (dsvl_tensor_new(low, DSVL_U8, 4, (const int64_t[]){1, side, side, 3}, err)) return -1;
    if (dsvl_resize(low->data, (size_t)side * 3, side, side, &square, NULL, filter_of(config->low_filter),
                    err) == 0)
        return 0;
    dsvl_tensor_free(low);
    return -1;
}
