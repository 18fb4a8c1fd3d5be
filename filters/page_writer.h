/* SPDX-License-Identifier: Apache-2.0 */
/* Output of the rasterizer, on a thread of its own: while a page is drawn those before it are hashed and
 * written. Order is kept. */
#ifndef DSVL_FILTERS_PAGE_WRITER_H
#define DSVL_FILTERS_PAGE_WRITER_H

#include "filters/page_pool.h"
#include "lib/record.h"

typedef enum dsvl_page_format {
    DSVL_PAGES_RECORDS, /* dsvl-stream(5) */
    DSVL_PAGES_PPM,     /* P6 pictures one after the other; error records are not written */
} dsvl_page_format;

typedef struct dsvl_page_writer dsvl_page_writer;

/* The descriptor is borrowed; `name` stands in messages. The pixels of pages that are written go to the pool,
 * which is borrowed too and may be NULL. */
dsvl_page_writer *dsvl_page_writer_new(int descriptor, const char *name, dsvl_page_format format,
                                       dsvl_page_pool *pool, dsvl_error *err);

/* Queue a record, which passes to the writer in any case. -1 with *err filled once writing has failed. */
int dsvl_page_writer_put_take(dsvl_page_writer *writer, dsvl_record *record, dsvl_error *err);

/* Wait for the last page and close the stream with its end record. */
int dsvl_page_writer_end(dsvl_page_writer *writer, dsvl_error *err);

/* Stops the thread; a stream that was not ended stays without its end record. NULL-safe. */
void dsvl_page_writer_free(dsvl_page_writer *writer);

#endif
