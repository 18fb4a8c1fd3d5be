/* SPDX-License-Identifier: Apache-2.0 */
/* Pages from the process that draws them to the one that writes them: records through a pipe, as in
 * dsvl-stream(5), and their pixels through a little memory that both share. The reading side takes nothing on
 * trust: pixels are copied before they are looked at, and whatever the other side says is checked. */
#ifndef DSVL_FILTERS_PAGE_CHANNEL_H
#define DSVL_FILTERS_PAGE_CHANNEL_H

#include "filters/page_pool.h"
#include "lib/record.h"

typedef struct dsvl_page_channel dsvl_page_channel;

/* The shared memory, before the other process is forked. Pages of up to max_pixels can pass. */
dsvl_page_channel *dsvl_page_channel_new(uint64_t max_pixels, dsvl_error *err);
void dsvl_page_channel_free(dsvl_page_channel *channel); /* NULL-safe */
/* After that one was forked: have the shared memory at hand; processes that are forked later do not have it.
 */
void dsvl_page_channel_warm(const dsvl_page_channel *channel);
void dsvl_page_channel_close(const dsvl_page_channel *channel);

/* ---- the process that draws ---- */

/* Have as much memory as the last page needed, before there is a document; and for a canvas to draw it on. 0
 * or -1. */
int dsvl_page_channel_settle(dsvl_page_channel *channel, bool canvas);

/* Begin to send into a descriptor, which is borrowed. */
int dsvl_page_channel_send(dsvl_page_channel *channel, int output, dsvl_error *err);
/* Where pixels are best allocated: what was sent is used again. */
dsvl_page_pool *dsvl_page_channel_pool(dsvl_page_channel *channel);
/* Say what is being worked on, for the case that it does not come to an end. */
void dsvl_page_channel_begin(dsvl_page_channel *channel, long position, long page);
int dsvl_page_channel_put_take(dsvl_page_channel *channel, dsvl_record *record, dsvl_error *err);
int dsvl_page_channel_end(dsvl_page_channel *channel, dsvl_error *err); /* all was sent */
/* Where dsvl_jail_enter notes a forbidden call. */
volatile int *dsvl_page_channel_call(dsvl_page_channel *channel);

/* ---- the process that writes ---- */

/* Forget the last document; before the process that draws the next one is started. */
void dsvl_page_channel_reset(dsvl_page_channel *channel);
/* Called now and then while nothing comes: -1 with *err filled gives up. */
typedef int (*dsvl_check_fn)(void *user, dsvl_error *err);
/* Begin to receive from a descriptor, which passes to the channel; pixels come from `pool`. */
int dsvl_page_channel_receive_take(dsvl_page_channel *channel, int input, dsvl_check_fn check, void *user,
                                   dsvl_page_pool *pool, dsvl_error *err);
/* The next record: 1, 0 at the end, -1 when the stream breaks off or what it says cannot be. */
int dsvl_page_channel_next(dsvl_page_channel *channel, dsvl_record **record, dsvl_error *err);

/* What was last begun: it may say anything when the process was taken over. */
typedef struct dsvl_page_place {
    long position; /* -1: no page yet */
    long page;
} dsvl_page_place;
dsvl_page_place dsvl_page_channel_place(const dsvl_page_channel *channel);

#endif
