/* SPDX-License-Identifier: Apache-2.0 */
/* Resampling as Pillow does it: see filters/resize.h. The order of every floating-point operation below is
 * that of libImaging/Resample.c (the build never contracts a*b+c into one rounding), so the weights are
 * Pillow's to the bit; from there on all is integer arithmetic, in which the order does not matter.
 *
 * Unlike Pillow, the passes are interleaved: rows of the horizontal pass are kept only as long as a window of
 * the vertical pass needs them. */
#include "filters/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters/resize_kernels.h"
#include "lib/alloc.h"

/* ---- filters ----------------------------------------------------------------------------------------- */

static double box_filter(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double bilinear_filter(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double bicubic_filter(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static const struct {
    double (*weight)(double x);
    double support;
} filters[DSVL_RESIZE_FILTERS] = {
    [DSVL_RESIZE_BOX] = {box_filter, 0.5},
    [DSVL_RESIZE_BILINEAR] = {bilinear_filter, 1.0},
    [DSVL_RESIZE_BICUBIC] = {bicubic_filter, 2.0},
};

/* ---- weights of an axis ------------------------------------------------------------------------------ */

static void axis_free(resize_axis *axis)
{
    dsvl_dealloc(axis->first);
    dsvl_dealloc(axis->count);
    dsvl_dealloc(axis->fixed);
    dsvl_dealloc(axis->split);
    memset(axis, 0, sizeof *axis);
}

static void split_weights(resize_axis *axis)
{
    const int half = 1 << (RESIZE_SPLIT - 1);
    size_t pairs = (size_t)axis->size * (size_t)(axis->taps / 2);
    for (size_t i = 0; i < pairs; i++) {
        for (size_t j = 0; j < 2; j++) {
            int32_t weight = axis->fixed[2 * i + j];
            int32_t high = (weight + half) >> RESIZE_SPLIT;
            axis->split[4 * i + j] = (int16_t)high;
            axis->split[4 * i + 2 + j] = (int16_t)(weight - high * (1 << RESIZE_SPLIT));
        }
    }
}

/* One result sample: the window [*first, *first + *count) and its weights, normalised and in fixed point.
 * Mirrors the loop body of precompute_coeffs, then normalize_coeffs_8bpc. */
static void sample_weights(resize_axis *axis, int at, double center, double support, double inverse,
                           int in_size, dsvl_resize_filter filter, double *scratch)
{
    int32_t *fixed = axis->fixed + (size_t)at * (size_t)axis->taps;
    double total = 0.0;
    int first = (int)(center - support + 0.5);
    if (first < 0) first = 0;
    int end = (int)(center + support + 0.5);
    if (end > in_size) end = in_size;
    int count = end - first;
    for (int i = 0; i < count; i++) {
        scratch[i] = filters[filter].weight((i + first - center + 0.5) * inverse);
        total += scratch[i];
    }
    for (int i = 0; i < count; i++) {
        double weight = total != 0.0 ? scratch[i] / total : scratch[i];
        fixed[i] = (int32_t)((weight < 0 ? -0.5 : 0.5) + weight * (1 << RESIZE_BITS));
    }
    axis->first[at] = first;
    axis->count[at] = count;
}

/* Source samples [from, to) of in_size become `size` samples. Mirrors precompute_coeffs; from and to are
 * float there too. */
static int axis_new(resize_axis *axis, int in_size, float from, float to, int size, dsvl_resize_filter filter,
                    int split, dsvl_error *err)
{
    const double scale = (double)(to - from) / size;
    const double filter_scale = scale < 1.0 ? 1.0 : scale;
    const double support = filters[filter].support * filter_scale;
    const double inverse = 1.0 / filter_scale;
    const int taps = ((int)ceil(support) * 2 + 1 + 3) / 4 * 4;
    double *scratch = dsvl_alloc((size_t)taps, sizeof *scratch);
    const size_t weights = (size_t)size * (size_t)taps;
    *axis = (resize_axis){.size = size,
                          .taps = taps,
                          .first = dsvl_alloc((size_t)size, sizeof *axis->first),
                          .count = dsvl_alloc((size_t)size, sizeof *axis->count),
                          .fixed = dsvl_alloc_zero(weights, sizeof *axis->fixed),
                          .split = split ? dsvl_alloc(weights, 2 * sizeof *axis->split) : NULL};
    if (!scratch || !axis->first || !axis->count || !axis->fixed || (split && !axis->split)) {
        dsvl_dealloc(scratch);
        axis_free(axis);
        return dsvl_fail_memory(err, weights * sizeof *axis->fixed);
    }
    for (int i = 0; i < size; i++)
        sample_weights(axis, i, from + (i + 0.5) * scale, support, inverse, in_size, filter, scratch);
    if (split) split_weights(axis);
    dsvl_dealloc(scratch);
    return 0;
}

/* ---- scalar passes: what the vector code must equal ---------------------------------------------------- */

static void horizontal_scalar(uint8_t *const dst[2], const uint8_t *const src[2], const resize_axis *axis,
                              int channels)
{
    for (int row = 0; row < 2; row++) {
        for (int x = 0; x < axis->size; x++) {
            const int32_t *fixed = axis->fixed + (size_t)x * (size_t)axis->taps;
            const uint8_t *from = src[row] + (size_t)axis->first[x] * (size_t)channels;
            for (int c = 0; c < channels; c++) {
                int32_t sum = RESIZE_HALF;
                for (int i = 0; i < axis->count[x]; i++)
                    sum += from[(size_t)i * (size_t)channels + (size_t)c] * fixed[i];
                dst[row][(size_t)x * (size_t)channels + (size_t)c] = resize_clip(sum);
            }
        }
    }
}

static void vertical_scalar(uint8_t *dst, const uint8_t *const *rows, const resize_axis *axis, int y,
                            size_t bytes)
{
    const int32_t *fixed = axis->fixed + (size_t)y * (size_t)axis->taps;
    for (size_t x = 0; x < bytes; x++) {
        int32_t sum = RESIZE_HALF;
        for (int i = 0; i < axis->count[y]; i++) sum += rows[i][x] * fixed[i];
        dst[x] = resize_clip(sum);
    }
}

const resize_kernels resize_kernels_scalar = {0, horizontal_scalar, vertical_scalar};

/* ---- the two passes ---------------------------------------------------------------------------------- */

typedef struct job {
    const resize_kernels *kernels;
    const dsvl_picture *source;
    uint8_t *dst;
    size_t dst_stride;
    size_t bytes;       /* of a result row */
    resize_axis x, y;   /* empty when the pass is not needed */
    uint8_t *padded[2]; /* copies of source rows that have no slack behind them */
    uint8_t *ring;      /* [slots, slot_bytes]: rows of the horizontal pass; row r in slot r % slots */
    int slots;
    size_t slot_bytes;
    const uint8_t **window; /* [y.taps] */
} job;

static const uint8_t *source_row(const job *j, int row)
{
    return j->source->pixels + (size_t)row * j->source->stride;
}

/* Where the horizontal pass may read `row` from. */
static const uint8_t *readable_row(const job *j, int row, int which)
{
    const dsvl_picture *s = j->source;
    size_t used = (size_t)s->width * (size_t)s->channels;
    size_t left = (size_t)(s->height - 1 - row) * s->stride + used;
    if (left >= used + RESIZE_SLACK) return source_row(j, row);
    memcpy(j->padded[which], source_row(j, row), used);
    return j->padded[which];
}

static uint8_t *ring_row(const job *j, int row)
{
    return j->ring + (size_t)(row % j->slots) * j->slot_bytes;
}

/* Rows `row` and the one after it through the horizontal pass, into the ring. Past the last row it is done
 * twice. */
static void ring_fill(const job *j, int row)
{
    int other = row + 1 < j->source->height ? row + 1 : row;
    const uint8_t *src[2] = {readable_row(j, row, 0), readable_row(j, other, 1)};
    uint8_t *dst[2] = {ring_row(j, row), ring_row(j, row + 1)};
    j->kernels->horizontal(dst, src, &j->x, j->source->channels);
}

static void run_horizontal(const job *j)
{
    for (int y = 0; y < j->source->height; y += 2) {
        ring_fill(j, y);
        for (int i = y; i < y + 2 && i < j->source->height; i++)
            memcpy(j->dst + (size_t)i * j->dst_stride, ring_row(j, i), j->bytes);
    }
}

static void run_vertical(const job *j)
{
    int next = 0; /* first row that the ring does not have yet; windows never move back */
    for (int y = 0; y < j->y.size; y++) {
        int first = j->y.first[y], end = first + j->y.count[y];
        if (j->ring) {
            if (next < first) next = first;
            for (; next < end; next += 2) ring_fill(j, next);
        }
        for (int i = first; i < end; i++) j->window[i - first] = j->ring ? ring_row(j, i) : source_row(j, i);
        if ((end - first) % 2) j->window[end - first] = j->window[end - first - 1];
        j->kernels->vertical(j->dst + (size_t)y * j->dst_stride, j->window, &j->y, y, j->bytes);
    }
}

static int job_prepare(job *j, int width, int height, const float box[4], dsvl_resize_filter filter,
                       dsvl_error *err)
{
    const dsvl_picture *s = j->source;
    bool need_x = width != s->width || box[0] != 0 || box[2] != (float)width;
    bool need_y = height != s->height || box[1] != 0 || box[3] != (float)height;
    int split = j->kernels->split;
    if ((need_x && axis_new(&j->x, s->width, box[0], box[2], width, filter, split, err)) ||
        (need_y && axis_new(&j->y, s->height, box[1], box[3], height, filter, split, err)))
        return -1;
    size_t used = (size_t)s->width * (size_t)s->channels;
    if (need_x) {
        /* A pair of rows may begin at the last row of a window: one more slot, and one for the row after it.
         */
        j->slots = j->y.taps + 2;
        j->slot_bytes = j->bytes + RESIZE_SLACK;
        j->ring = dsvl_alloc((size_t)j->slots, j->slot_bytes);
        for (int i = 0; i < 2; i++) j->padded[i] = dsvl_alloc_zero(used + RESIZE_SLACK, 1);
        if (!j->ring || !j->padded[0] || !j->padded[1])
            return dsvl_fail_memory(err, (size_t)j->slots * j->slot_bytes + 2 * used);
    }
    if (need_y && !(j->window = dsvl_alloc((size_t)j->y.taps, sizeof *j->window)))
        return dsvl_fail_memory(err, (size_t)j->y.taps * sizeof *j->window);
    return 0;
}

static int resample(job *j, int width, int height, const float box[4], dsvl_resize_filter filter,
                    dsvl_error *err)
{
    int status = job_prepare(j, width, height, box, filter, err);
    if (!status) {
        if (j->y.size)
            run_vertical(j);
        else
            run_horizontal(j);
    }
    axis_free(&j->x);
    axis_free(&j->y);
    dsvl_dealloc(j->ring);
    dsvl_dealloc(j->padded[0]);
    dsvl_dealloc(j->padded[1]);
    dsvl_dealloc(j->window);
    return status;
}

/* ---- the entry --------------------------------------------------------------------------------------- */

static int check(int width, int height, const dsvl_picture *s, const float box[4], dsvl_resize_filter filter,
                 dsvl_error *err)
{
    if (s->width < 1 || s->height < 1 || width < 1 || height < 1)
        return dsvl_fail(err, DSVL_E_INPUT,
                         "cannot resize %dx%d pixels to %dx%d: height and width must be > 0", s->width,
                         s->height, width, height);
    if (s->width > DSVL_RESIZE_MAX_SIDE || s->height > DSVL_RESIZE_MAX_SIDE || width > DSVL_RESIZE_MAX_SIDE ||
        height > DSVL_RESIZE_MAX_SIDE)
        return dsvl_fail(err, DSVL_E_LIMIT, "cannot resize %dx%d pixels to %dx%d: a side is over %d pixels",
                         s->width, s->height, width, height, DSVL_RESIZE_MAX_SIDE);
    if ((s->channels != 1 && s->channels != 3) || s->stride < (size_t)s->width * (size_t)s->channels ||
        (unsigned)filter >= DSVL_RESIZE_FILTERS)
        return dsvl_fail(err, DSVL_E_INTERNAL, "resize: %d channels, stride %zu, filter %d", s->channels,
                         s->stride, (int)filter);
    /* Written so that a NaN fails. */
    if (!(box[0] >= 0 && box[1] >= 0 && box[2] <= (float)s->width && box[3] <= (float)s->height &&
          box[0] <= box[2] && box[1] <= box[3]))
        return dsvl_fail(err, DSVL_E_INPUT, "box %g %g %g %g is not inside the picture of %dx%d pixels",
                         (double)box[0], (double)box[1], (double)box[2], (double)box[3], s->width, s->height);
    return 0;
}

/* Mirrors _imaging.c:_resize: a box of whole pixels that has the wanted size is cut out, anything else
 * resampled. */
static int resize(const resize_kernels *kernels, uint8_t *dst, size_t dst_stride, int width, int height,
                  const dsvl_picture *source, const float *box, dsvl_resize_filter filter, dsvl_error *err)
{
    const float whole[4] = {0, 0, (float)source->width, (float)source->height};
    if (!box) box = whole;
    if (check(width, height, source, box, filter, err)) return -1;
    size_t bytes = (size_t)width * (size_t)source->channels;
    if (dst_stride < bytes)
        return dsvl_fail(err, DSVL_E_INTERNAL, "resize: stride %zu of %zu bytes", dst_stride, bytes);
    if (box[0] == (float)(int)box[0] && box[2] - box[0] == (float)width && box[1] == (float)(int)box[1] &&
        box[3] - box[1] == (float)height) {
        const uint8_t *from =
            source->pixels + (size_t)box[1] * source->stride + (size_t)box[0] * (size_t)source->channels;
        for (int y = 0; y < height; y++)
            memcpy(dst + (size_t)y * dst_stride, from + (size_t)y * source->stride, bytes);
        return 0;
    }
    job j = {.kernels = kernels, .source = source, .dst = dst, .dst_stride = dst_stride, .bytes = bytes};
    return resample(&j, width, height, box, filter, err);
}

/* The widest kernels that the processor runs; DSVL_ISA=scalar turns them off, as in kernels/. */
static const resize_kernels *kernels_choose(void)
{
#if defined(__x86_64__)
    const char *isa = getenv("DSVL_ISA");
    if (__builtin_cpu_supports("avx2") && !(isa && strcmp(isa, "scalar") == 0)) return &resize_kernels_avx2;
#endif
    return &resize_kernels_scalar;
}

int dsvl_resize(uint8_t *dst, size_t dst_stride, int width, int height, const dsvl_picture *source,
                const float box[4], dsvl_resize_filter filter, dsvl_error *err)
{
    return resize(kernels_choose(), dst, dst_stride, width, height, source, box, filter, err);
}

int dsvl_resize_scalar(uint8_t *dst, size_t dst_stride, int width, int height, const dsvl_picture *source,
                       const float box[4], dsvl_resize_filter filter, dsvl_error *err)
{
    return resize(&resize_kernels_scalar, dst, dst_stride, width, height, source, box, filter, err);
}
