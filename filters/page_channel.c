/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels pass in pieces through a small ring, which stays in the caches: shared memory for whole pages would
 * cost the kernel more than drawing a light one, since it comes in small pages that are cleared one by one.
 * Both sides count the pieces for themselves. What a document left in the ring is wiped: the next one's
 * process must not find it. */
#include "filters/page_channel.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "filters/pixels.h"
#include "lib/alloc.h"

enum { PIECES = 4, PIECE_BYTES = 1 << 18, HEAD_BYTES = 1 << 12, LOOK_MS = 100 };
#define CHANNEL_BYTES ((size_t)HEAD_BYTES + (size_t)PIECES * PIECE_BYTES)
#define PAGE_MOST ((uint64_t)4 << 30) /* as much as a record may hold */
#define WARM_MOST ((size_t)32 << 20)  /* memory that is had before a document is there */

typedef struct shared_head {
    sem_t room, full; /* pieces that may be filled, and that may be taken */
    atomic_long position, page;
    volatile int call;
    atomic_size_t usual; /* bytes of the last page */
} shared_head;

struct dsvl_page_channel {
    unsigned char *memory; /* [CHANNEL_BYTES] shared_head, pieces */
    uint64_t most;         /* bytes of a page */
    size_t passed;         /* pieces; each side has its own count */
    bool whole;            /* receiving: the end was seen */
    dsvl_page_pool *pool;  /* sending: owned; receiving: borrowed */
    dsvl_writer *writer;
    dsvl_reader *reader;
    int input;
    dsvl_check_fn check;
    void *user;
};

static shared_head *head(const dsvl_page_channel *c)
{
    return (shared_head *)(void *)c->memory;
}

static unsigned char *piece(const dsvl_page_channel *c, size_t number)
{
    return c->memory + HEAD_BYTES + number % PIECES * PIECE_BYTES;
}

static size_t piece_bytes(size_t left)
{
    return left < PIECE_BYTES ? left : PIECE_BYTES;
}

dsvl_page_channel *dsvl_page_channel_new(uint64_t max_pixels, dsvl_error *err)
{
    dsvl_page_channel *c = dsvl_alloc_zero(1, sizeof *c);
    if (!c) {
        dsvl_fail_memory(err, sizeof *c);
        return NULL;
    }
    c->input = -1;
    c->whole = true;
    c->most = max_pixels < PAGE_MOST / 3 ? 3 * max_pixels : PAGE_MOST;
    c->memory = mmap(NULL, CHANNEL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->memory != MAP_FAILED) return c;
    c->memory = NULL;
    dsvl_fail_memory(err, CHANNEL_BYTES);
    dsvl_page_channel_free(c);
    return NULL;
}

void dsvl_page_channel_free(dsvl_page_channel *channel)
{
    if (!channel) return;
    dsvl_reader_free(channel->reader);
    if (channel->input >= 0) close(channel->input);
    if (channel->memory) munmap(channel->memory, CHANNEL_BYTES);
    dsvl_dealloc(channel);
}

void dsvl_page_channel_close(const dsvl_page_channel *channel)
{
    madvise(channel->memory, CHANNEL_BYTES, MADV_DONTFORK);
}

void dsvl_page_channel_warm(const dsvl_page_channel *channel)
{
    dsvl_pixels_populate(channel->memory, CHANNEL_BYTES, true);
}

/* ---- sending ---- */

int dsvl_page_channel_settle(dsvl_page_channel *channel, bool canvas)
{
    size_t usual = atomic_load(&head(channel)->usual);
    channel->pool = dsvl_page_pool_new();
    if (!channel->pool) return -1;
    if (usual == 0 || usual > WARM_MOST) return 0;
    dsvl_page_channel_warm(channel);
    dsvl_page_pool_warm(channel->pool, canvas ? usual / 3 * 4 : usual); /* a canvas has four bytes a pixel */
    return 0;
}

int dsvl_page_channel_send(dsvl_page_channel *channel, int output, dsvl_error *err)
{
    channel->passed = 0;
    channel->writer = dsvl_writer_new(output, "pipe", err);
    return channel->writer && channel->pool ? 0 : dsvl_fail_memory(err, 0);
}

dsvl_page_pool *dsvl_page_channel_pool(dsvl_page_channel *channel)
{
    return channel->pool;
}

volatile int *dsvl_page_channel_call(dsvl_page_channel *channel)
{
    return &head(channel)->call;
}

void dsvl_page_channel_begin(dsvl_page_channel *channel, long position, long page)
{
    atomic_store(&head(channel)->page, page);
    atomic_store(&head(channel)->position, position);
}

static void send_pieces(dsvl_page_channel *channel, const unsigned char *from, size_t left)
{
    for (size_t n; left > 0; from += n, left -= n) {
        n = piece_bytes(left);
        while (sem_wait(&head(channel)->room) && errno == EINTR) {
        }
        memcpy(piece(channel, channel->passed++), from, n);
        sem_post(&head(channel)->full);
    }
}

/* In the record height and width stand for the pixels, which follow it. */
static int send_page(dsvl_page_channel *channel, dsvl_record *record, dsvl_error *err)
{
    const int64_t two = 2;
    dsvl_tensor tensor; /* [2] of the size, then the pixels */
    if (dsvl_tensor_new(&tensor, DSVL_I64, 1, &two, err)) return -1;
    memcpy(tensor.data, dsvl_record_tensor(record, "pixels")->shape, 2 * sizeof(int64_t));
    dsvl_record_swap(record, "pixels", &tensor);
    int status = tensor.nbytes > channel->most
                     ? dsvl_fail(err, DSVL_E_LIMIT, "the page has more pixels than --max-pixels allows")
                     : dsvl_writer_put(channel->writer, record, err);
    if (status == 0) send_pieces(channel, tensor.data, tensor.nbytes);
    dsvl_page_pool_give(channel->pool, tensor.data, tensor.nbytes);
    return status;
}

int dsvl_page_channel_put_take(dsvl_page_channel *channel, dsvl_record *record, dsvl_error *err)
{
    int status = dsvl_record_tensor(record, "pixels") ? send_page(channel, record, err)
                                                      : dsvl_writer_put(channel->writer, record, err);
    dsvl_record_free(record);
    return status;
}

/* A record of its own and no end record: after that a reader would wait for the process to be gone, which
 * takes as long as a part of a page. */
int dsvl_page_channel_end(dsvl_page_channel *channel, dsvl_error *err)
{
    dsvl_record *done = dsvl_record_new("done", err);
    return done ? dsvl_page_channel_put_take(channel, done, err) : -1;
}

/* ---- receiving ---- */

void dsvl_page_channel_reset(dsvl_page_channel *channel)
{
    shared_head *h = head(channel);
    dsvl_reader_free(channel->reader);
    channel->reader = NULL;
    if (channel->input >= 0) close(channel->input);
    channel->input = -1;
    /* A process that did not come to its end may have left anything anywhere. */
    memset(piece(channel, 0), 0,
           channel->whole && channel->passed < PIECES ? channel->passed * PIECE_BYTES
                                                      : (size_t)PIECES * PIECE_BYTES);
    channel->whole = true; /* nothing came yet */
    channel->passed = 0;
    sem_init(&h->room, 1, PIECES);
    sem_init(&h->full, 1, 0);
    atomic_store(&h->position, -1);
    atomic_store(&h->page, 0);
    h->call = -1;
}

static int wait_for_record(void *user, int descriptor, dsvl_error *err)
{
    const dsvl_page_channel *c = user;
    struct pollfd p = {.fd = descriptor, .events = POLLIN};
    while (poll(&p, 1, LOOK_MS) <= 0) {
        if (c->check(c->user, err)) return -1;
    }
    return 0;
}

static int wait_for_piece(const dsvl_page_channel *c, dsvl_error *err)
{
    struct pollfd p = {.fd = c->input};
    for (;;) {
        bool gone = poll(&p, 1, 0) > 0; /* before the look at what it left */
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += gone ? 0 : LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (sem_clockwait(&head(c)->full, CLOCK_MONOTONIC, &until) == 0) return 0;
        if (errno == EINTR) continue;
        if (gone) return dsvl_fail(err, DSVL_E_INPUT, "the pixels of a page break off");
        if (c->check(c->user, err)) return -1;
    }
}

int dsvl_page_channel_receive_take(dsvl_page_channel *channel, int input, dsvl_check_fn check, void *user,
                                   dsvl_page_pool *pool, dsvl_error *err)
{
    channel->input = input;
    channel->pool = pool;
    channel->check = check;
    channel->user = user;
    channel->whole = false;
    channel->reader = dsvl_reader_new(input, "the reader of documents", err);
    if (!channel->reader) return -1;
    dsvl_reader_set_wait(channel->reader, wait_for_record, channel);
    return 0;
}

static int receive_pieces(dsvl_page_channel *channel, unsigned char *to, size_t left, dsvl_error *err)
{
    for (size_t n; left > 0; to += n, left -= n) {
        n = piece_bytes(left);
        if (wait_for_piece(channel, err)) return -1;
        memcpy(to, piece(channel, channel->passed++), n);
        sem_post(&head(channel)->room);
    }
    return 0;
}

/* The pixels of a page into its record. */
static int receive_page(dsvl_page_channel *channel, dsvl_record *record, dsvl_error *err)
{
    const dsvl_tensor *size = dsvl_record_need(record, "pixels", DSVL_I64, 1, err);
    if (!size || size->shape[0] != 2) return dsvl_fail(err, DSVL_E_INPUT, "a page came without its size");
    int64_t shape[3] = {0, 0, 3}; /* [H, W, 3] */
    dsvl_tensor pixels = {.dtype = DSVL_U8, .rank = 3};
    size_t elements;
    memcpy(shape, size->data, 2 * sizeof(int64_t));
    memcpy(pixels.shape, shape, sizeof shape);
    if (!dsvl_shape_bytes(DSVL_U8, 3, shape, &elements, &pixels.nbytes) || pixels.nbytes == 0 ||
        pixels.nbytes > channel->most) {
        return dsvl_fail(err, DSVL_E_INPUT, "a page came with a size that cannot be");
    }
    pixels.data = dsvl_page_pool_take(channel->pool, pixels.nbytes);
    if (!pixels.data) return dsvl_fail_memory(err, pixels.nbytes);
    if (receive_pieces(channel, pixels.data, pixels.nbytes, err)) {
        dsvl_dealloc(pixels.data);
        return -1;
    }
    atomic_store(&head(channel)->usual, pixels.nbytes);
    return dsvl_record_put_take(record, "pixels", &pixels, err);
}

int dsvl_page_channel_next(dsvl_page_channel *channel, dsvl_record **record, dsvl_error *err)
{
    int status = dsvl_reader_next(channel->reader, record, err);
    if (status == 1 && dsvl_record_is(*record, "done")) {
        dsvl_record_free(*record);
        *record = NULL;
        channel->whole = true;
        return 0;
    }
    if (status == 0) return dsvl_fail(err, DSVL_E_INPUT, "an end came where none belongs");
    if (status == 1 && dsvl_record_is(*record, "page") && receive_page(channel, *record, err)) {
        dsvl_record_free(*record);
        *record = NULL;
        return -1;
    }
    return status;
}

dsvl_page_place dsvl_page_channel_place(const dsvl_page_channel *channel)
{
    return (dsvl_page_place){atomic_load(&head(channel)->position), atomic_load(&head(channel)->page)};
}
