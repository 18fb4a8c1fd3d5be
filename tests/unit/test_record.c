/* SPDX-License-Identifier: Apache-2.0 */
/* The record stream: what is written comes back; splitting, joining and every way of cutting it short; false
 * claims; memory that runs out at every allocation in turn. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/record.h"
#include "tests/unit/check.h"

static dsvl_record *sample(int page)
{
    dsvl_error err = {0};
    dsvl_record *r = dsvl_record_new("page", &err);
    dsvl_tensor t;
    int64_t shape[] = {2, 3, 3}, odd[] = {5};
    if (!r) return NULL;
    if (dsvl_record_set(r, DSVL_KEY_DOCUMENT, "a \"b\"\n\xff.pdf", &err) ||
        dsvl_record_setf(r, DSVL_KEY_PAGE, &err, "%d", page) ||
        dsvl_tensor_new(&t, DSVL_U8, 3, shape, &err)) {
        dsvl_record_free(r);
        return NULL;
    }
    for (int i = 0; i < 18; i++) ((unsigned char *)t.data)[i] = (unsigned char)(i + page);
    if (dsvl_record_put_take(r, "pixels", &t, &err) || dsvl_tensor_new(&t, DSVL_F32, 1, odd, &err)) {
        dsvl_record_free(r);
        return NULL;
    }
    for (int i = 0; i < 5; i++) ((float *)t.data)[i] = (float)i / (float)page;
    if (dsvl_record_put_take(r, "words.font_size", &t, &err)) {
        dsvl_record_free(r);
        return NULL;
    }
    return r;
}

/* A stream of n records in a memory file; -1 when memory runs out. */
static int stream(int n, bool with_end, size_t *length)
{
    dsvl_error err = {0};
    int fd = memfd_create("stream", MFD_CLOEXEC);
    dsvl_writer *w = dsvl_writer_new(fd, "memory", &err);
    int status = w ? 0 : -1;
    for (int i = 1; !status && i <= n; i++) {
        dsvl_record *r = sample(i);
        status = r ? dsvl_writer_put(w, r, &err) : -1;
        dsvl_record_free(r);
    }
    if (!status && with_end) status = dsvl_writer_end(w, &err);
    dsvl_writer_free(w);
    if (length) *length = (size_t)lseek(fd, 0, SEEK_CUR);
    lseek(fd, 0, SEEK_SET);
    if (status) close(fd);
    return status ? -1 : fd;
}

/* Read all: number of records, or -1 with *err. */
static int drain(int fd, dsvl_error *err)
{
    dsvl_reader *r = dsvl_reader_new(fd, "memory", err);
    dsvl_record *record = NULL;
    int n = 0, status = r ? 1 : -1;
    while (status == 1 && (status = dsvl_reader_next(r, &record, err)) == 1) {
        dsvl_record_free(record);
        n++;
    }
    dsvl_reader_free(r);
    return status ? -1 : n;
}

static void test_round_trip(void)
{
    dsvl_error err = {0};
    int fd = stream(3, true, NULL);
    dsvl_reader *r = dsvl_reader_new(fd, "memory", &err);
    dsvl_record *record = NULL;
    for (int i = 1; i <= 3; i++) {
        CHECK(dsvl_reader_next(r, &record, &err) == 1);
        const dsvl_tensor *t = dsvl_record_need(record, "pixels", DSVL_U8, 3, &err);
        CHECK(t && t->shape[0] == 2 && t->shape[2] == 3 && ((unsigned char *)t->data)[17] == 17 + i);
        const dsvl_tensor *f = dsvl_record_need(record, "words.font_size", DSVL_F32, 1, &err);
        CHECK(f && ((float *)f->data)[4] == 4.0f / (float)i);
        CHECK_STR(dsvl_record_get(record, DSVL_KEY_DOCUMENT), "a \"b\"\n\xef\xbf\xbd.pdf");
        long page;
        CHECK(dsvl_record_int(record, DSVL_KEY_PAGE, 1, 9, &page, &err) == 0 && page == i);
        CHECK(!dsvl_record_need(record, "pixels", DSVL_F32, 3, &err) && err.code == DSVL_E_INPUT);
        CHECK(strstr(err.message, "page ") && strstr(err.message, "\"pixels\" is U8 [2, 3, 3]"));
        memset(&err, 0, sizeof err);
        dsvl_record_free(record);
    }
    CHECK(dsvl_reader_next(r, &record, &err) == 0 && err.code == DSVL_OK);
    dsvl_reader_free(r);
    close(fd);
}

/* Every prefix of a stream is refused, except the whole; so is one with bytes after its end. */
static void test_cuts(void)
{
    size_t length;
    int fd = stream(2, true, &length);
    char *bytes = dsvl_alloc(2 * length + 8, 1);
    CHECK(read(fd, bytes, length) == (ssize_t)length);
    close(fd);
    for (size_t n = 0; n < length; n++) {
        fd = memfd_create("cut", MFD_CLOEXEC);
        CHECK(write(fd, bytes, n) == (ssize_t)n);
        lseek(fd, 0, SEEK_SET);
        dsvl_error err = {0};
        CHECK_MSG(drain(fd, &err) == -1 && err.code == DSVL_E_INPUT, "prefix of %zu bytes", n);
        close(fd);
    }
    memcpy(bytes + length, bytes, length);
    memset(bytes + 2 * length, 'x', 8);
    for (size_t n = 2 * length; n <= 2 * length + 8;
         n += 4) { /* two streams joined are one; trailing bytes are not */
        fd = memfd_create("joined", MFD_CLOEXEC);
        CHECK(write(fd, bytes, n) == (ssize_t)n);
        lseek(fd, 0, SEEK_SET);
        dsvl_error err = {0};
        CHECK(drain(fd, &err) == (n == 2 * length ? 4 : -1));
        close(fd);
    }
    dsvl_dealloc(bytes);
}

static void test_false_claims(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"[]", "not a JSON object"},
        {"{\"a\":1", "not a JSON object"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{}}", "not a JSON object"},
        {"{\"a\":{\"dtype\":\"Q3\",\"shape\":[4],\"data_offsets\":[0,4]}}", "unsupported dtype"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,5]}}", "do not fit shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]}}", "not a natural number"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", "gap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
         "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807,3],\"data_offsets\":[0,4]}}",
         "do not fit shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[99999999999],\"data_offsets\":[0,99999999999]}}",
         "outside the data"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", "more than 8"},
        {"{\"__metadata__\":{\"k\":1}}", "is not a string"},
        {"{\"__metadata__\":3}", "not an object"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", "lacks dtype"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsvl_st_header header;
        dsvl_error err = {0};
        CHECK(dsvl_st_parse(&header, cases[i].json, strlen(cases[i].json), 1 << 20, "t", &err) == -1);
        CHECK_MSG(strstr(err.message, cases[i].message), "case %zu: %s", i, err.message);
    }
    unsigned char huge[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    int fd = memfd_create("huge", MFD_CLOEXEC);
    CHECK(write(fd, huge, 8) == 8);
    lseek(fd, 0, SEEK_SET);
    dsvl_error err = {0};
    CHECK(drain(fd, &err) == -1 && strstr(err.message, "not a record stream"));
    close(fd);
}

/* Whatever allocation fails, writing and reading end in an error, without a leak (the sanitizers watch). */
static void test_no_memory(void)
{
    int complete = 0;
    for (long n = 1; n < 200 && !complete; n++) {
        dsvl_alloc_fail_at(n);
        int fd = stream(1, true, NULL);
        dsvl_error err = {0};
        int count = fd >= 0 ? drain(fd, &err) : -1;
        complete = count == 1 && dsvl_alloc_count() < n;
        CHECK(count == 1 ? dsvl_alloc_count() < n : fd < 0 || err.code == DSVL_E_MEMORY);
        if (fd >= 0) close(fd);
    }
    dsvl_alloc_fail_at(0);
    CHECK(complete);
}

static void test_write_errors(void)
{
    dsvl_error err = {0};
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    dsvl_writer *w = dsvl_writer_new(fd, "full", &err);
    CHECK(dsvl_writer_end(w, &err) == -1 && err.code == DSVL_E_IO && strstr(err.message, "No space left"));
    dsvl_writer_free(w);
    close(fd);
}

int main(void)
{
    test_round_trip();
    test_cuts();
    test_false_claims();
    test_no_memory();
    test_write_errors();
    return CHECK_DONE();
}
