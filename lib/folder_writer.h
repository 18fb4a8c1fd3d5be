/* SPDX-License-Identifier: Apache-2.0 */
/* A new model folder, written as a stream and atomically: everything goes to OUT.tmp-XXXXXX beside it,
 * reaches the disk, and is renamed to OUT at the end. A process that dies leaves that folder, never a half of
 * OUT. Settings are written behind the weights, so that even in the unfinished folder a config.json stands
 * for a whole model.
 *
 * dsvl-hashes.txt lists the content hash (lib/hash.h) of every file: 64 hex digits, two spaces, the name. */
#ifndef DSVL_LIB_FOLDER_WRITER_H
#define DSVL_LIB_FOLDER_WRITER_H

#include <stdbool.h>

#include "lib/safetensors.h"

#define DSVL_SUMS "dsvl-hashes.txt"

typedef struct dsvl_folder_writer dsvl_folder_writer;

/* How tensors are spread over files, as the tools do that wrote the released folders. */
typedef struct dsvl_shards {
    uint64_t limit; /* bytes of data in a file; 0: one file, model.safetensors, without an index */
    size_t second; /* the tensor that begins a file whatever the bytes (a second process wrote from there); 0:
                      none */
    int total_digits; /* of the number of files in their names: 5, or DeepSeek's 6 */
} dsvl_shards;

/* `out` must not exist unless `replace`; then it is exchanged and removed at commit. */
dsvl_folder_writer *dsvl_folder_writer_new(const char *out, bool replace, dsvl_error *err);
/* Without a commit before, everything written is removed. */
void dsvl_folder_writer_free(dsvl_folder_writer *writer);

/* Declare all tensors (name, dtype, rank, shape, nbytes), in the order in which their bytes will be put.
 * Fails when the disk has not room for them. metadata: of each file's header; may be NULL. Borrowed until the
 * last put. */
int dsvl_folder_writer_tensors(dsvl_folder_writer *writer, const dsvl_st_entry *entries, size_t count,
                               const dsvl_shards *shards, const json_t *metadata, dsvl_error *err);
/* The next bytes of the tensors: exactly as many in all as were declared. */
int dsvl_folder_writer_put(dsvl_folder_writer *writer, const void *bytes, size_t length, dsvl_error *err);

/* A small file of its own. Only after the tensors. */
int dsvl_folder_writer_file(dsvl_folder_writer *writer, const char *name, const void *bytes, size_t length,
                            dsvl_error *err);
int dsvl_folder_writer_commit(dsvl_folder_writer *writer, dsvl_error *err);

#endif
