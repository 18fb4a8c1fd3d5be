/* SPDX-License-Identifier: Apache-2.0 */
/* Special tokens of the chat template. Private to lib. */
#ifndef DSVL_LIB_CHAT_H
#define DSVL_LIB_CHAT_H

#include "lib/model.h"

/* Id of one of the tokens that DeepseekVLV2Processor.__init__ makes sure of ("<|User|>"); where
 * tokenizer.json has no such token, the id that the published processor would give it. -1: not one of them.
 */
int32_t dsvl_chat_special(const dsvl_model *model, const char *name);

/* Bytes of a token in an answer: special tokens by their names, because boxes come as <|ref|>...<|det|>.
 * Borrowed; empty for ids that no tokenizer gives a text. */
void dsvl_chat_bytes(const dsvl_model *model, int32_t id, const char **bytes, size_t *length);

#endif
