/* SPDX-License-Identifier: Apache-2.0 */
/* What filters/resize.c shares with its vector code: the weights of one axis, and the two passes over rows.
 */
#ifndef DSVL_FILTERS_RESIZE_KERNELS_H
#define DSVL_FILTERS_RESIZE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Fixed point of the weights; Pillow's PRECISION_BITS = 32 - 8 - 2. */
#define RESIZE_BITS 22
#define RESIZE_HALF ((int32_t)1 << (RESIZE_BITS - 1))
/* Vector code multiplies 16-bit numbers: weight = high * 2^RESIZE_SPLIT + low, both signed. A weight has 23
 * bits and a sign, so high stays below 2^12; the two sums are joined at the end, and no bit of any product is
 * lost. */
#define RESIZE_SPLIT 12
/* Bytes behind a row's end that a horizontal pass may read (their weights are zero). */
#define RESIZE_SLACK 32

/* For each sample of the result: which samples of the source, and how much of each. */
typedef struct resize_axis {
    int size;       /* samples in the result */
    int taps;       /* longest window, rounded up to a multiple of 4 */
    int *first;     /* [size] first source sample */
    int *count;     /* [size] samples used, 0..taps */
    int32_t *fixed; /* [size, taps], zero behind count */
    int16_t *split; /* [size, taps / 2, 4]: high, high, low, low of each pair of taps; NULL for scalar code */
} resize_axis;

typedef struct resize_kernels {
    int split; /* whether split weights are wanted */
    /* Two rows at a time, [width, channels] u8 each -> [axis->size, channels]. Rows may be read RESIZE_SLACK
     * bytes behind their ends and are written up to 1 byte behind them. */
    void (*horizontal)(uint8_t *const dst[2], const uint8_t *const src[2], const resize_axis *axis,
                       int channels);
    /* rows [count][bytes] -> dst [bytes]: sample y of the axis; rows[0] is source row axis->first[y]. Behind
     * an odd count stands one row more, whose weight is zero. */
    void (*vertical)(uint8_t *dst, const uint8_t *const *rows, const resize_axis *axis, int y, size_t bytes);
} resize_kernels;

/* A sum of weighted bytes, half already added, as a byte. */
static inline uint8_t resize_clip(int32_t sum)
{
    int32_t value = sum >> RESIZE_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

extern const resize_kernels resize_kernels_scalar;
#if defined(__x86_64__)
extern const resize_kernels resize_kernels_avx2;
#endif

#endif
