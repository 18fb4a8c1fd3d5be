/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the record stream on descriptors. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/record.h"

enum { BUFFER = 1 << 16, KINDS = 16, KIND_NAME = 32 };

/* Records by kind, for the end record's counts. Kinds beyond the table count in the total alone. */
typedef struct counts {
    size_t total, used;
    struct {
        char kind[KIND_NAME];
        size_t n;
    } row[KINDS];
} counts;

static void count_kind(counts *c, const char *kind)
{
    c->total++;
    for (size_t i = 0; i < c->used; i++) {
        if (strcmp(c->row[i].kind, kind) == 0) {
            c->row[i].n++;
            return;
        }
    }
    if (c->used == KINDS || strlen(kind) >= KIND_NAME) return;
    strcpy(c->row[c->used].kind, kind);
    c->row[c->used++].n = 1;
}

struct dsvl_reader {
    int descriptor;
    char *name;
    unsigned char *buffer; /* [BUFFER]: bytes start .. end are unread */
    size_t start, end;
    bool ended; /* the last record read was an end record */
    counts seen;
    dsvl_wait_fn wait; /* NULL: read() waits */
    void *wait_user;
};

dsvl_reader *dsvl_reader_new(int descriptor, const char *name, dsvl_error *err)
{
    dsvl_reader *reader = dsvl_alloc_zero(1, sizeof *reader);
    if (reader) {
        reader->descriptor = descriptor;
        reader->name = dsvl_strdup(name);
        reader->buffer = dsvl_alloc(BUFFER, 1);
    }
    if (!reader || !reader->name || !reader->buffer) {
        dsvl_fail_memory(err, BUFFER);
        dsvl_reader_free(reader);
        return NULL;
    }
    return reader;
}

void dsvl_reader_free(dsvl_reader *reader)
{
    if (!reader) return;
    dsvl_dealloc(reader->name);
    dsvl_dealloc(reader->buffer);
    dsvl_dealloc(reader);
}

void dsvl_reader_set_wait(dsvl_reader *reader, dsvl_wait_fn wait, void *user)
{
    reader->wait = wait;
    reader->wait_user = user;
}

/* One read() with retries on signals: bytes read, 0 at the end, -1 error. */
static ssize_t read_some(dsvl_reader *reader, void *data, size_t n, dsvl_error *err)
{
    for (;;) {
        if (reader->wait && reader->wait(reader->wait_user, reader->descriptor, err)) return -1;
        ssize_t got = read(reader->descriptor, data, n);
        if (got >= 0) return got;
        if (errno != EINTR)
            return dsvl_fail(err, DSVL_E_IO, "%s: cannot read: %s", reader->name, strerror(errno));
    }
}

/* Read exactly n bytes unless the input ends; *got says how many came. */
static int read_full(dsvl_reader *reader, void *data, size_t n, size_t *got, dsvl_error *err)
{
    unsigned char *p = data;
    *got = reader->end - reader->start < n ? reader->end - reader->start : n;
    if (*got) memcpy(p, reader->buffer + reader->start, *got);
    reader->start += *got;
    while (*got < n) {
        ssize_t more;
        if (n - *got >= BUFFER) {
            more = read_some(reader, p + *got, n - *got, err);
        } else { /* small rests go through the buffer */
            more = read_some(reader, reader->buffer, BUFFER, err);
            reader->start = 0;
            reader->end = more > 0 ? (size_t)more : 0;
            if ((size_t)(more > 0 ? more : 0) > n - *got) more = (ssize_t)(n - *got);
            if (more > 0) memcpy(p + *got, reader->buffer, (size_t)more);
            reader->start = more > 0 ? (size_t)more : 0;
        }
        if (more < 0) return -1;
        if (more == 0) break;
        *got += (size_t)more;
    }
    return 0;
}

long dsvl_reader_peek(dsvl_reader *reader, unsigned char *bytes, size_t n, dsvl_error *err)
{
    if (reader->start) {
        memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    while (reader->end < n) {
        ssize_t more = read_some(reader, reader->buffer + reader->end, BUFFER - reader->end, err);
        if (more < 0) return -1;
        if (more == 0) break;
        reader->end += (size_t)more;
    }
    size_t have = reader->end < n ? reader->end : n;
    memcpy(bytes, reader->buffer, have);
    return (long)have;
}

bool dsvl_reader_ready(const dsvl_reader *reader)
{
    if (reader->end > reader->start) return true;
    struct pollfd p = {.fd = reader->descriptor, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

int dsvl_reader_slurp(dsvl_reader *reader, size_t limit, unsigned char **data, size_t *length,
                      dsvl_error *err)
{
    void *block = NULL;
    size_t capacity = 0, used = 0;
    for (;;) {
        if (!dsvl_grow(&block, &capacity, used + BUFFER, 1)) {
            dsvl_dealloc(block);
            return dsvl_fail_memory(err, used + BUFFER);
        }
        size_t got;
        if (read_full(reader, (unsigned char *)block + used, BUFFER, &got, err)) {
            dsvl_dealloc(block);
            return -1;
        }
        used += got;
        if (used > limit) {
            dsvl_dealloc(block);
            return dsvl_fail(err, DSVL_E_LIMIT, "%s: larger than the limit of %zu bytes", reader->name,
                             limit);
        }
        if (got < BUFFER) break;
    }
    *data = block;
    *length = used;
    return 0;
}

static int cut_short(const dsvl_reader *reader, const char *what, dsvl_error *err)
{
    return dsvl_fail(
        err, DSVL_E_INPUT,
        "%s: the stream was cut short %s after %zu records; see what the program before this one said",
        reader->name, what, reader->seen.total);
}

static int check_counts(dsvl_reader *reader, const dsvl_record *end, dsvl_error *err)
{
    const char *key;
    json_t *value;
    long n;
    if (dsvl_record_int(end, "records", 0, INT64_MAX, &n, err)) return -1;
    bool agree = (size_t)n == reader->seen.total;
    for (size_t i = 0; i < reader->seen.used; i++) {
        char name[KIND_NAME + 8];
        snprintf(name, sizeof name, "count.%s", reader->seen.row[i].kind);
        if (dsvl_record_int(end, name, 0, INT64_MAX, &n, err)) return -1;
        agree = agree && (size_t)n == reader->seen.row[i].n;
    }
    json_object_foreach(end->metadata, key, value)
    { /* a kind that is counted there and never came */
        if (strncmp(key, "count.", 6) == 0 && strcmp(json_string_value(value), "0") != 0) {
            size_t i = 0;
            while (i < reader->seen.used && strcmp(reader->seen.row[i].kind, key + 6) != 0) i++;
            if (i == reader->seen.used && reader->seen.used < KINDS && strlen(key + 6) < KIND_NAME)
                agree = false;
        }
    }
    if (!agree) {
        return dsvl_fail(err, DSVL_E_INPUT,
                         "%s: the end record does not agree with the %zu records that came", reader->name,
                         reader->seen.total);
    }
    memset(&reader->seen, 0, sizeof reader->seen);
    return 0;
}

/* Read the tensors' bytes, which follow each other in the order of header->entries. */
static int read_tensors(dsvl_reader *reader, dsvl_st_header *header, dsvl_record *record, dsvl_error *err)
{
    for (size_t i = 0; i < header->count; i++) {
        dsvl_tensor tensor;
        const dsvl_tensor *claim = &header->entries[i].tensor;
        if (dsvl_tensor_new(&tensor, claim->dtype, claim->rank, claim->shape, err)) return -1;
        size_t got;
        if (read_full(reader, tensor.data, tensor.nbytes, &got, err) || got != tensor.nbytes) {
            dsvl_tensor_free(&tensor);
            return cut_short(reader, "inside a tensor", err);
        }
        if (dsvl_record_put_take(record, header->entries[i].name, &tensor, err)) return -1;
    }
    return 0;
}

/* One record of any kind. 1, 0 at the end of the input, -1. */
static int read_record(dsvl_reader *reader, dsvl_record **record, dsvl_error *err)
{
    unsigned char word[8];
    size_t got;
    uint64_t length = 0;
    int status = -1;
    char *json = NULL;
    dsvl_st_header header = {0};
    *record = NULL;
    if (read_full(reader, word, 8, &got, err)) return -1;
    if (got == 0) return 0;
    if (got < 8) return cut_short(reader, "inside a length word", err);
    for (int i = 7; i >= 0; i--) length = length << 8 | word[i];
    if (length < 2 || length > DSVL_HEADER_LIMIT) {
        if (reader->seen.total == 0)
            return dsvl_fail(err, DSVL_E_INPUT,
                             "%s: not a record stream; one begins with dsvl-rasterize and a document",
                             reader->name);
        return dsvl_fail(err, DSVL_E_INPUT,
                         "%s: not a record stream: a header of %llu bytes after %zu records", reader->name,
                         (unsigned long long)length, reader->seen.total);
    }
    /* The header is read in steps, so that a false length costs no more memory than there are bytes. */
    void *block = NULL;
    size_t capacity = 0, used = 0;
    while (used < length) {
        size_t step = length - used < 1 << 20 ? (size_t)(length - used) : 1 << 20;
        if (!dsvl_grow(&block, &capacity, used + step, 1)) {
            dsvl_fail_memory(err, used + step);
            goto out;
        }
        if (read_full(reader, (char *)block + used, step, &got, err)) goto out;
        used += got;
        if (got < step) {
            cut_short(reader, "inside a header", err);
            goto out;
        }
    }
    json = block;
    if (dsvl_st_parse(&header, json, (size_t)length, DSVL_RECORD_LIMIT, reader->name, err)) goto out;
    *record = dsvl_alloc_zero(1, sizeof **record);
    if (!*record) {
        dsvl_fail_memory(err, sizeof **record);
        goto out;
    }
    (*record)->metadata = json_incref(header.metadata);
    if (!*dsvl_record_kind(*record)) {
        dsvl_fail(err, DSVL_E_INPUT, "%s: a record without \"" DSVL_KEY_KIND "\" after %zu records",
                  reader->name, reader->seen.total);
        goto out;
    }
    if (read_tensors(reader, &header, *record, err)) goto out;
    status = 1;
out:
    dsvl_dealloc(block);
    dsvl_st_clear(&header);
    if (status != 1) {
        dsvl_record_free(*record);
        *record = NULL;
    }
    return status;
}

int dsvl_reader_next(dsvl_reader *reader, dsvl_record **record, dsvl_error *err)
{
    for (;;) {
        int status = read_record(reader, record, err);
        if (status < 0) return -1;
        if (status == 0) return reader->ended ? 0 : cut_short(reader, "before its end record", err);
        reader->ended = dsvl_record_is(*record, "end");
        if (!reader->ended) {
            count_kind(&reader->seen, dsvl_record_kind(*record));
            return 1;
        }
        status = check_counts(reader, *record, err);
        dsvl_record_free(*record);
        *record = NULL;
        if (status) return -1;
    }
}

struct dsvl_writer {
    int descriptor;
    char *name;
    counts written;
    size_t used; /* bytes of a record that wait in the buffer */
    unsigned char buffer[BUFFER];
};

dsvl_writer *dsvl_writer_new(int descriptor, const char *name, dsvl_error *err)
{
    dsvl_writer *writer = dsvl_alloc_zero(1, sizeof *writer);
    if (writer) {
        writer->descriptor = descriptor;
        writer->name = dsvl_strdup(name);
    }
    if (!writer || !writer->name) {
        dsvl_fail_memory(err, sizeof *writer);
        dsvl_writer_free(writer);
        return NULL;
    }
    return writer;
}

void dsvl_writer_free(dsvl_writer *writer)
{
    if (!writer) return;
    dsvl_dealloc(writer->name);
    dsvl_dealloc(writer);
}

static int write_full(dsvl_writer *writer, const void *data, size_t n, dsvl_error *err)
{
    const char *p = data;
    while (n) {
        ssize_t put = write(writer->descriptor, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            return dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", writer->name, strerror(errno));
        }
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

static int flush(dsvl_writer *writer, dsvl_error *err)
{
    const size_t n = writer->used;
    writer->used = 0;
    return write_full(writer, writer->buffer, n, err);
}

/* A record's small parts go out together: each write may wake the reader. */
static int write_part(dsvl_writer *writer, const void *data, size_t n, dsvl_error *err)
{
    if (n > BUFFER - writer->used && flush(writer, err)) return -1;
    if (n > BUFFER) return write_full(writer, data, n, err);
    if (n) memcpy(writer->buffer + writer->used, data, n);
    writer->used += n;
    return 0;
}

int dsvl_writer_put(dsvl_writer *writer, const dsvl_record *record, dsvl_error *err)
{
    char *head = NULL;
    size_t length;
    if (dsvl_st_format(record->entries, record->count, record->metadata, &head, &length, err)) return -1;
    int status = write_part(writer, head, length, err);
    for (size_t i = 0; !status && i < record->count; i++) {
        status = write_part(writer, record->entries[i].tensor.data, record->entries[i].tensor.nbytes, err);
    }
    if (!status) status = flush(writer, err);
    dsvl_dealloc(head);
    if (!status) count_kind(&writer->written, dsvl_record_kind(record));
    return status;
}

int dsvl_writer_end(dsvl_writer *writer, dsvl_error *err)
{
    dsvl_record *end = dsvl_record_new("end", err);
    if (!end) return -1;
    int status = dsvl_record_setf(end, "records", err, "%zu", writer->written.total);
    for (size_t i = 0; !status && i < writer->written.used; i++) {
        char key[KIND_NAME + 8];
        snprintf(key, sizeof key, "count.%s", writer->written.row[i].kind);
        status = dsvl_record_setf(end, key, err, "%zu", writer->written.row[i].n);
    }
    if (!status) status = dsvl_writer_put(writer, end, err);
    dsvl_record_free(end);
    return status;
}

size_t dsvl_writer_count(const dsvl_writer *writer, const char *kind)
{
    for (size_t i = 0; i < writer->written.used; i++) {
        if (strcmp(writer->written.row[i].kind, kind) == 0) return writer->written.row[i].n;
    }
    return 0;
}
