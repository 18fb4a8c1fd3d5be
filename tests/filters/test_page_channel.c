/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of any size pass from another process, a page that breaks off is an error, and
 * nothing of a document stays for the next one. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters/page_channel.h"
#include "lib/alloc.h"
#include "tests/unit/check.h"

enum { SIDE = 1500, WIDTHS = 4 };
static const int64_t widths[WIDTHS] = {1, 100, SIDE, 37}; /* one piece, a part of one, many */

static uint8_t pixel(int64_t width, size_t at)
{
    return (uint8_t)(at * 7 + (at >> 11) + (size_t)width);
}

static void send_page(dsvl_page_channel *c, int64_t width, dsvl_error *err)
{
    const int64_t shape[3] = {SIDE, width, 3};
    dsvl_tensor pixels;
    dsvl_record *record = dsvl_record_new("page", err);
    if (!record || dsvl_tensor_new(&pixels, DSVL_U8, 3, shape, err)) _exit(2);
    for (size_t i = 0; i < pixels.nbytes; i++) ((uint8_t *)pixels.data)[i] = pixel(width, i);
    if (dsvl_record_put_take(record, "pixels", &pixels, err) || dsvl_page_channel_put_take(c, record, err))
        _exit(3);
}

/* A process that sends these pages. */
static int start(dsvl_page_channel *c, pid_t *process)
{
    int ends[2];
    dsvl_error err = {0};
    CHECK(pipe(ends) == 0);
    dsvl_page_channel_reset(c);
    *process = fork();
    if (*process == 0) {
        close(ends[0]);
        if (dsvl_page_channel_settle(c, true) || dsvl_page_channel_send(c, ends[1], &err)) _exit(1);
        for (int i = 0; i < WIDTHS; i++) {
            dsvl_page_channel_begin(c, i, i + 1);
            send_page(c, widths[i], &err);
        }
        _exit(dsvl_page_channel_end(c, &err) ? 4 : 0);
    }
    close(ends[1]);
    return ends[0];
}

static int patience;
static int check(void *user, dsvl_error *err)
{
    (void)user;
    return patience-- > 0 ? 0 : dsvl_fail(err, DSVL_E_LIMIT, "too slow");
}

static void test_pages(dsvl_page_channel *c)
{
    dsvl_error err = {0};
    dsvl_record *record = NULL;
    dsvl_page_pool *pool = dsvl_page_pool_new();
    pid_t process;
    int input = start(c, &process), status;
    patience = 100;
    CHECK(dsvl_page_channel_receive_take(c, input, check, NULL, pool, &err) == 0);
    for (int i = 0; i < WIDTHS; i++) {
        CHECK(dsvl_page_channel_next(c, &record, &err) == 1);
        const dsvl_tensor *pixels = dsvl_record_need(record, "pixels", DSVL_U8, 3, &err);
        CHECK(pixels && pixels->shape[0] == SIDE && pixels->shape[1] == widths[i] && pixels->shape[2] == 3);
        size_t wrong = 0;
        for (size_t k = 0; k < pixels->nbytes; k++)
            wrong += ((const uint8_t *)pixels->data)[k] != pixel(widths[i], k);
        CHECK(wrong == 0);
        dsvl_record_free(record);
    }
    CHECK(dsvl_page_channel_next(c, &record, &err) == 0 && record == NULL);
    CHECK(dsvl_page_channel_place(c).position == WIDTHS - 1 && dsvl_page_channel_place(c).page == WIDTHS);
    CHECK(waitpid(process, &status, 0) == process && status == 0);
    dsvl_page_pool_free(pool);
}

/* The process ends while a page of many pieces is on its way. */
static void test_break(dsvl_page_channel *c)
{
    dsvl_error err = {0};
    dsvl_record *record = NULL;
    pid_t process;
    int input = start(c, &process), result, pages = 0;
    while (dsvl_page_channel_place(c).position < 2) usleep(1000);
    usleep(200000); /* now it waits for room, since nothing is taken */
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
    patience = 0;
    CHECK(dsvl_page_channel_receive_take(c, input, check, NULL, NULL, &err) == 0);
    for (; (result = dsvl_page_channel_next(c, &record, &err)) == 1; pages++) dsvl_record_free(record);
    CHECK(result == -1 && pages == 2 && strstr(err.message, "break off"));
}

/* A process that is forked after the channel was closed does not have its memory. */
static void test_closed(dsvl_page_channel *c)
{
    int status;
    dsvl_page_channel_close(c);
    pid_t process = fork();
    if (process == 0) {
        signal(SIGSEGV, SIG_DFL); /* sanitizers have a handler */
        *dsvl_page_channel_call(c) = 1;
        _exit(0);
    }
    CHECK(waitpid(process, &status, 0) == process && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

int main(void)
{
    dsvl_error err = {0};
    dsvl_page_channel *c = dsvl_page_channel_new((uint64_t)SIDE * SIDE, &err);
    CHECK(c);
    dsvl_page_channel_warm(c);
    test_pages(c);
    test_pages(c); /* the next document */
    test_break(c);
    test_pages(c);
    test_closed(c);
    dsvl_page_channel_free(c);
    dsvl_page_channel_free(NULL);
    return 0;
}
