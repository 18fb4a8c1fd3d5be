/* SPDX-License-Identifier: Apache-2.0 */
/* Special tokens of the chat template. Private to lib. */
#ifndef DSVL_LIB_CHAT_H
#define DSVL_LIB_CHAT_H

#include "lib/model.h"

/* Id of one of the tokens that DeepseekVLV2Processor.__init__ makes sure of ("<|User|>"); where
 * tokenizer.json has no such token, the id that the published processor would give it. -1: not one of them.
 */
int32_t dsvl_chat_special(const dsvl_model *model, const char *name);

/* What stands between an image and the text behind it. */
const char *dsvl_chat_after_image(const dsvl_model *model);

/* DeepSeek-VL: beginning and end token as tokenizer_config.json names them, for config.json does not say.
 * Fills in decoder.bos, decoder.eos and no_bos of an opened tokenizer's model. */
int dsvl_chat_read_ends(dsvl_model *model, dsvl_error *err);

/* Bytes of a token in an answer: special tokens by their names, because boxes come as <|ref|>...<|det|>.
 * Borrowed; empty for ids that no tokenizer gives a text. */
void dsvl_chat_bytes(const dsvl_model *model, int32_t id, const char **bytes, size_t *length);

#endif
