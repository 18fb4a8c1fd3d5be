/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint folders written here: what binds, what is refused and how it is said, and what the hash covers.
 */
#include <math.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/checkpoint.h"
#include "tests/unit/check.h"

static char folder[64];

static void write_file(const char *name, const void *bytes, size_t length)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, length, f) == length);
    if (f) fclose(f);
}

static void remove_file(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

/* A safetensors file with this JSON, padded so that the data starts at a multiple of 8 plus `shift`. */
static void write_tensors(const char *name, const char *json, const void *data, size_t length, size_t shift)
{
    static unsigned char block[8192];
    const size_t n = (strlen(json) + 7) / 8 * 8 + shift;
    memset(block, ' ', 8 + n);
    for (int i = 0; i < 8; i++) block[i] = (unsigned char)(n >> (8 * i));
    memcpy(block + 8, json, strlen(json));
    memcpy(block + 8 + n, data, length);
    write_file(name, block, 8 + n + length);
}

/* a: F32 [2, 3], b: BF16 [4], c: F16 [2, 1, 2] */
static const char *const json_abc =
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},\"b\":{\"dtype\":\"BF16\",\"shape\":["
    "4],"
    "\"data_offsets\":[24,32]},\"c\":{\"dtype\":\"F16\",\"shape\":[2,1,2],\"data_offsets\":[32,40]}}";
typedef struct abc {
    float a[6];
    uint16_t b[4], c[4];
} abc;
static const abc good = {
    {1, 2, 3, 4, 5, 6}, {0x3f80, 0xc000, 0x0000, 0x4049}, {0x3c00, 0xc000, 0x0001, 0x7bff}};

static dsvl_checkpoint *open_abc(const abc *values, dsvl_error *err)
{
    memset(err, 0, sizeof *err);
    write_tensors("model.safetensors", json_abc, values, sizeof *values, 0);
    return dsvl_checkpoint_open(folder, err);
}

static void expect(const dsvl_error *err, const char *message)
{
    CHECK_MSG(err->code == DSVL_E_MODEL && strstr(err->message, message), "got \"%s\", want \"%s\"",
              err->message, message);
}

static void binding(void)
{
    dsvl_error err;
    dsvl_checkpoint *c = open_abc(&good, &err);
    kern_weight w;
    const float *v;
    CHECK_MSG(c && dsvl_checkpoint_count(c) == 3, "%s", err.message);
    CHECK_STR(dsvl_checkpoint_name(c, 1), "b");
    CHECK(dsvl_checkpoint_find(c, "c")->rank == 3 && !dsvl_checkpoint_find(c, "d"));
    CHECK(dsvl_checkpoint_matrix(c, "a", 2, 3, &w, &err) == 0 && w.dtype == KERN_F32 && w.rows == 2 &&
          w.cols == 3);
    CHECK(memcmp(w.data, good.a, sizeof good.a) == 0);
    CHECK(dsvl_checkpoint_matrix(c, "c", 2, 2, &w, &err) == 0 && w.dtype == KERN_F16);
    CHECK(dsvl_checkpoint_surplus(c, "a", &err) == 0);
    CHECK(dsvl_checkpoint_surplus(c, "", &err) == -1);
    expect(&err, "model.safetensors: tensor \"b\" has no place in the model");
    CHECK(dsvl_checkpoint_vector(c, "b", 4, &v, NULL) == 0 && v[0] == 1 && v[1] == -2 && v[2] == 0 &&
          v[3] == 3.140625f);
    CHECK(dsvl_checkpoint_surplus(c, "", NULL) == 0);
    CHECK(dsvl_checkpoint_vector(c, "c", 4, &v, NULL) == 0 && v[0] == 1 && v[2] == 0x1p-24f && v[3] == 65504);
    dsvl_checkpoint_close(c);

    c = open_abc(&good, &err);
    dsvl_checkpoint_ignore(c, "a");
    dsvl_checkpoint_ignore(c, "b");
    CHECK(dsvl_checkpoint_surplus(c, "", &err) == -1);
    expect(&err, "\"c\"");
    dsvl_checkpoint_close(c);
}

static void tables(void)
{
    enum { TWO, THREE, FOUR, ONE };
    struct fields {
        kern_weight a, c;
        const float *b;
    } f;
    const int64_t sizes[] = {2, 3, 4, 1};
    static const dsvl_binding table[] = {
        {"a", offsetof(struct fields, a), DSVL_BIND_MATRIX, 2, {TWO, THREE}},
        {"b", offsetof(struct fields, b), DSVL_BIND_VECTOR, 1, {FOUR}},
        {"c", offsetof(struct fields, c), DSVL_BIND_MATRIX, 3, {TWO, ONE, TWO}},
    };
    static const dsvl_binding wrong[] = {{"a", 0, DSVL_BIND_MATRIX, 2, {THREE, TWO}}},
                              flat[] = {{"c", 0, DSVL_BIND_MATRIX, 2, {TWO, TWO}}},
                              absent[] = {{"layer.#.x", 0, DSVL_BIND_MATRIX, 2, {TWO, TWO}}};
    dsvl_error err;
    dsvl_checkpoint *c = open_abc(&good, &err);
    CHECK(dsvl_checkpoint_bind(c, "", table, 3, 0, sizes, &f, &err) == 0);
    CHECK(f.a.cols == 3 && f.c.rows == 2 && f.c.cols == 2 && f.b[1] == -2);
    CHECK(dsvl_checkpoint_bind(c, "", wrong, 1, 0, sizes, &f, &err) == -1);
    expect(&err, "tensor \"a\" has shape [2, 3], but config.json asks for [3, 2]");
    memset(&err, 0, sizeof err);
    CHECK(dsvl_checkpoint_bind(c, "", flat, 1, 0, sizes, &f, &err) == -1);
    expect(&err, "tensor \"c\" has shape [2, 1, 2], but config.json asks for [2, 2]");
    memset(&err, 0, sizeof err);
    CHECK(dsvl_checkpoint_bind(c, "", absent, 1, 17, sizes, &f, &err) == -1);
    expect(&err, "tensor \"layer.17.x\" is missing");
    dsvl_checkpoint_close(c);
}

/* A NaN or infinity at any place of any type is found, and so is its index. */
static void not_finite(void)
{
    static const uint16_t bad_bf16[] = {0x7f80, 0xff80, 0x7fc0, 0xffff, 0x7f81},
                          bad_f16[] = {0x7c00, 0xfc00, 0x7e01, 0xffff};
    static const uint32_t bad_f32[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff};
    dsvl_error err;
    kern_weight w;
    const float *v;
    char message[96];
    for (size_t i = 0; i < 6 * 5; i++) {
        abc bad = good;
        memcpy(&bad.a[i % 6], &bad_f32[i / 6], sizeof(float));
        dsvl_checkpoint *c = open_abc(&bad, &err);
        CHECK(c && dsvl_checkpoint_matrix(c, "a", 2, 3, &w, &err) == -1);
        snprintf(message, sizeof message, "tensor \"a\" holds a NaN or infinity (element %zu)", i % 6);
        expect(&err, message);
        CHECK(dsvl_checkpoint_vector(c, "a", 6, &v, NULL) == -1);
        CHECK(dsvl_checkpoint_vector(c, "b", 4, &v, NULL) == 0);
        dsvl_checkpoint_close(c);
    }
    for (size_t i = 0; i < 4 * 5; i++) {
        abc bad = good;
        bad.b[i % 4] = bad_bf16[i / 4];
        bad.c[i % 4] = bad_f16[i / 4 % 4];
        dsvl_checkpoint *c = open_abc(&bad, &err);
        CHECK(c && dsvl_checkpoint_vector(c, "b", 4, &v, &err) == -1);
        snprintf(message, sizeof message, "tensor \"b\" holds a NaN or infinity (element %zu)", i % 4);
        expect(&err, message);
        CHECK(dsvl_checkpoint_matrix(c, "c", 2, 2, &w, NULL) == -1);
        dsvl_checkpoint_close(c);
    }
    float many[301];
    for (size_t n = 0; n <= 300; n++) { /* the largest finite values carry nowhere */
        for (size_t i = 0; i < 301; i++) many[i] = i % 2 ? -3.40282347e38f : 3.40282347e38f;
        CHECK(dsvl_all_finite(many, n));
        many[n] = (float)NAN;
        CHECK(dsvl_all_finite(many, n));
        if (n) many[n / 2] = (float)INFINITY;
        CHECK(n == 0 || !dsvl_all_finite(many, n));
    }
}

static void refuse_file(const char *message)
{
    dsvl_error err = {0};
    dsvl_checkpoint *c = dsvl_checkpoint_open(folder, &err);
    CHECK_MSG(!c, "want \"%s\"", message);
    expect(&err, message);
    dsvl_checkpoint_close(c);
}

static void damaged_files(void)
{
    static const char i8[] = "{\"a\":{\"dtype\":\"I8\",\"shape\":[40],\"data_offsets\":[0,40]}}";
    static const char empty[] =
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,4611686018427387904,3,0],\"data_offsets\":[0,0]}}";
    unsigned char block[512];
    dsvl_error err = {0};
    kern_weight w;
    char path[512];
    write_tensors("model.safetensors", json_abc, &good, sizeof good - 1, 0);
    refuse_file("model.safetensors: 39 bytes of data where the header describes 40; the file is cut short");
    memcpy(block, &good, sizeof good);
    write_tensors("model.safetensors", json_abc, block, sizeof good + 1, 0);
    refuse_file("41 bytes of data where the header describes 40; the file is damaged");
    write_file("model.safetensors", "", 0);
    refuse_file("0 bytes are no safetensors file");
    write_file("model.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    refuse_file("a header of 18446744073709551615 bytes does not fit a file of 10");
    write_file("model.safetensors", "\x03\0\0\0\0\0\0\0{}", 10);
    refuse_file("a header of 3 bytes does not fit a file of 10");
    write_file("model.safetensors", "\x02\0\0\0\0\0\0\0[]", 10);
    refuse_file("header is not a JSON object");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    mkdir(path, 0700);
    refuse_file("model.safetensors: not a regular file");
    rmdir(path);
    refuse_file("no weights: neither model.safetensors nor model.safetensors.index.json is there");

    write_tensors("model.safetensors", i8, &good, sizeof good, 0);
    dsvl_checkpoint *c = dsvl_checkpoint_open(folder, &err);
    CHECK(c && dsvl_checkpoint_matrix(c, "a", 40, 1, &w, &err) == -1);
    expect(&err, "tensor \"a\" is I8; weights can be F32, F16 or BF16");
    dsvl_checkpoint_close(c);
    write_tensors("model.safetensors", empty, "", 0, 0);
    memset(&err, 0, sizeof err);
    c = dsvl_checkpoint_open(folder, &err);
    if (c) CHECK(dsvl_checkpoint_matrix(c, "a", 2, 1, &w, &err) == -1);
    CHECK_MSG(err.code == DSVL_E_MODEL, "%s", err.message);
    dsvl_checkpoint_close(c);
    write_tensors("model.safetensors", json_abc, &good, sizeof good, 1);
    memset(&err, 0, sizeof err);
    c = dsvl_checkpoint_open(folder, &err);
    CHECK(c && dsvl_checkpoint_matrix(c, "a", 2, 3, &w, &err) == -1);
    expect(&err, "tensor \"a\" is not aligned to its type");
    dsvl_checkpoint_close(c);
}

static void write_index(const char *map)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":48},\"weight_map\":%s}", map);
    write_file("model.safetensors.index.json", text, strlen(text));
}

static void shards(void)
{
    static const char one[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}";
    static const char two[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}";
    static const char both[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
                               "\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]}}";
    dsvl_error err = {0};
    const float *v;
    remove_file("model.safetensors");
    write_tensors("x-1.safetensors", one, good.a, 24, 0);
    write_tensors("x-2.safetensors", two, good.a, 24, 0);
    write_index("{\"a\":\"x-1.safetensors\",\"b\":\"x-2.safetensors\"}");
    dsvl_checkpoint *c = dsvl_checkpoint_open(folder, &err);
    CHECK_MSG(c && dsvl_checkpoint_count(c) == 2 && dsvl_checkpoint_vector(c, "b", 6, &v, &err) == 0 &&
                  v[5] == 6,
              "%s", err.message);
    CHECK(dsvl_checkpoint_vector(c, "z", 6, &v, &err) == -1);
    expect(&err, "tensor \"z\" is missing there and in the other shards");
    dsvl_checkpoint_close(c);

    write_index("{\"a\":\"x-1.safetensors\",\"b\":\"x-3.safetensors\"}");
    refuse_file(
        "x-3.safetensors: cannot open: No such file or directory; the model is incomplete, fetch this file");
    write_index("{\"a\":\"x-1.safetensors\",\"b\":\"x-1.safetensors\"}");
    refuse_file("index.json: tensor \"b\" should stand in x-1.safetensors and does not");
    write_index("{\"a\":\"x-1.safetensors\"}");
    write_tensors("x-1.safetensors", both, good.a, 24, 0);
    refuse_file("x-1.safetensors: tensor \"b\" is not in model.safetensors.index.json");
    write_index("{\"a\":\"x-1.safetensors\",\"b\":\"x-2.safetensors\"}");
    refuse_file("x-1.safetensors: tensor \"b\" belongs, by the index, in x-2.safetensors");
    static const char *const paths[] = {"../x", "/etc/passwd", "..", ".", "", "a/../../b"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char map[128];
        snprintf(map, sizeof map, "{\"a\":\"%s\"}", paths[i]);
        write_index(map);
        refuse_file("weight_map \"a\" does not name a file in this folder");
    }
    write_index("{\"a\":7}");
    refuse_file("weight_map \"a\" does not name a file in this folder");
    write_index("{}");
    refuse_file("no weight_map");
    write_index("7");
    refuse_file("no weight_map");
    write_index("{\"a\":");
    refuse_file("index.json: ");
    for (int i = 1; i <= 2; i++) remove_file(i == 1 ? "x-1.safetensors" : "x-2.safetensors");
    remove_file("model.safetensors.index.json");
}

static void hash_of(const abc *values, char hex[65])
{
    dsvl_error err;
    dsvl_checkpoint *c = open_abc(values, &err);
    CHECK(c && dsvl_checkpoint_hash(c, folder, hex, &err) == 0);
    dsvl_checkpoint_close(c);
}

static void hashes(void)
{
    char first[65], next[65];
    abc other = good;
    other.c[3] ^= 1;
    hash_of(&good, first);
    CHECK(strlen(first) == 64);
    hash_of(&good, next);
    CHECK_STR(first, next);
    hash_of(&other, next);
    CHECK(strcmp(first, next) != 0);
    static const char *const files[] = {"config.json", "processor_config.json", "tokenizer.json"};
    for (int i = 0; i < 3; i++) {
        char before[65];
        hash_of(&good, before);
        write_file(files[i], "{}", 2);
        hash_of(&good, next);
        CHECK(strcmp(before, next) != 0);
    }
    for (int i = 0; i < 3; i++) remove_file(files[i]);
    hash_of(&good, next);
    CHECK_STR(first, next);
}

static void out_of_memory(void)
{
    dsvl_error err;
    const float *v;
    char hex[65];
    for (long n = 1;; n++) {
        dsvl_checkpoint_close(open_abc(&good, &err));
        dsvl_alloc_fail_at(n);
        memset(&err, 0, sizeof err);
        dsvl_checkpoint *c = dsvl_checkpoint_open(folder, &err);
        bool done = c && dsvl_checkpoint_vector(c, "b", 4, &v, &err) == 0 &&
                    dsvl_checkpoint_hash(c, folder, hex, &err) == 0;
        dsvl_alloc_fail_at(0);
        dsvl_checkpoint_close(c);
        if (done) break;
        CHECK_MSG(err.code && n < 200, "%ld: %s", n, err.message);
    }
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/dsvl-checkpoint-%ld", (long)getpid());
    CHECK(mkdir(folder, 0700) == 0);
    binding();
    tables();
    not_finite();
    damaged_files();
    shards();
    hashes();
    out_of_memory();
    remove_file("model.safetensors");
    rmdir(folder);
    return CHECK_DONE();
}
