/* SPDX-License-Identifier: Apache-2.0 */
/* A record stream. What can be read can be written, and reads the same again. */
#include <sys/mman.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/record.h"
#include "tests/fuzz/fuzz.h"

/* An empty memory file, or one with `size` bytes, at its start. */
static int memory_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);
    ALWAYS(fd >= 0);
    ALWAYS(size == 0 || write(fd, data, size) == (ssize_t)size);
    ALWAYS(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void use(dsvl_record *record)
{
    dsvl_error err = {.code = DSVL_OK}, cause = {.code = DSVL_E_INPUT};
    char place[256];
    long page;
    double dpi;
    snprintf(cause.message, sizeof cause.message, "bad");
    ALWAYS(dsvl_record_kind(record) && strcmp(dsvl_record_kind(record), "end") != 0);
    ALWAYS(dsvl_record_place(record, place));
    if (dsvl_record_int(record, DSVL_KEY_PAGE, 1, 100, &page, &err) == 0) ALWAYS(page >= 1 && page <= 100);
    dsvl_record_double(record, DSVL_KEY_DPI, &dpi, &err);
    dsvl_record_need(record, "pixels", DSVL_U8, 3, &err);
    for (size_t i = 0; i < record->count; i++) {
        const dsvl_st_entry *e = &record->entries[i];
        size_t elements, bytes;
        ALWAYS(dsvl_record_tensor(record, e->name) == &e->tensor);
        ALWAYS(dsvl_shape_bytes(e->tensor.dtype, e->tensor.rank, e->tensor.shape, &elements, &bytes));
        ALWAYS(bytes == e->tensor.nbytes);
        unsigned sum = 0; /* touch every byte */
        for (size_t k = 0; k < bytes; k++) sum += ((const unsigned char *)e->tensor.data)[k];
        ALWAYS(sum <= bytes * 255);
    }
    ALWAYS(dsvl_record_to_error(record, "dsvl-fuzz", &cause, &err) == 0 || err.code != DSVL_OK);
}

/* Records that could be read from fd; what is read is written to `out` and then used up. -1 at an error. */
static int drain(int fd, int out)
{
    dsvl_error err = {.code = DSVL_OK};
    dsvl_reader *reader = dsvl_reader_new(fd, "fuzz", &err);
    dsvl_writer *writer = out >= 0 ? dsvl_writer_new(out, "memory", &err) : NULL;
    dsvl_record *record = NULL;
    unsigned char head[16];
    int status = 0, count = 0;
    ALWAYS(reader && (writer || out < 0));
    ALWAYS(dsvl_reader_peek(reader, head, sizeof head, &err) >= 0);
    while ((status = dsvl_reader_next(reader, &record, &err)) == 1) {
        count++;
        if (writer) ALWAYS(dsvl_writer_put(writer, record, &err) == 0);
        use(record);
        dsvl_record_free(record);
        record = NULL;
    }
    ALWAYS(status == 0 || (err.code != DSVL_OK && err.message[0]));
    if (writer) ALWAYS(dsvl_writer_end(writer, NULL) == 0);
    dsvl_writer_free(writer);
    dsvl_reader_free(reader);
    return status ? -1 - count : count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object_seed(1);
    int in = memory_file(data, size), out = memory_file(NULL, 0);
    int count = drain(in, out);
    if (count < 0) count = -1 - count;
    ALWAYS(lseek(out, 0, SEEK_SET) == 0);
    ALWAYS(drain(out, -1) == count);
    close(in);
    close(out);
    return 0;
}
