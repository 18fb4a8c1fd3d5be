/* SPDX-License-Identifier: Apache-2.0 */
/* The passes of filters/resize.c for AVX2. Bytes are widened to 16 bits and multiplied two taps at a time
 * (vpmaddwd) by the high and the low part of their weights; (high sum << RESIZE_SPLIT) + low sum is the
 * scalar code's 32-bit sum, so every byte is the same. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "filters/resize_kernels.h"

/* Sums of a high and a low part as whole sums, shifted down to pixel values. */
static inline __m256i join(__m256i high, __m256i low)
{
    return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(high, RESIZE_SPLIT), low), RESIZE_BITS);
}

/* Two taps, high or low part, in every 32-bit lane. */
static inline __m256i pair(const int16_t *split)
{
    int32_t both;
    memcpy(&both, split, sizeof both);
    return _mm256_set1_epi32(both);
}

static inline void store_pixel(uint8_t *dst, __m128i pixel)
{
    int32_t four = _mm_cvtsi128_si32(pixel); /* R G B 0: the 0 is overwritten by the next pixel */
    memcpy(dst, &four, sizeof four);
}

/* Three channels; the two rows stand in the two halves of each register. */
static void horizontal_rgb(uint8_t *const dst[2], const uint8_t *const src[2], const resize_axis *axis)
{
    /* Bytes R0 G0 B0 R1 G1 B1 R2 ... to 16-bit R0 R1 G0 G1 B0 B1 - -, and the same of pixels 2 and 3. */
    const __m256i taps01 =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const __m256i taps23 = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    /* Copies: for all the compiler knows, a byte written to dst may change the axis. */
    const int size = axis->size, *const firsts = axis->first, *const counts = axis->count;
    const size_t stride = (size_t)axis->taps * 2;
    const uint8_t *const source[2] = {src[0], src[1]};
    uint8_t *lower_dst = dst[0], *upper_dst = dst[1];
    const int16_t *weights = axis->split;
    for (int x = 0; x < size; x++, weights += stride, lower_dst += 3, upper_dst += 3) {
        const size_t offset = (size_t)firsts[x] * 3;
        const uint8_t *a = source[0] + offset, *b = source[1] + offset;
        const int16_t *split = weights;
        __m256i high = _mm256_setzero_si256(), low = _mm256_set1_epi32(RESIZE_HALF);
        for (int i = 0; i < counts[x]; i += 4, a += 12, b += 12, split += 8) {
            __m128i lower = _mm_loadu_si128((const __m128i *)(const void *)a);
            __m128i upper = _mm_loadu_si128((const __m128i *)(const void *)b);
            __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(lower), upper, 1);
            __m256i first = _mm256_shuffle_epi8(bytes, taps01), second = _mm256_shuffle_epi8(bytes, taps23);
            high = _mm256_add_epi32(high, _mm256_madd_epi16(first, pair(split)));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(first, pair(split + 2)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(second, pair(split + 4)));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(second, pair(split + 6)));
        }
        __m256i words = _mm256_packs_epi32(join(high, low), _mm256_setzero_si256());
        __m256i bytes = _mm256_packus_epi16(words, words);
        store_pixel(lower_dst, _mm256_castsi256_si128(bytes));
        store_pixel(upper_dst, _mm256_extracti128_si256(bytes, 1));
    }
}

static void horizontal(uint8_t *const dst[2], const uint8_t *const src[2], const resize_axis *axis,
                       int channels)
{
    if (channels == 3)
        horizontal_rgb(dst, src, axis);
    else
        resize_kernels_scalar.horizontal(dst, src, axis, channels);
}

/* Sums of 8 columns. */
typedef struct sums {
    __m256i high, low;
} sums;

static inline void add_taps(sums *s, __m256i wide, __m256i high, __m256i low)
{
    s->high = _mm256_add_epi32(s->high, _mm256_madd_epi16(wide, high));
    s->low = _mm256_add_epi32(s->low, _mm256_madd_epi16(wide, low));
}

/* 32 columns: each row pair is interleaved, widened and multiplied. The sums are named one by one, or
 * compilers keep them in memory. */
static inline void vertical_block(uint8_t *dst, const uint8_t *const *rows, const int16_t *split, int count,
                                  size_t x)
{
    const __m256i zero = _mm256_setzero_si256();
    sums s0 = {zero, _mm256_set1_epi32(RESIZE_HALF)}, s1 = s0, s2 = s0, s3 = s0;
    for (int i = 0; i < count; i += 2, split += 4) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(rows[i] + x));
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(rows[i + 1] + x));
        __m256i lower = _mm256_unpacklo_epi8(a, b), upper = _mm256_unpackhi_epi8(a, b);
        __m256i high = pair(split), low = pair(split + 2);
        add_taps(&s0, _mm256_unpacklo_epi8(lower, zero), high, low);
        add_taps(&s1, _mm256_unpackhi_epi8(lower, zero), high, low);
        add_taps(&s2, _mm256_unpacklo_epi8(upper, zero), high, low);
        add_taps(&s3, _mm256_unpackhi_epi8(upper, zero), high, low);
    }
    /* Packing works within 128-bit halves as unpacking did, so the columns come out in order. */
    __m256i words01 = _mm256_packs_epi32(join(s0.high, s0.low), join(s1.high, s1.low));
    __m256i words23 = _mm256_packs_epi32(join(s2.high, s2.low), join(s3.high, s3.low));
    _mm256_storeu_si256((__m256i *)(void *)(dst + x), _mm256_packus_epi16(words01, words23));
}

static void vertical(uint8_t *dst, const uint8_t *const *rows, const resize_axis *axis, int y, size_t bytes)
{
    if (bytes < 32) {
        resize_kernels_scalar.vertical(dst, rows, axis, y, bytes);
        return;
    }
    const int16_t *split = axis->split + (size_t)y * (size_t)axis->taps * 2;
    for (size_t x = 0; x + 32 <= bytes; x += 32) vertical_block(dst, rows, split, axis->count[y], x);
    if (bytes % 32)
        vertical_block(dst, rows, split, axis->count[y], bytes - 32); /* overlaps: the same bytes again */
}

const resize_kernels resize_kernels_avx2 = {1, horizontal, vertical};
#endif
