/* SPDX-License-Identifier: Apache-2.0 */
/* What checkpoint.c and checkpoint_bind.c share. */
#ifndef DSVL_LIB_CHECKPOINT_PRIVATE_H
#define DSVL_LIB_CHECKPOINT_PRIVATE_H

#include "lib/checkpoint.h"

typedef struct shard {
    char *name, *path;
    unsigned char *map; /* [size], read-only and shared */
    size_t size;
    const unsigned char *data; /* behind the header */
    dsvl_st_header header;     /* its tensors' data point into the mapping */
} shard;

/* One tensor: where it is, and whether somebody asked for it. */
typedef struct slot {
    const char *name;
    const dsvl_tensor *tensor;
    const shard *shard;
    bool used, bound;      /* asked for or ignored; asked for */
    kern_weight quantized; /* once bound as such; else data NULL */
} slot;

struct dsvl_checkpoint {
    shard *shards;
    size_t shard_count;
    slot *slots; /* by name */
    size_t count;
    uint64_t data_bytes;
    bool scan;    /* small enough to check every weight when it is bound */
    void **owned; /* widened vectors */
    size_t owned_count, owned_capacity;
    dsvl_quantization quantization;
    bool blank; /* no files: requests are kept instead */
    dsvl_want *wants;
    size_t want_count, want_capacity;
    char **ignored; /* prefixes */
    size_t ignored_count, ignored_capacity;
};

/* Keep a request of a blank checkpoint. */
int dsvl_checkpoint_want(dsvl_checkpoint *checkpoint, const char *name, dsvl_bind_type type, int rank,
                         const int64_t *shape, dsvl_error *err);

slot *dsvl_checkpoint_slot(const dsvl_checkpoint *checkpoint, const char *name);

#endif
