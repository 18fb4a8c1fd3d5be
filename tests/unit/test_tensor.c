/* SPDX-License-Identifier: Apache-2.0 */
/* Half-precision conversions against the compiler's own _Float16; shapes that overflow; BLAKE2bp vectors. */
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

/* Up to 255 bytes the published test vectors of BLAKE2bp (blake2-kat.json); beyond, what Python's hashlib
 * gives (tests/cli/librecords.py). */
static void test_hash(void)
{
    static const struct {
        size_t n;
        const char *hex;
    } vectors[] = {
        {0, "b5ef811a8038f70b628fa8b294daae7492b1ebe343a80eaabbf1f6ae664dd67b"},
        {1, "a139280e72757b723e6473d5be59f36e9d50fc5cd7d4585cbc09804895a36c52"},
        {128, "05ad0f271faf7e361320518452813ff9fb9976ac378050b6eefb05f7867b577b"},
        {255, "3f35c45d24fcfb4acca651076c08000e279ebbff37a1333ce19fd577202dbd24"},
        {511, "fa14897433dd69321b1933a1fe101fdd463dc15fffe3f572c0b489bb607edff8"},
        {512, "5b3a0e990c4e8c6e5463e763a6686551a129a81ab48c49cd8dc10519dfe2d02d"},
        {513, "cd79fbbded91823272abb7a97a5530608f0583bd5405c7765156c4d8754ddf43"},
        {896, "644a5737c8dcdb68b1eaee399b8744c20bf50a3d63f450c3ea78c57a470ea827"},
        {897, "6669f5ed8d2737265270204f36e23613d467c36d6a8911f6558a18f98240b776"},
        {1024, "98b6de75c42e1e5cdd6623aca47a1a359e9aef84f10d6bf125093331d9f5c63f"},
        {3000, "8d43675910c0e39c56f7bf07a5794989873d455bd492de58f393fa3ccdcd6398"},
    };
    unsigned char data[3000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        for (size_t step = 1; step <= 2000;
             step += step < 600 ? 37 : 700) { /* any way of cutting the input */
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
    test_alloc();
    return CHECK_DONE();
}
