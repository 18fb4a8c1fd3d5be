/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized weights times activations as whole numbers with AVX-512's dot products of bytes (VNNI): one digit
 * of 8 bits, or three, which hold as much as an f32 among its neighbours. The instruction multiplies unsigned
 * by signed bytes, so weights enter as q + 128 (q + 8 of KERN_Q4), and a sum begins at what that adds. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "kernels/internal.h"
#include "kernels/vec_avx512.h"

#define HALVES (KERN_PANEL / 16)
/* Sums and totals stay in registers together, and the sums are as many as two products a cycle need. */
#define MOST_ROWS 6  /* with one digit: 12 sums, 12 totals */
#define EXACT_ROWS 2 /* with three: 12 sums, 4 totals */
#define MOST_DIGITS 3

#include "kernels/simd_int8.h"

/* Sixteen values as digits, four consecutive ones of a row together. */
VEC void pack_sixteen(int8_t *to, int64_t step, int64_t steps, __m512i x, __m128i sum[MOST_DIGITS],
                      const int digits)
{
    const __m128i ones = _mm_set1_epi8(1);
#pragma GCC unroll 3
    for (int d = 0; d < digits; d++) {
        const __m128i bytes = _mm512_cvtepi32_epi8(x);
        int32_t quad[4];
        /* What the signed lowest digit leaves. */
        x = _mm512_srai_epi32(_mm512_sub_epi32(x, _mm512_cvtepi8_epi32(bytes)), 8);
        sum[d] = _mm_dpbusd_epi32(sum[d], ones, bytes);
        memcpy(quad, &bytes, sizeof quad);
#pragma GCC unroll 4
        for (int s = 0; s < 4; s++)
            if (s < steps) memcpy(to + s * step + 4 * d, &quad[s], sizeof *quad);
    }
}

/* Panels are [k/4][rows][digits][4], as many rows as the tile that will take them; scale [rows], or
 * [blocks][rows] with three digits; offset [blocks][rows][digits], the negative sums of digits. */
VEC void pack_rows(int8_t *to, float *scale, int32_t *offset, const kern_rows *x, int64_t group,
                   const int digits)
{
    const int64_t rows = kern_int8_held(x->rows), step = 4 * rows * digits;
    memset(to, 0, (size_t)(step * ((x->cols + group - 1) / group) * group / 4));
    for (int64_t i = 0; i < x->rows; i++) {
        const float *row = row_of(x, i);
        float inverse;
        if (digits == 1) scale[i] = kern_int8_scale(row_largest(row, x->cols), &inverse);
        for (int64_t b = 0; b * group < x->cols; b++) {
            const int64_t end = x->cols < (b + 1) * group ? x->cols : (b + 1) * group;
            __m128i sum[MOST_DIGITS] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
            if (digits > 1)
                scale[b * rows + i] = exact_scale(row_largest(row + b * group, end - b * group), &inverse);
            for (int64_t k = b * group; k < end; k += 16) {
                const v16 v = v16_mul(load_upto(row + k, end - k), v16_set1(inverse));
                pack_sixteen(to + k / 4 * step + 4 * i * digits, step, (end - k + 3) / 4,
                             _mm512_cvtps_epi32(v), sum, digits);
            }
            for (int d = 0; d < digits; d++) {
                int32_t part[4];
                memcpy(part, &sum[d], sizeof part);
                offset[(b * rows + i) * digits + d] = -(part[0] + part[1] + part[2] + part[3]);
            }
        }
    }
    if (rows > x->rows) /* the row that there is not */
        for (int64_t b = 0; b * group < x->cols; b++) {
            memset(offset + (b * rows + x->rows) * digits, 0, (size_t)digits * sizeof *offset);
            scale[(digits > 1 ? b * rows : 0) + x->rows] = 0;
        }
}

/* The sums of one row and half as floats. Each is exact; three digits are rounded twice. */
VEC v16 join_digits(const __m512i *s, const int digits, float scale)
{
    if (digits == 1) return _mm512_cvtepi32_ps(s[0]);
    /* The lower two are below 2^30 together. */
    const v16 v = _mm512_cvtepi32_ps(_mm512_add_epi32(s[0], _mm512_slli_epi32(s[HALVES], 8)));
    return v16_mul(v16_set1(scale), v16_fma(v16_set1(65536.0f), _mm512_cvtepi32_ps(s[2 * HALVES]), v));
}

/* sum += q . x, fours of bytes. Not by its intrinsic, around which GCC 12 moves every sum from register to
 * register. */
VEC void dot(__m512i *sum, __m512i q, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(q), "v"(x));
}

/* How weights stand: as in a matrix, or as int8_expand leaves them, ready to be multiplied. */
typedef enum weight_form { FORM_Q8, FORM_Q4, FORM_WIDE } weight_form;

/* The sums of a panel of m rows and a block; with few rows and two steps to a line each step has sums of its
 * own, lest one waits for the other, and those of the upper four bits stay where they are, so that these need
 * not be shifted. */
typedef __m512i block_sums[2][MOST_ROWS][MOST_DIGITS * HALVES];

/* Sums begin at what the offset of the weights adds. */
VEC void begin_sums(block_sums s, const int32_t *offset, const int m, const int digits, const int apart,
                    const weight_form form)
{
#pragma GCC unroll 8
    for (int i = 0; i < m; i++)
#pragma GCC unroll 8
        for (int d = 0; d < digits * HALVES; d++) {
            const __m512i all = _mm512_set1_epi32(offset[i * digits + d / HALVES]);
            s[0][i][d] = _mm512_slli_epi32(all, form == FORM_Q4 ? 3 : 7);
            if (apart > 1) s[1][i][d] = _mm512_setzero_si512();
        }
}

VEC void add_line(block_sums s, const unsigned char *w, const int8_t *a, const int m, const int digits,
                  const int apart, const weight_form form)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80), mask = _mm512_set1_epi8(15),
                  eight = _mm512_set1_epi8(8), high = _mm512_set1_epi8((char)0xf0);
    const int parts = form == FORM_Q4 ? 2 : 1; /* steps of four q */
    __m512i q[2][HALVES];
#pragma GCC unroll 2
    for (int h = 0; h < HALVES; h++) {
        const __m512i line = _mm512_loadu_si512(w + 64 * h);
        if (form == FORM_WIDE)
            q[0][h] = line;
        else
            __builtin_prefetch(w + 64 * h + FETCH, 0, 2);
        if (form == FORM_Q8) q[0][h] = _mm512_xor_si512(line, flip);
        /* (line & mask) ^ eight */
        if (form == FORM_Q4) q[0][h] = _mm512_ternarylogic_epi32(line, mask, eight, 0x6a);
        if (form == FORM_Q4 && apart == 1)
            q[1][h] = _mm512_ternarylogic_epi32(_mm512_srli_epi32(line, 4), mask, eight, 0x6a);
        if (form == FORM_Q4 && apart > 1) /* 16 times as much */
            q[1][h] = _mm512_ternarylogic_epi32(line, high, flip, 0x6a);
    }
#pragma GCC unroll 2
    for (int p = 0; p < parts; p++)
#pragma GCC unroll 8
        for (int i = 0; i < m; i++)
#pragma GCC unroll 3
            for (int d = 0; d < digits; d++) {
                int32_t quad;
                memcpy(&quad, a + 4 * ((p * m + i) * digits + d), sizeof quad);
                const __m512i x = _mm512_set1_epi32(quad);
#pragma GCC unroll 2
                for (int h = 0; h < HALVES; h++) dot(&s[p % apart][i][d * HALVES + h], q[p][h], x);
            }
}

/* A panel of m rows times its blocks, one after another: t = scales * sums. The totals stay in registers. */
VEC void tile_blocks(const kern_int8_block *g, const int m, const int digits, const weight_form form)
{
    const int parts = form == FORM_Q4 ? 2 : 1, apart = m <= 2 ? parts : 1;
    const unsigned char *block = g->block;
    const int8_t *a = g->a;
    const unsigned char *fetch = g->fetch;
    const int64_t group = g->group, step = fetch ? g->fetch_step : 0;
    v16 total[MOST_ROWS][HALVES];
#pragma GCC unroll 16
    for (int i = 0; i < m * HALVES; i++)
        total[i / HALVES][i % HALVES] =
            g->more ? v16_load(g->t + i / HALVES * g->ldt + i % HALVES * 16) : v16_zero();
    for (int64_t b = 0; b < g->blocks; b++, block += g->block_bytes) {
        const unsigned char *w = block + 2 * KERN_PANEL;
        block_sums s;
        for (int64_t f = 0; f < step; f += 64) __builtin_prefetch(fetch + f, 0, 2);
        fetch += step;
        begin_sums(s, g->offset + b * m * digits, m, digits, apart, form);
        for (int64_t k = 0; k < group; k += 4 * parts, w += 64 * HALVES, a += 4 * parts * m * digits)
            add_line(s, w, a, m, digits, apart, form);
#pragma GCC unroll 2
        for (int h = 0; h < HALVES; h++) {
            const v16 scale = v16_load_weight(block, KERN_F16, 16 * h);
#pragma GCC unroll 8
            for (int i = 0; i < m; i++) {
                if (apart > 1)
#pragma GCC unroll 3
                    for (int d = h; d < digits * HALVES; d += HALVES)
                        s[0][i][d] = _mm512_add_epi32(s[0][i][d], _mm512_srai_epi32(s[1][i][d], 4));
                const v16 sum = join_digits(&s[0][i][h], digits, digits > 1 ? g->scale[b * m + i] : 1);
                total[i][h] = v16_fma(scale, sum, total[i][h]);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < m * HALVES; i++)
        v16_store(g->t + i / HALVES * g->ldt + i % HALVES * 16, total[i / HALVES][i % HALVES]);
}

typedef void tile(const kern_int8_block *g);

#define TILE(m, digits, type)                                                                                \
    static void tile_##type##_##digits##_##m(const kern_int8_block *g)                                       \
    {                                                                                                        \
        tile_blocks(g, m, digits, FORM_##type);                                                              \
    }
#define TILES(type)                                                                                          \
    TILE(1, 1, type)                                                                                         \
    TILE(2, 1, type)                                                                                         \
    TILE(4, 1, type)                                                                                         \
    TILE(6, 1, type)                                                                                         \
    TILE(1, 3, type)                                                                                         \
    TILE(2, 3, type)
TILES(Q8)
TILES(Q4)
TILES(WIDE)

/* By form and rows / 2. */
static tile *const tiles[][MOST_ROWS / 2 + 1] = {
    {tile_Q8_1_1, tile_Q8_1_2, tile_Q8_1_4, tile_Q8_1_6},
    {tile_Q4_1_1, tile_Q4_1_2, tile_Q4_1_4, tile_Q4_1_6},
    {tile_WIDE_1_1, tile_WIDE_1_2, tile_WIDE_1_4, tile_WIDE_1_6},
};
static tile *const exact[][EXACT_ROWS / 2 + 1] = {
    {tile_Q8_3_1, tile_Q8_3_2},
    {tile_Q4_3_1, tile_Q4_3_2},
    {tile_WIDE_3_1, tile_WIDE_3_2},
};

static weight_form form_of(const kern_int8_block *g)
{
    return g->wide ? FORM_WIDE : g->dtype == KERN_Q4 ? FORM_Q4 : FORM_Q8;
}

static void int8_pack(int8_t *to, float *scale, int32_t *offset, const kern_rows *x, int64_t group)
{
    pack_rows(to, scale, offset, x, group, 1);
}

static void exact_pack(int8_t *to, float *scale, int32_t *offset, const kern_rows *x, int64_t group)
{
    pack_rows(to, scale, offset, x, group, 3);
}

static void int8_multiply(const kern_int8_block *g)
{
    tiles[form_of(g)][kern_int8_held(g->rows) / 2](g);
}

static void exact_multiply(const kern_int8_block *g)
{
    exact[form_of(g)][kern_int8_held(g->rows) / 2](g);
}

/* Sixteen rows of KERN_Q4 in a line: q + 128 of k 0..3, then of 4..7. */
static void widen(unsigned char *low, unsigned char *high, __m512i line)
{
    const __m512i mask = _mm512_set1_epi8(15), eight = _mm512_set1_epi8(8), rest = _mm512_set1_epi8(120);
    /* (line & mask) ^ eight */
    const __m512i a = _mm512_ternarylogic_epi32(line, mask, eight, 0x6a),
                  b = _mm512_ternarylogic_epi32(_mm512_srli_epi32(line, 4), mask, eight, 0x6a);
    _mm512_storeu_si512(low, _mm512_add_epi8(a, rest));
    _mm512_storeu_si512(high, _mm512_add_epi8(b, rest));
}

/* A block ready to be multiplied: q + 128 where KERN_Q8 has q. It is read from far memory, which the
 * processor fetches ahead of use no further than to the end of a page. */
static void int8_expand(unsigned char *to, const unsigned char *block, kern_dtype dtype, int64_t group)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    const int per = dtype == KERN_Q4 ? 8 : 4; /* q of a row in a line */
    memcpy(to, block, 2 * KERN_PANEL);
    to += 2 * KERN_PANEL;
    block += 2 * KERN_PANEL;
    for (int64_t k = 0; k < group; k += per, to += 16 * per * HALVES)
        for (int h = 0; h < HALVES; h++, block += 64) {
            const __m512i line = _mm512_loadu_si512(block);
            __builtin_prefetch(block + FETCH, 0, 2);
            if (dtype == KERN_Q4)
                widen(to + 64 * h, to + 64 * (h + HALVES), line);
            else
                _mm512_storeu_si512(to + 64 * h, _mm512_xor_si512(line, flip));
        }
}

const kern_int8_table kern_int8_avx512 = {MOST_ROWS,     1,           1,           true, false, int8_pack,
                                          int8_multiply, int8_expand, int8_finish, NULL};
const kern_int8_table kern_exact_avx512 = {EXACT_ROWS,     3,           3,           true, true, exact_pack,
                                           exact_multiply, int8_expand, int8_finish, NULL};
#endif
