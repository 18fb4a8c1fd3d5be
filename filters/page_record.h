/* SPDX-License-Identifier: Apache-2.0 */
/* Pages as records: see dsvl-stream(5), kind "page". */
#ifndef DSVL_FILTERS_PAGE_RECORD_H
#define DSVL_FILTERS_PAGE_RECORD_H

#include <stdio.h>

#include "filters/source.h"
#include "lib/record.h"

/* Where a record comes from. page 0: the document as a whole; pages 0: not known. */
typedef struct dsvl_page_origin {
    const char *document; /* as the user gave it, "-" for standard input */
    long page, pages;
} dsvl_page_origin;

/* "report.pdf, page 3" into a caller's buffer. */
const char *dsvl_page_origin_place(const dsvl_page_origin *origin, char buffer[256]);

/* A page record with everything but pixels_hash. Pixels and words pass to the record; page is freed in any
 * case. */
dsvl_record *dsvl_page_record_new_take(const dsvl_page_origin *origin, dsvl_page *page, dsvl_error *err);

/* Set pixels_hash, the dsvl_tensor_hash of the pixels. */
int dsvl_page_record_hash(dsvl_record *record, dsvl_error *err);

/* Put a text layer into a record as its five tensors; the words' blocks pass to the record. */
int dsvl_words_put_take(dsvl_record *record, dsvl_words *words, dsvl_error *err);

/* An error record for a page or document. */
dsvl_record *dsvl_page_record_failed(const dsvl_page_origin *origin, const char *stage,
                                     const dsvl_error *cause, dsvl_error *err);

#endif
