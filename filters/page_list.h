/* SPDX-License-Identifier: Apache-2.0 */
/* A choice of pages as users write it: "1-3,7,-1". */
#ifndef DSVL_FILTERS_PAGE_LIST_H
#define DSVL_FILTERS_PAGE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

/* Pages first .. last, as written: from 1, or from the end when negative (-1 is the last page). */
typedef struct dsvl_page_range {
    long first, last;
} dsvl_page_range;

typedef struct dsvl_page_list {
    dsvl_page_range *ranges;
    size_t count, capacity;
} dsvl_page_list;

/* Strict: numbers and ranges A-B, either end negative, separated by commas; no spaces, no zero, no backward
 * range. */
int dsvl_page_list_parse(dsvl_page_list *list, const char *text, dsvl_error *err);
void dsvl_page_list_free(dsvl_page_list *list);

/* What a range means in a document of `pages`: the pages it has are *from .. *to (numbers from 1; none when
 * *from > *to). False when it asks for others too: *missing is then the number, from 1, of the first that is
 * not there, or 0 when that lies before the first page, and `text` says so for people. */
bool dsvl_page_range_resolve(const dsvl_page_range *range, long pages, long *from, long *to, long *missing,
                             char text[160]);

#endif
