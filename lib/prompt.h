/* SPDX-License-Identifier: Apache-2.0 */
/* A prompt on its way into a session: tokens and images, keeping what the session already holds of it. */
#ifndef DSVL_LIB_PROMPT_H
#define DSVL_LIB_PROMPT_H

#include "lib/model.h"

typedef struct dsvl_image {
    float *embeddings; /* [tokens, width], of whoever made the list */
    size_t tokens;
    uint64_t id; /* the same image has the same id, another image another one */
} dsvl_image;

/* What a session holds from the last prompt: token ids, and -1-id for images. Zero to begin with. */
typedef struct dsvl_prefix {
    int64_t *entries; /* owned */
    size_t count, capacity;
} dsvl_prefix;

/* Bring the session to hold exactly this prompt (ids as dsvl_chat_tokens gives them, images as -1-k): the
 * longest common beginning with the last prompt stays, the rest is fed. *tokens is the prompt's length. A
 * prompt that leaves no room for an answer is an error (DSVL_E_LIMIT) that says what it needs. */
int dsvl_prompt_feed(dsvl_prefix *prefix, dsvl_session *session, const int32_t *ids, size_t count,
                     const dsvl_image *images, size_t image_count, size_t *tokens, dsvl_error *err);
void dsvl_prefix_clear(dsvl_prefix *prefix);

#endif
