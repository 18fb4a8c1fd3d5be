/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/page_writer.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "filters/page_record.h"
#include "lib/alloc.h"

enum { QUEUE_PAGES = 4 };
#define QUEUE_BYTES ((size_t)64 << 20) /* of pixels that may wait; one page always may */

typedef struct page_queue {
    dsvl_record *records[QUEUE_PAGES];
    int count;
    size_t bytes;
} page_queue;

struct dsvl_page_writer {
    int descriptor;
    const char *name;
    dsvl_page_format format;
    dsvl_page_pool *pool; /* borrowed, NULL: none */
    dsvl_writer *records; /* NULL for PPM */
    pthread_t thread;
    bool started;
    /* Under the lock: */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    page_queue waiting;
    bool busy; /* the thread is at work on pages */
    bool quit;
    dsvl_error failure; /* the first one; nothing is written after it */
};

static int write_all(const dsvl_page_writer *w, const void *data, size_t length, dsvl_error *err)
{
    const char *p = data;
    while (length > 0) {
        ssize_t n = write(w->descriptor, p, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return dsvl_fail(err, DSVL_E_IO, "cannot write %s: %s", w->name, strerror(errno));
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

static int write_ppm(const dsvl_page_writer *w, const dsvl_record *record, dsvl_error *err)
{
    if (!dsvl_record_is(record, "page")) return 0;
    const dsvl_tensor *pixels = dsvl_record_need(record, "pixels", DSVL_U8, 3, err);
    if (!pixels) return -1;
    char header[64];
    int n = snprintf(header, sizeof header, "P6\n%lld %lld\n255\n", (long long)pixels->shape[1],
                     (long long)pixels->shape[0]);
    if (write_all(w, header, (size_t)n, err)) return -1;
    return write_all(w, pixels->data, pixels->nbytes, err);
}

static int write_record(const dsvl_page_writer *w, dsvl_record *record, dsvl_error *err)
{
    if (w->format == DSVL_PAGES_PPM) return write_ppm(w, record, err);
    if (dsvl_record_is(record, "page") && dsvl_page_record_hash(record, err)) return -1;
    return dsvl_writer_put(w->records, record, err);
}

static void clear_queue(const dsvl_page_writer *w, page_queue *queue)
{
    for (int i = 0; i < queue->count; i++) {
        dsvl_record *record = queue->records[i];
        dsvl_tensor pixels = {0};
        dsvl_record_swap(record, "pixels", &pixels);
        dsvl_page_pool_give(w->pool, pixels.data, pixels.nbytes);
        dsvl_record_free(record);
    }
    queue->count = 0;
    queue->bytes = 0;
}

static void *run_writer(void *user)
{
    dsvl_page_writer *w = user;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->waiting.count && !w->quit) pthread_cond_wait(&w->changed, &w->lock);
        if (!w->waiting.count) break;
        page_queue queue = w->waiting;
        bool failed = w->failure.code != DSVL_OK;
        w->waiting = (page_queue){0};
        w->busy = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);

        dsvl_error err = {0};
        for (int i = 0; i < queue.count && !failed && !err.code; i++) write_record(w, queue.records[i], &err);
        clear_queue(w, &queue);

        pthread_mutex_lock(&w->lock);
        w->busy = false;
        if (!failed) w->failure = err;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

dsvl_page_writer *dsvl_page_writer_new(int descriptor, const char *name, dsvl_page_format format,
                                       dsvl_page_pool *pool, dsvl_error *err)
{
    dsvl_page_writer *w = dsvl_alloc_zero(1, sizeof *w);
    if (!w) {
        dsvl_fail_memory(err, sizeof *w);
        return NULL;
    }
    w->descriptor = descriptor;
    w->name = name;
    w->format = format;
    w->pool = pool;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (format == DSVL_PAGES_RECORDS && !(w->records = dsvl_writer_new(descriptor, name, err))) goto out;
    if (pthread_create(&w->thread, NULL, run_writer, w)) {
        dsvl_fail(err, DSVL_E_MEMORY, "cannot start a thread");
        goto out;
    }
    w->started = true;
    return w;
out:
    dsvl_page_writer_free(w);
    return NULL;
}

int dsvl_page_writer_put_take(dsvl_page_writer *w, dsvl_record *record, dsvl_error *err)
{
    const dsvl_tensor *pixels = dsvl_record_tensor(record, "pixels");
    size_t bytes = pixels ? pixels->nbytes : 0;
    page_queue *q = &w->waiting;
    pthread_mutex_lock(&w->lock);
    while (q->count == QUEUE_PAGES || (q->count && q->bytes + bytes > QUEUE_BYTES)) {
        pthread_cond_wait(&w->changed, &w->lock);
    }
    bool failed = w->failure.code != DSVL_OK;
    if (failed) {
        *err = w->failure;
    } else {
        q->records[q->count++] = record;
        q->bytes += bytes;
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (failed) dsvl_record_free(record);
    return failed ? -1 : 0;
}

int dsvl_page_writer_end(dsvl_page_writer *w, dsvl_error *err)
{
    pthread_mutex_lock(&w->lock);
    while (w->waiting.count || w->busy) pthread_cond_wait(&w->changed, &w->lock);
    bool failed = w->failure.code != DSVL_OK;
    if (failed) *err = w->failure;
    pthread_mutex_unlock(&w->lock);
    if (failed) return -1;
    return w->records ? dsvl_writer_end(w->records, err) : 0;
}

void dsvl_page_writer_free(dsvl_page_writer *w)
{
    if (!w) return;
    if (w->started) {
        pthread_mutex_lock(&w->lock);
        w->quit = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
    }
    clear_queue(w, &w->waiting);
    dsvl_writer_free(w->records);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    dsvl_dealloc(w);
}
