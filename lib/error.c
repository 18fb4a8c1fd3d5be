/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int dsvl_fail(dsvl_error *err, dsvl_code code, const char *format, ...)
{
    if (!err || err->code != DSVL_OK) return -1;
    err->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return -1;
}

void dsvl_error_prefix(dsvl_error *err, const char *format, ...)
{
    if (!err || err->code == DSVL_OK) return;
    char tail[sizeof err->message];
    memcpy(tail, err->message, sizeof tail);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->message) {
        snprintf(err->message + used, sizeof err->message - (size_t)used, "%s", tail);
    }
}

int dsvl_fail_memory(dsvl_error *err, size_t n)
{
    return dsvl_fail(err, DSVL_E_MEMORY,
                     "out of memory (%zu bytes); another --max-memory or a smaller batch may help", n);
}
