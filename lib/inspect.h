/* SPDX-License-Identifier: Apache-2.0 */
/* What a model folder holds, without opening it for work: also of a folder that is incomplete or has no
 * weights. */
#ifndef DSVL_LIB_INSPECT_H
#define DSVL_LIB_INSPECT_H

#include <jansson.h>

#include "lib/error.h"

/* An object, as dsvl-model(1) describes for --json; owned (json_decref). NULL when config.json cannot be
 * used. */
json_t *dsvl_inspect(const char *folder, dsvl_error *err);

#endif
