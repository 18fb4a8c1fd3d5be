/* SPDX-License-Identifier: Apache-2.0 */
/* Images of embeddings records that are asked about together. */
#ifndef DSVL_LIB_GROUP_H
#define DSVL_LIB_GROUP_H

#include "lib/answer.h"
#include "lib/evidence.h"
#include "lib/prompt.h"

typedef struct dsvl_group {
    dsvl_image *images;   /* [count]; embeddings owned, NULL where they were dropped */
    dsvl_source *sources; /* [count] */
    size_t count, image_capacity, source_capacity;
    size_t failed;          /* images of this group that did not come */
    size_t tokens;          /* of all images */
    dsvl_evidence evidence; /* the images' text layers, when they are wanted */
    bool wants_evidence;
    uint64_t serial; /* of the next image, over all groups */
} dsvl_group;

/* Add a record's image: its tensor "embeddings" F32 or BF16 [tokens, width], made by this model. Once the
 * images are more than the context holds only their sizes are kept, for the message: a document of any length
 * is gathered in bounded memory. On failure the group is as before. */
int dsvl_group_add(dsvl_group *group, const dsvl_model *model, const dsvl_record *record, dsvl_error *err);
/* Whether the record is of another document than the group's last image. */
bool dsvl_group_other_document(const dsvl_group *group, const dsvl_record *record);
void dsvl_group_reset(dsvl_group *group); /* forget the images */
void dsvl_group_clear(dsvl_group *group);

#endif
