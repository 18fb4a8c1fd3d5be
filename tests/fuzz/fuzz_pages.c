/* SPDX-License-Identifier: Apache-2.0 */
/* A list of pages as --pages takes it, asked of documents of several lengths. */
#include "filters/page_list.h"
#include "tests/fuzz/fuzz.h"

static void check_range(const dsvl_page_range *range, long pages)
{
    long from, to, missing = -1;
    char text[160] = "";
    bool all = dsvl_page_range_resolve(range, pages, &from, &to, &missing, text);
    ALWAYS(from >= 1 && to <= pages);
    if (all)
        ALWAYS(from <= to);
    else
        ALWAYS(missing >= 0 && (missing == 0 || missing > pages || from > to) && text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long lengths[] = {1, 2, 3, 7, 1000, 2147483647};
    dsvl_page_list list;
    dsvl_error err = {.code = DSVL_OK};
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    int status = dsvl_page_list_parse(&list, text, &err);
    ALWAYS(status == 0 ? err.code == DSVL_OK && list.count > 0 : err.code == DSVL_E_USAGE && err.message[0]);
    for (size_t i = 0; status == 0 && i < list.count; i++) {
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
            check_range(&list.ranges[i], lengths[k]);
    }
    if (status == 0) dsvl_page_list_free(&list);
    free(text);
    return 0;
}
