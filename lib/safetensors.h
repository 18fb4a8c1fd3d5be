/* SPDX-License-Identifier: Apache-2.0 */
/* The safetensors header, read from bytes that nobody vouches for. One parser serves checkpoints (a mapped
 * file) and the record stream (a header read from a pipe): see dsvl-stream(5).
 *
 * Layout: u64 little-endian header length, JSON object {name: {dtype, shape, data_offsets}, "__metadata__":
 * {string: string}}, then the data. Checked here: lengths against the limits, JSON syntax, no duplicate keys,
 * known dtypes, shape products, offsets that start at 0, are contiguous in some order and match the shapes.
 */
#ifndef DSVL_LIB_SAFETENSORS_H
#define DSVL_LIB_SAFETENSORS_H

#include <jansson.h>

#include "lib/tensor.h"

#define DSVL_HEADER_LIMIT ((size_t)100 << 20) /* bytes of JSON, as the reference implementation */

typedef struct dsvl_st_entry {
    char *name;
    dsvl_tensor tensor; /* data is NULL until the holder sets it */
    uint64_t begin;     /* bytes from the end of the header */
} dsvl_st_entry;

typedef struct dsvl_st_header {
    dsvl_st_entry *entries;        /* sorted by begin */
    const dsvl_st_entry **by_name; /* the same, sorted by name */
    size_t count;
    uint64_t data_bytes;
    json_t *metadata; /* object of strings, never NULL after a successful parse */
} dsvl_st_header;

/* Parse `length` bytes of JSON. `data_limit` bounds the data section. `where` names the file or stream. */
int dsvl_st_parse(dsvl_st_header *header, const char *json, size_t length, uint64_t data_limit,
                  const char *where, dsvl_error *err);
void dsvl_st_clear(dsvl_st_header *header);
const dsvl_st_entry *dsvl_st_find(const dsvl_st_header *header, const char *name);

/* The bytes that precede the data: length word and JSON, padded with spaces so that the data starts at a
 * multiple of 8. Tensors are laid out in the order given. *bytes is owned by the caller (dsvl_dealloc). */
int dsvl_st_format(const dsvl_st_entry *entries, size_t count, const json_t *metadata, char **bytes,
                   size_t *length, dsvl_error *err);

#endif
