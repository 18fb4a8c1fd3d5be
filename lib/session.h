/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a dsvl_session: one sequence and its cache. Private to session.c and generation.c. */
#ifndef DSVL_LIB_SESSION_H
#define DSVL_LIB_SESSION_H

#include "lib/decoder.h"
#include "lib/grounding.h"

struct dsvl_session {
    const dsvl_model *model;
    const dsvl_decoder *decoder;
    size_t context; /* most tokens the sequence may hold */
    size_t length;  /* tokens in the sequence */
    int32_t *ids;   /* [length]; the image placeholder's id (-1: none) stands for embeddings */
    size_t ids_capacity;
    int32_t placeholder;
    dsvl_grounding *grounding; /* NULL: answers are free; borrowed */
    dsvl_pass *pass;           /* behind a pointer: a const session still computes its logits when asked */
};

/* Logits [vocab] after the last token, computed when first asked for; NULL with *err filled. */
const float *dsvl_session_compute_logits(const dsvl_session *session, dsvl_error *err);

#endif
