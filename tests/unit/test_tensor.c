/* SPDX-License-Identifier: Apache-2.0 */
/* Half-precision conversions against the compiler's own _Float16; shapes that overflow; BLAKE2b vectors. */
#include <math.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/tensor.h"
#include "tests/unit/check.h"

static void test_half(void)
{
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t bits = (uint16_t)i, back;
        _Float16 h;
        memcpy(&h, &bits, 2);
        float want = (float)h, got = dsvl_f16_to_f32(bits);
        if (isnan(want)) {
            CHECK(isnan(got));
            continue;
        }
        CHECK(memcmp(&want, &got, 4) == 0);
        back = dsvl_f32_to_f16(got);
        CHECK_MSG(back == bits, "%04x came back as %04x", bits, back);
    }
    uint32_t seed = 1;
    for (int i = 0; i < 2000000; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t bits = seed ^ seed >> 7;
        float x;
        memcpy(&x, &bits, 4);
        if (isnan(x)) continue;
        _Float16 h = (_Float16)x;
        uint16_t want;
        memcpy(&want, &h, 2);
        uint16_t got = dsvl_f32_to_f16(x);
        CHECK_MSG(got == want, "%a gives %04x, not %04x", (double)x, got, want);
        /* bf16: nearest of the two neighbours, ties to even */
        uint16_t b = dsvl_f32_to_bf16(x);
        float low = dsvl_bf16_to_f32((uint16_t)(bits >> 16));
        float high = dsvl_bf16_to_f32((uint16_t)((bits >> 16) + 1));
        if (isfinite(x) && isfinite(high)) {
            float near = dsvl_bf16_to_f32(b);
            double d = fabs((double)near - (double)x);
            CHECK(d <= fabs((double)low - (double)x) && d <= fabs((double)high - (double)x));
            if (fabs((double)low - (double)x) == fabs((double)high - (double)x)) CHECK((b & 1) == 0);
        }
    }
    CHECK(dsvl_f32_to_bf16(NAN) == 0x7fc0);
}

static void test_shapes(void)
{
    size_t elements, nbytes;
    int64_t big[] = {INT64_MAX, 2}, negative[] = {3, -1}, wide[] = {(int64_t)1 << 62}, good[] = {2, 3, 4};
    CHECK(!dsvl_shape_bytes(DSVL_F32, 2, big, &elements, &nbytes) || sizeof(size_t) > 8);
    CHECK(!dsvl_shape_bytes(DSVL_F32, 2, negative, &elements, &nbytes));
    CHECK(!dsvl_shape_bytes(DSVL_F64, 1, wide, &elements, &nbytes));
    CHECK(!dsvl_shape_bytes(DSVL_F32, DSVL_MAX_RANK + 1, good, &elements, &nbytes));
    CHECK(dsvl_shape_bytes(DSVL_F32, 3, good, &elements, &nbytes) && elements == 24 && nbytes == 96);
    CHECK(dsvl_shape_bytes(DSVL_U8, 0, NULL, &elements, &nbytes) && elements == 1 && nbytes == 1);
    char text[96];
    CHECK_STR(dsvl_shape_text(3, good, text), "[2, 3, 4]");
    int64_t long_shape[8] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
                             INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    CHECK(strlen(dsvl_shape_text(8, long_shape, text)) < 96);
    dsvl_error err = {0};
    dsvl_tensor t;
    CHECK(dsvl_tensor_new(&t, DSVL_F32, 2, big, &err) == -1 && err.code == DSVL_E_LIMIT);
}

/* Digests printed by `b2sum -l 256`. */
static void test_hash(void)
{
    static const struct {
        size_t n;
        const char *hex;
    } vectors[] = {
        {0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
        {1, "e88bd757ad5b9bedf372d8d3f0cf6c962a469db61a265f6418e1ffed86da29ec"},
        {127, "c9ae3859964b35f04c54b36d33cf299d7290ee621005d28e51598a943560aaaa"},
        {128, "f0501d06597880592bc49234eef100ec1ff349058d0e9d9b753504e24af86dd6"},
        {129, "a34a4e1e03c541dfbf3099c4b6c143c022ced65c28bd7e8a10e0a098461aecf0"},
        {256, "d93ebb9c802f5630ab22516fd82b6c21bc8bd551d531349b715f046ed11ed871"},
        {1000, "d62b6c768ce1afc8367e0498ab2f8e3f7c178c35b1429f14c4604b545d200f52"},
    };
    unsigned char data[1000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 7 + 3);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        for (size_t step = 1; step <= 300; step += 37) { /* any way of cutting the input */
            dsvl_hash hash;
            char hex[65];
            dsvl_hash_init(&hash);
            for (size_t at = 0; at < vectors[i].n; at += step) {
                dsvl_hash_add(&hash, data + at, vectors[i].n - at < step ? vectors[i].n - at : step);
            }
            dsvl_hash_hex(&hash, hex);
            CHECK_STR(hex, vectors[i].hex);
        }
    }
}

/* Several at once give what each gives alone, whatever their lengths and what they hold already. */
static void test_hash_many(void)
{
    static unsigned char data[DSVL_HASH_LANES][3000];
    unsigned seed = 1;
    for (int round = 0; round < 500; round++) {
        dsvl_hash together[DSVL_HASH_LANES], alone[DSVL_HASH_LANES];
        const void *parts[DSVL_HASH_LANES];
        size_t lengths[DSVL_HASH_LANES];
        int n = 1 + round % DSVL_HASH_LANES;
        for (int k = 0; k < n; k++) {
            for (size_t i = 0; i < sizeof data[k]; i++)
                data[k][i] = (unsigned char)((seed = seed * 1664525u + 1013904223u) >> 24);
            size_t before = (seed >> 8) % 300;
            parts[k] = data[k];
            lengths[k] = (seed >> 16) % (round % 3 ? 700 : sizeof data[k]);
            dsvl_hash_init(&together[k]);
            dsvl_hash_init(&alone[k]);
            dsvl_hash_add(&together[k], data[k], before);
            dsvl_hash_add(&alone[k], data[k], before);
            dsvl_hash_add(&alone[k], data[k], lengths[k]);
        }
        dsvl_hash_add_many(together, parts, lengths, n);
        for (int k = 0; k < n; k++) {
            char got[65], want[65];
            dsvl_hash_hex(&together[k], got);
            dsvl_hash_hex(&alone[k], want);
            CHECK_STR(got, want);
        }
    }
}

static void test_alloc(void)
{
    CHECK(dsvl_alloc(SIZE_MAX / 2, 4) == NULL);
    CHECK(dsvl_alloc(SIZE_MAX - 8, 1) == NULL);
    void *p = dsvl_alloc(0, 4);
    CHECK(p && (uintptr_t)p % 64 == 0);
    dsvl_dealloc(p);
    dsvl_alloc_fail_at(2);
    void *first = dsvl_alloc(1, 1), *second = dsvl_alloc(1, 1);
    CHECK(first && !second && dsvl_alloc_count() == 2);
    dsvl_alloc_fail_at(0);
    dsvl_dealloc(first);
}

int main(void)
{
    test_half();
    test_shapes();
    test_hash();
    test_hash_many();
    test_alloc();
    return CHECK_DONE();
}
