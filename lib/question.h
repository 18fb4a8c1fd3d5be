/* SPDX-License-Identifier: Apache-2.0 */
/* What dsvl-answer asks: one prompt, a file of prompts, or a conversation. */
#ifndef DSVL_LIB_QUESTION_H
#define DSVL_LIB_QUESTION_H

#include <jansson.h>

#include "lib/model.h"

typedef struct dsvl_question {
    json_t *id;   /* as the prompts file has it; NULL: none */
    char *prompt; /* the question's words, for the answer's record */
    bool specials;
    /* A conversation; NULL: the images and then the prompt, as one user message. */
    dsvl_message *messages; /* [count], owned */
    char **texts;           /* [2 * count]: what their roles and contents point to, owned */
    size_t count;
    size_t images; /* image places in it */
} dsvl_question;

typedef struct dsvl_questions {
    dsvl_question *items; /* owned */
    size_t count, capacity;
} dsvl_questions;

/* One prompt. specials: its grounding tokens are tokens. */
int dsvl_questions_add(dsvl_questions *questions, const char *prompt, bool specials, dsvl_error *err);
/* JSON Lines {"id", "prompt"}; a line without an id gets its number. Blank lines are skipped. */
int dsvl_questions_read(dsvl_questions *questions, const char *path, bool specials, dsvl_error *err);
/* A conversation: [{"role", "content": "text" or [{"type": "image"}, {"type": "text", "text"}]}], or an
 * object that holds it as "messages". */
int dsvl_questions_read_chat(dsvl_questions *questions, const char *path, bool specials, dsvl_error *err);
void dsvl_questions_clear(dsvl_questions *questions);

/* Token ids, images as -1-k. `images` is how many there are; a conversation must have as many places.
 * A prompt stands behind its images as users of the published models write it: VL2 each image and a newline,
 * then the words; VL without newlines. *ids is owned (dsvl_free). */
int dsvl_question_tokens(const dsvl_question *question, const dsvl_model *model, size_t images, int32_t **ids,
                         size_t *count, dsvl_error *err);

#endif
