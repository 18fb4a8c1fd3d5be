/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized matrices: their size, how they are made from floats, and back. The layout is in kernels.h; plain
 * C serves here, since a checkpoint is quantized once. */
#include <math.h>
#include <string.h>

#include "kernels/internal.h"
#include "kernels/scalar.h"

static int bits_of(kern_dtype dtype)
{
    return dtype == KERN_Q8 ? 8 : dtype == KERN_Q4 ? 4 : 0;
}

int64_t kern_block_bytes(kern_dtype dtype, int64_t group)
{
    return 2 * KERN_PANEL + KERN_PANEL * group * bits_of(dtype) / 8;
}

int64_t kern_quantized_size(kern_dtype dtype, int64_t group, int64_t rows, int64_t cols)
{
    if (!bits_of(dtype) || (group != 32 && group != 64 && group != 128) || rows < 1 || cols < 1) return -1;
    const int64_t panels = (rows - 1) / KERN_PANEL + 1, blocks = (cols - 1) / group + 1;
    int64_t bytes;
    if (__builtin_mul_overflow(panels, blocks, &bytes) ||
        __builtin_mul_overflow(bytes, kern_block_bytes(dtype, group), &bytes))
        return -1;
    return bytes;
}

/* ---- scales ------------------------------------------------------------------------------------------- */

/* Nearest f16 of |x| <= 65504 + 15, ties to even. */
static uint16_t half_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size < 0x38800000) { /* below 2^-14: a whole number of 2^-24, by the rounding of an addition */
        float f;
        memcpy(&f, &size, sizeof f);
        f += 0.5f;
        memcpy(&bits, &f, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    return (uint16_t)(sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
}

static float half_at(const unsigned char *p)
{
    const uint16_t h = (uint16_t)(p[0] | p[1] << 8);
    return kern_scalar_element(&h, KERN_F16, 0);
}

/* Whole number nearest to x, |x| < 2^22, ties to even: beyond 2^23 floats have no fraction. */
static float whole(float x)
{
    const float shift = 12582912.0f;
    return x + shift - shift;
}

static float clamp(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

/* The f16 next to top / divisor, away from zero where the nearest would leave top beyond `limit` steps, which
 * happens among subnormals. */
static uint16_t scale_for(float top, float divisor, float limit)
{
    uint16_t half = half_of(top / divisor);
    if (fabsf(top) > limit * fabsf(kern_scalar_element(&half, KERN_F16, 0))) half++;
    return half;
}

/* q of one row in one group of n values; returns the scale. */
static uint16_t quantize_group(int8_t q[128], const float *w, int64_t n, kern_dtype dtype)
{
    static const float four[] = {-8.0f, -7.5f, -7.0f}, eight[] = {127.0f};
    const bool wide = dtype == KERN_Q8;
    const float low = wide ? -127 : -8, high = wide ? 127 : 7;
    float top = 0;
    for (int64_t k = 0; k < n; k++)
        if (fabsf(w[k]) > fabsf(top)) top = w[k];
    uint16_t best = 0;
    double least = INFINITY;
    if (wide) top = fabsf(top);
    memset(q, 0, 128);
    for (int t = 0; top != 0 && t < (wide ? 1 : 3); t++) {
        const uint16_t half = scale_for(top, wide ? eight[t] : four[t], 0.5f - low);
        const float scale = kern_scalar_element(&half, KERN_F16, 0);
        int8_t trial[128];
        double error = 0;
        for (int64_t k = 0; k < n; k++) {
            const float v = clamp(whole(clamp(w[k] / scale, low, high)), low, high);
            const double off = (double)v * scale - w[k];
            trial[k] = (int8_t)v;
            error += off * off;
        }
        if (error >= least) continue;
        least = error;
        best = half;
        memcpy(q, trial, (size_t)n);
    }
    return best;
}

/* ---- making ------------------------------------------------------------------------------------------- */

typedef struct quantize_job {
    unsigned char *to;
    const float *w;
    kern_dtype dtype;
    int64_t group, rows, cols;
} quantize_job;

static void quantize_panel(const void *job, int64_t panel, float *scratch)
{
    const quantize_job *j = job;
    const int64_t blocks = (j->cols + j->group - 1) / j->group, size = kern_block_bytes(j->dtype, j->group);
    unsigned char *block = j->to + panel * blocks * size;
    (void)scratch;
    memset(block, 0, (size_t)(blocks * size));
    for (int64_t b = 0; b < blocks; b++, block += size)
        for (int64_t r = 0; r < KERN_PANEL && panel * KERN_PANEL + r < j->rows; r++) {
            const int64_t k = b * j->group, n = j->cols - k < j->group ? j->cols - k : j->group;
            int8_t q[128];
            const uint16_t scale =
                quantize_group(q, j->w + (panel * KERN_PANEL + r) * j->cols + k, n, j->dtype);
            block[2 * r] = scale & 255;
            block[2 * r + 1] = (unsigned char)(scale >> 8);
            unsigned char *data = block + 2 * KERN_PANEL + 4 * r;
            for (int64_t i = 0; i < j->group; i++) {
                if (j->dtype == KERN_Q8)
                    data[i / 4 * 4 * KERN_PANEL + i % 4] = (unsigned char)q[i];
                else
                    data[i / 8 * 4 * KERN_PANEL + i % 4] |= (unsigned char)((q[i] & 15) << (i / 4 % 2 * 4));
            }
        }
}

int kern_quantize(kern_context *c, void *to, const float *w, kern_dtype dtype, int64_t group, int64_t rows,
                  int64_t cols)
{
    /* What an f16 can scale, a little less than 7 * 65504; also false for what is not a number. */
    for (int64_t i = 0; i < rows * cols; i++)
        if (!(fabsf(w[i]) < 458000.0f)) return -1;
    const quantize_job job = {to, w, dtype, group, rows, cols};
    kern_run(c, (rows + KERN_PANEL - 1) / KERN_PANEL, (double)rows * (double)cols * 8, quantize_panel, &job);
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

float kern_scalar_quantized(const kern_weight *w, int64_t row, int64_t col, int *q)
{
    const int64_t blocks = (w->cols + w->group - 1) / w->group;
    const unsigned char *block = w->data;
    block += (row / KERN_PANEL * blocks + col / w->group) * kern_block_bytes(w->dtype, w->group);
    const int64_t r = row % KERN_PANEL, k = col % w->group;
    const unsigned char *data = block + 2 * KERN_PANEL + 4 * r + k % 4;
    if (w->dtype == KERN_Q8) {
        const int byte = data[k / 4 * 4 * KERN_PANEL];
        *q = byte - (byte & 128 ? 256 : 0);
    } else {
        const int nibble = data[k / 8 * 4 * KERN_PANEL] >> (k / 4 % 2 * 4) & 15;
        *q = nibble - (nibble & 8 ? 16 : 0);
    }
    return half_at(block + 2 * r);
}

void kern_dequantize(float *to, const kern_weight *w, int64_t first, int64_t count)
{
    for (int64_t r = 0; r < count; r++)
        for (int64_t k = 0; k < w->cols; k++) {
            int q;
            const float scale = kern_scalar_quantized(w, first + r, k, &q);
            to[r * w->cols + k] = scale * (float)q;
        }
}

bool kern_quantized_finite(const kern_weight *w)
{
    const int64_t size = kern_block_bytes(w->dtype, w->group);
    const int64_t count = kern_quantized_size(w->dtype, w->group, w->rows, w->cols) / size;
    const unsigned char *block = w->data;
    for (int64_t i = 0; i < count; i++, block += size)
        for (int r = 0; r < KERN_PANEL; r++)
            if ((block[2 * r + 1] & 0x7c) == 0x7c) return false;
    return true;
}
