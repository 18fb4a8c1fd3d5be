/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/page_list.h"

#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"

enum { MAX_PAGE = 1000000000 };

/* [-]digits, not zero. *text moves behind it. */
static bool read_number(const char **text, long *value)
{
    const char *p = *text;
    bool negative = *p == '-';
    if (negative) p++;
    const char *digits = p;
    long n = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        n = 10 * n + (*p - '0');
        if (n > MAX_PAGE) return false;
    }
    *text = p;
    *value = negative ? -n : n;
    return p > digits && n > 0;
}

static bool read_range(const char **text, dsvl_page_range *range)
{
    if (!read_number(text, &range->first)) return false;
    range->last = range->first;
    if (**text == '-') {
        ++*text;
        if (!read_number(text, &range->last)) return false;
    }
    bool same_end = (range->first > 0) == (range->last > 0);
    return !(same_end && range->first > range->last);
}

int dsvl_page_list_parse(dsvl_page_list *list, const char *text, dsvl_error *err)
{
    memset(list, 0, sizeof *list);
    for (const char *p = text;; p++) {
        dsvl_page_range range;
        if (!read_range(&p, &range) || (*p && *p != ',')) {
            dsvl_page_list_free(list);
            return dsvl_fail(err, DSVL_E_USAGE,
                             "a list of pages looks like 1-3,7,-1 (from 1; -1 is the last page; 5--1 from 5 "
                             "to the last), not "
                             "\"%.100s\"",
                             text);
        }
        void *ranges = list->ranges;
        bool grown = dsvl_grow(&ranges, &list->capacity, list->count + 1, sizeof range);
        list->ranges = ranges;
        if (!grown) {
            dsvl_page_list_free(list);
            return dsvl_fail_memory(err, (list->count + 1) * sizeof range);
        }
        list->ranges[list->count++] = range;
        if (!*p) return 0;
    }
}

void dsvl_page_list_free(dsvl_page_list *list)
{
    dsvl_dealloc(list->ranges);
    memset(list, 0, sizeof *list);
}

bool dsvl_page_range_resolve(const dsvl_page_range *range, long pages, long *from, long *to, long *missing,
                             char text[160])
{
    long first = range->first < 0 ? pages + 1 + range->first : range->first;
    long last = range->last < 0 ? pages + 1 + range->last : range->last;
    *from = first < 1 ? 1 : first;
    *to = last > pages ? pages : last;
    if (first >= 1 && last <= pages && first <= last) return true;
    /* The first number that is not there; "7--1" of a short document asks for page 7 at least. */
    *missing = first < 1 ? 0 : first > pages ? first : pages + 1;
    char asked[64];
    if (range->first == range->last)
        snprintf(asked, sizeof asked, "page %ld", range->first);
    else
        snprintf(asked, sizeof asked, "pages %ld-%ld", range->first, range->last);
    snprintf(text, 160, "--pages asks for %s; the document has %ld page%s", asked, pages,
             pages == 1 ? "" : "s");
    return false;
}
