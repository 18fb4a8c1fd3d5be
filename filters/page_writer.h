/* SPDX-License-Identifier: Apache-2.0 */
/* Output of the rasterizer, on a thread of its own: while one page is drawn the one before it is hashed and
 * written. Order is kept, and at most one page waits. */
#ifndef DSVL_FILTERS_PAGE_WRITER_H
#define DSVL_FILTERS_PAGE_WRITER_H

#include "lib/record.h"

typedef enum dsvl_page_format {
    DSVL_PAGES_RECORDS, /* dsvl-stream(5) */
    DSVL_PAGES_PPM,     /* P6 pictures one after the other; error records are not written */
} dsvl_page_format;

typedef struct dsvl_page_writer dsvl_page_writer;

/* The descriptor is borrowed; `name` stands in messages. */
dsvl_page_writer *dsvl_page_writer_new(int descriptor, const char *name, dsvl_page_format format,
                                       dsvl_error *err);

/* Queue a record, which passes to the writer in any case. -1 with *err filled once writing has failed. */
int dsvl_page_writer_put_take(dsvl_page_writer *writer, dsvl_record *record, dsvl_error *err);

/* Wait for the last page and close the stream with its end record. */
int dsvl_page_writer_end(dsvl_page_writer *writer, dsvl_error *err);

/* Stops the thread; a stream that was not ended stays without its end record. NULL-safe. */
void dsvl_page_writer_free(dsvl_page_writer *writer);

#endif
