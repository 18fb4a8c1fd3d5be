/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a model folder: paths, whole small files, mapped large ones. */
#ifndef DSVL_LIB_FOLDER_H
#define DSVL_LIB_FOLDER_H

#include <stdbool.h>

#include "lib/error.h"

#define DSVL_CONFIG_LIMIT                                                                                    \
    ((size_t)16 << 20) /* bytes of a *.json with settings; the released ones are below 4 kB */
#define DSVL_INDEX_LIMIT ((size_t)256 << 20) /* bytes of model.safetensors.index.json */
#define DSVL_TOKENIZER_LIMIT ((size_t)256 << 20)

/* "folder/name", owned (dsvl_dealloc); NULL: out of memory. */
char *dsvl_folder_path(const char *folder, const char *name);
bool dsvl_folder_has(const char *folder, const char *name);

/* Read a whole file of at most `limit` bytes. *bytes is owned (dsvl_dealloc) and has a NUL after it. A
 * missing folder, a missing file, a directory and a file above the limit are errors (DSVL_E_MODEL) that name
 * it. */
int dsvl_folder_read(const char *folder, const char *name, size_t limit, char **bytes, size_t *length,
                     dsvl_error *err);

#endif
