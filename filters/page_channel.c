/* SPDX-License-Identifier: Apache-2.0 */
/* Two slots of pixels take turns, so that one is copied while the next page is drawn into the other. Both
 * sides count for themselves which one it is. A slot is wiped after the copy: the next document's process
 * must not find it. */
#include "filters/page_channel.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "filters/pixels.h"
#include "lib/alloc.h"

enum { SLOTS = 2, HEAD_BYTES = 1 << 16 };
#define SLOT_MOST ((uint64_t)4 << 30) /* as much as a record may hold */
#define SLOT_KEPT ((size_t)32 << 20)  /* of memory in a slot between documents */

typedef struct shared_head {
    sem_t room; /* slots that may be drawn into */
    atomic_long position, page;
    volatile int call;
    atomic_size_t usual; /* bytes of the last page */
    size_t taken[SLOTS]; /* bytes to wipe, where the process that drew was honest; else they are its own */
} shared_head;

struct dsvl_page_channel {
    unsigned char *memory; /* [HEAD_BYTES + SLOTS * slot_bytes] shared_head, slots */
    size_t slot_bytes, bytes;
    unsigned sent, received; /* pages; each side has its own count */
    bool reserved;           /* sending: there is room for the next page */
    bool whole;              /* receiving: the end was seen */
    dsvl_page_pool *pool;    /* sending: owned; receiving: borrowed */
    dsvl_writer *writer;
    dsvl_reader *reader;
    int input;
};

static shared_head *head(const dsvl_page_channel *c)
{
    return (shared_head *)(void *)c->memory;
}

static unsigned char *slot(const dsvl_page_channel *c, unsigned number)
{
    return c->memory + HEAD_BYTES + number % SLOTS * c->slot_bytes;
}

dsvl_page_channel *dsvl_page_channel_new(uint64_t max_pixels, dsvl_error *err)
{
    dsvl_page_channel *c = dsvl_alloc_zero(1, sizeof *c);
    if (!c) {
        dsvl_fail_memory(err, sizeof *c);
        return NULL;
    }
    const size_t huge = (size_t)2 << 20;
    c->input = -1;
    c->slot_bytes = max_pixels < SLOT_MOST / 4 ? 4 * max_pixels : SLOT_MOST;
    c->slot_bytes = (c->slot_bytes + huge - 1) / huge * huge;
    c->bytes = HEAD_BYTES + SLOTS * c->slot_bytes;
    /* Addresses, not memory: what no page touches is never there. */
    c->memory =
        mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->memory != MAP_FAILED) return c;
    c->memory = NULL;
    dsvl_fail(err, DSVL_E_MEMORY, "cannot map %zu MiB for pages of up to %llu pixels; lower --max-pixels",
              c->bytes >> 20, (unsigned long long)max_pixels);
    dsvl_page_channel_free(c);
    return NULL;
}

void dsvl_page_channel_free(dsvl_page_channel *channel)
{
    if (!channel) return;
    dsvl_reader_free(channel->reader);
    if (channel->input >= 0) close(channel->input);
    if (channel->memory) munmap(channel->memory, channel->bytes);
    dsvl_dealloc(channel);
}

void dsvl_page_channel_close(const dsvl_page_channel *channel)
{
    madvise(channel->memory, channel->bytes, MADV_DONTFORK);
}

/* ---- sending ---- */

int dsvl_page_channel_settle(dsvl_page_channel *channel, bool canvas)
{
    size_t usual = atomic_load(&head(channel)->usual);
    channel->pool = dsvl_page_pool_new();
    if (!channel->pool) return -1;
    if (usual == 0 || usual > SLOT_KEPT) return 0;
    /* Most documents have one page. A canvas has four bytes a pixel. */
    dsvl_pixels_populate(slot(channel, 0), canvas ? usual / 3 * 4 : usual, true);
    return 0;
}

int dsvl_page_channel_send(dsvl_page_channel *channel, int output, dsvl_error *err)
{
    dsvl_alloc_exempt(channel->memory, channel->bytes);
    channel->sent = 0;
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

static void wait_for_room(dsvl_page_channel *channel)
{
    while (!channel->reserved && (sem_wait(&head(channel)->room) == 0 || errno != EINTR))
        channel->reserved = true;
}

void dsvl_page_channel_begin(dsvl_page_channel *channel, long position, long page)
{
    atomic_store(&head(channel)->page, page);
    atomic_store(&head(channel)->position, position);
    wait_for_room(channel); /* a page that fails leaves it to the next one */
    dsvl_page_pool_lend(channel->pool, slot(channel, channel->sent), channel->slot_bytes,
                        &head(channel)->taken[channel->sent % SLOTS]);
}

/* Pixels into their slot, where most of them are already; in the record their height and width remain. */
static int hand_over_pixels(dsvl_page_channel *channel, dsvl_record *record, const dsvl_tensor *pixels,
                            dsvl_error *err)
{
    const int64_t two = 2;
    dsvl_tensor size; /* [2] */
    unsigned char *place = slot(channel, channel->sent);
    if (pixels->nbytes > channel->slot_bytes)
        return dsvl_fail(err, DSVL_E_LIMIT, "the page has more pixels than --max-pixels allows");
    wait_for_room(channel);
    if (pixels->data != place) {
        memcpy(place, pixels->data, pixels->nbytes);
        size_t *taken = &head(channel)->taken[channel->sent % SLOTS];
        if (*taken < pixels->nbytes) *taken = pixels->nbytes;
    }
    if (dsvl_tensor_new(&size, DSVL_I64, 1, &two, err)) return -1;
    memcpy(size.data, pixels->shape, 2 * sizeof(int64_t));
    channel->sent++;
    channel->reserved = false;
    return dsvl_record_put_take(record, "pixels", &size, err);
}

int dsvl_page_channel_put_take(dsvl_page_channel *channel, dsvl_record *record, dsvl_error *err)
{
    const dsvl_tensor *pixels = dsvl_record_tensor(record, "pixels");
    int status = pixels ? hand_over_pixels(channel, record, pixels, err) : 0;
    if (status == 0) status = dsvl_writer_put(channel->writer, record, err);
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
    dsvl_reader_free(channel->reader);
    channel->reader = NULL;
    if (channel->input >= 0) close(channel->input);
    channel->input = -1;
    /* A process that did not come to its end may have left anything: then nothing is kept. */
    size_t kept = !channel->whole ? 0 : channel->slot_bytes < SLOT_KEPT ? channel->slot_bytes : SLOT_KEPT;
    for (unsigned i = 0; i < SLOTS; i++) {
        size_t taken = *(volatile size_t *)&head(channel)->taken[i];
        memset(slot(channel, i), 0, taken < kept ? taken : kept);
        if (kept < channel->slot_bytes)
            madvise(slot(channel, i) + kept, channel->slot_bytes - kept, MADV_REMOVE);
        head(channel)->taken[i] = 0;
    }
    channel->whole = false;
    channel->received = 0;
    shared_head *h = head(channel);
    sem_init(&h->room, 1, SLOTS);
    atomic_store(&h->position, -1);
    atomic_store(&h->page, 0);
    h->call = -1;
}

void dsvl_page_channel_warm(dsvl_page_channel *channel, unsigned ahead, size_t from, size_t to)
{
    if (from > to || to > SLOT_KEPT || to > channel->slot_bytes) return;
    dsvl_pixels_populate(slot(channel, channel->received + ahead) + from, to - from, true);
}

int dsvl_page_channel_receive_take(dsvl_page_channel *channel, int input, dsvl_wait_fn wait, void *user,
                                   dsvl_page_pool *pool, dsvl_error *err)
{
    channel->input = input;
    channel->pool = pool;
    channel->reader = dsvl_reader_new(input, "the reader of documents", err);
    if (!channel->reader) return -1;
    dsvl_reader_set_wait(channel->reader, wait, user);
    return 0;
}

/* Pixels out of their slot and into the record. */
static int fetch_pixels(dsvl_page_channel *channel, dsvl_record *record, dsvl_error *err)
{
    const dsvl_tensor *size = dsvl_record_need(record, "pixels", DSVL_I64, 1, err);
    if (!size || size->shape[0] != 2) return dsvl_fail(err, DSVL_E_INPUT, "a page came without its size");
    int64_t shape[3] = {0, 0, 3}; /* [H, W, 3] */
    dsvl_tensor pixels = {.dtype = DSVL_U8, .rank = 3};
    size_t elements;
    memcpy(shape, size->data, 2 * sizeof(int64_t));
    memcpy(pixels.shape, shape, sizeof shape);
    if (!dsvl_shape_bytes(DSVL_U8, 3, shape, &elements, &pixels.nbytes) || pixels.nbytes == 0 ||
        pixels.nbytes > channel->slot_bytes) {
        return dsvl_fail(err, DSVL_E_INPUT, "a page came with a size that cannot be");
    }
    pixels.data = dsvl_page_pool_take(channel->pool, pixels.nbytes);
    if (!pixels.data) return dsvl_fail_memory(err, pixels.nbytes);
    unsigned char *place = slot(channel, channel->received++);
    memcpy(pixels.data, place, pixels.nbytes);
    sem_post(&head(channel)->room);
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
    if (status == 1 && dsvl_record_is(*record, "page") && fetch_pixels(channel, *record, err)) {
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
