/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations as token ids.
 * Mirrors DeepseekVLV2Processor.format_messages_v2 and tokenize_with_images with the "deepseek" template:
 *
 *   bos [system] {<|User|>: text\n\n<|Assistant|>: [answer eos]} ...
 *
 * The published code makes one string of a turn and lets the tokenizer find the special tokens in it, so a
 * user's (or a page's) "<|Assistant|>" becomes one. Here the template's own tokens are written by id and text
 * stays text. The ids of ordinary text are the same, because added tokens cut the string before anything else
 * looks at it: the pieces between them are tokenized alone there too. */
#include "lib/chat.h"

#include <string.h>

#include "lib/alloc.h"

/* Tokens the processor adds when the tokenizer lacks them, in its order; pad and image have their names in
 * the config. The grounding tokens are those that a prompt may use when its author asks for it. */
static const char *const added[] = {"<|ref|>",       "<|/ref|>", "<|det|>",      "<|/det|>",
                                    "<|grounding|>", "<|User|>", "<|Assistant|>"};
enum { ADDED = 7, GROUNDING = 5 };

typedef struct chat_template {
    const char *format; /* sft_format of processor_config.json */
    const char *user, *assistant;
    const char *separator; /* after a user's text */
} chat_template;

static const chat_template templates[] = {{"deepseek", "<|User|>", "<|Assistant|>", "\n\n"}};

int32_t dsvl_chat_special(const dsvl_model *model, const char *name)
{
    int32_t next = dsvl_tokenizer_size(model->tokenizer);
    for (int i = -2; i < ADDED; i++) {
        const char *candidate = i == -2   ? model->processor.pad_token
                                : i == -1 ? model->processor.image_token
                                          : added[i];
        int32_t id = dsvl_tokenizer_find(model->tokenizer, candidate);
        if (id < 0) id = next++;
        if (strcmp(candidate, name) == 0) return id;
    }
    return -1;
}

void dsvl_chat_bytes(const dsvl_model *model, int32_t id, const char **bytes, size_t *length)
{
    if (dsvl_tokenizer_bytes(model->tokenizer, id, true, bytes, length) == 0) return;
    *bytes = "";
    for (int i = 0; i < ADDED; i++)
        if (dsvl_chat_special(model, added[i]) == id) *bytes = added[i];
    *length = strlen(*bytes);
}

/* ---- text -------------------------------------------------------------------------------------------- */

/* What Python's str.strip() removes: the characters for which str.isspace() holds, as UTF-8. */
static const char *const spaces[] = {" ",
                                     "\n",
                                     "\t",
                                     "\r",
                                     "\v",
                                     "\f",
                                     "\x1c",
                                     "\x1d",
                                     "\x1e",
                                     "\x1f",
                                     "\xc2\x85",
                                     "\xc2\xa0",
                                     "\xe1\x9a\x80",
                                     "\xe2\x80\x80",
                                     "\xe2\x80\x81",
                                     "\xe2\x80\x82",
                                     "\xe2\x80\x83",
                                     "\xe2\x80\x84",
                                     "\xe2\x80\x85",
                                     "\xe2\x80\x86",
                                     "\xe2\x80\x87",
                                     "\xe2\x80\x88",
                                     "\xe2\x80\x89",
                                     "\xe2\x80\x8a",
                                     "\xe2\x80\xa8",
                                     "\xe2\x80\xa9",
                                     "\xe2\x80\xaf",
                                     "\xe2\x81\x9f",
                                     "\xe3\x80\x80"};

/* Length of a space at the start (or, from_end, at the end) of text; 0: none. */
static size_t space(const char *text, size_t length, bool from_end)
{
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        size_t n = strlen(spaces[i]);
        if (n <= length && memcmp(from_end ? text + length - n : text, spaces[i], n) == 0) return n;
    }
    return 0;
}

static void strip(const char **text, size_t *length)
{
    size_t n;
    while ((n = space(*text, *length, false)) > 0) {
        *text += n;
        *length -= n;
    }
    while ((n = space(*text, *length, true)) > 0) *length -= n;
}

typedef struct text_buffer {
    char *data;
    size_t length, capacity;
} text_buffer;

static int append(text_buffer *buffer, const char *text, size_t length, dsvl_error *err)
{
    void *data = buffer->data;
    if (!dsvl_grow(&data, &buffer->capacity, buffer->length + length + 1, 1))
        return dsvl_fail_memory(err, buffer->length + length + 1);
    buffer->data = data;
    memcpy(buffer->data + buffer->length, text, length);
    buffer->length += length;
    return 0;
}

/* The first grounding token in text: its place, and which one; false: none. */
static bool find_grounding(const char *text, size_t length, size_t *at, int *which)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '<') continue;
        for (int g = 0; g < GROUNDING; g++) {
            size_t n = strlen(added[g]);
            if (n <= length - i && memcmp(text + i, added[g], n) == 0) {
                *at = i;
                *which = g;
                return true;
            }
        }
    }
    return false;
}

static int encode(const dsvl_model *model, const char *text, size_t length, bool specials, dsvl_ids *ids,
                  dsvl_error *err)
{
    size_t at = 0;
    int which = 0;
    while (specials && find_grounding(text, length, &at, &which)) {
        if (dsvl_tokenizer_encode(model->tokenizer, text, at, false, ids, err) ||
            dsvl_ids_add(ids, dsvl_chat_special(model, added[which]), err))
            return -1;
        size_t used = at + strlen(added[which]);
        text += used;
        length -= used;
    }
    return dsvl_tokenizer_encode(model->tokenizer, text, length, false, ids, err);
}

/* ---- turns ------------------------------------------------------------------------------------------- */

/* "<|User|>: text\n\n<|Assistant|>:", cut at the images: each piece of text is tokenized alone. */
static int user_turn(const dsvl_model *model, const chat_template *shape, const dsvl_message *message,
                     size_t *images, dsvl_ids *ids, dsvl_error *err)
{
    const char *text = message->content;
    size_t length = strlen(text), left = message->images;
    text_buffer piece = {0};
    int result = -1;
    strip(&text, &length);
    bool any = length > 0;
    const char *lead = any ? ": " : ":";
    if (dsvl_ids_add(ids, dsvl_chat_special(model, shape->user), err) ||
        append(&piece, lead, strlen(lead), err))
        goto out;
    for (; left > 0; left--) {
        const char *mark = memchr(text, (unsigned char)DSVL_IMAGE_MARK[0], length);
        if (!mark) {
            dsvl_fail(err, DSVL_E_USAGE, "a message announces %zu images and marks the place of %zu",
                      message->images, message->images - left);
            goto out;
        }
        size_t before = (size_t)(mark - text);
        if (append(&piece, text, before, err) ||
            encode(model, piece.data, piece.length, message->specials, ids, err) ||
            dsvl_ids_add(ids, (int32_t)(-1 - (int64_t)*images), err))
            goto out;
        (*images)++;
        piece.length = 0;
        text = mark + 1;
        length -= before + 1;
    }
    if (append(&piece, text, length, err) ||
        (any && append(&piece, shape->separator, strlen(shape->separator), err)) ||
        encode(model, piece.data, piece.length, message->specials, ids, err) ||
        dsvl_ids_add(ids, dsvl_chat_special(model, shape->assistant), err) ||
        encode(model, ":", 1, false, ids, err))
        goto out;
    result = 0;
out:
    dsvl_dealloc(piece.data);
    return result;
}

static int plain_turn(const dsvl_model *model, const dsvl_message *message, dsvl_ids *ids, dsvl_error *err)
{
    const char *text = message->content;
    size_t length = strlen(text);
    if (message->images > 0)
        return dsvl_fail(err, DSVL_E_USAGE,
                         "a message of the role \"%s\" cannot hold images: put them into a user message",
                         message->role);
    strip(&text, &length);
    return encode(model, text, length, message->specials, ids, err);
}

static bool role_is(const dsvl_message *message, const char *role, const char *token)
{
    return strcmp(message->role, role) == 0 || strcmp(message->role, token) == 0;
}

static int turn(const dsvl_model *model, const chat_template *shape, const dsvl_message *messages, size_t i,
                size_t count, size_t *images, dsvl_ids *ids, dsvl_error *err)
{
    const dsvl_message *message = &messages[i];
    if (!message->role || !message->content)
        return dsvl_fail(err, DSVL_E_USAGE, "message %zu of the conversation has no role or no content",
                         i + 1);
    if (role_is(message, "user", shape->user)) return user_turn(model, shape, message, images, ids, err);
    if (role_is(message, "system", "deepseekapi-sys")) {
        if (i > 0)
            return dsvl_fail(err, DSVL_E_USAGE,
                             "a system message must be the first of the conversation; message %zu is one",
                             i + 1);
        return plain_turn(model, message, ids, err);
    }
    if (!role_is(message, "assistant", shape->assistant))
        return dsvl_fail(err, DSVL_E_USAGE,
                         "message %zu has the role \"%s\"; roles are user, assistant and system", i + 1,
                         message->role);
    if (plain_turn(model, message, ids, err)) return -1;
    /* The last answer is the one to go on with: its end is the model's to say. */
    return i + 1 < count ? dsvl_ids_add(ids, model->config.decoder.eos, err) : 0;
}

int dsvl_chat_tokens(const dsvl_model *model, const dsvl_message *messages, size_t count, int32_t **ids,
                     size_t *length, dsvl_error *err)
{
    if (!model->tokenizer)
        return dsvl_fail(err, DSVL_E_USAGE, "a conversation needs a model opened with its tokenizer");
    if (count == 0) return dsvl_fail(err, DSVL_E_USAGE, "the conversation is empty");
    const chat_template *shape = NULL;
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++)
        if (strcmp(templates[i].format, model->processor.sft_format) == 0) shape = &templates[i];
    if (!shape)
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s/processor_config.json: sft_format \"%s\" is not known; \"deepseek\" is",
                         model->folder, model->processor.sft_format);
    if (model->config.decoder.bos < 0 || model->config.decoder.eos < 0)
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s/config.json: language_config.bos_token_id and eos_token_id are needed",
                         model->folder);
    dsvl_ids list = {0};
    size_t images = 0;
    if (dsvl_ids_add(&list, model->config.decoder.bos, err)) goto failed;
    for (size_t i = 0; i < count; i++)
        if (turn(model, shape, messages, i, count, &images, &list, err)) goto failed;
    const char *last = messages[count - 1].role;
    if (strcmp(last, "system") == 0 || strcmp(last, "deepseekapi-sys") == 0) {
        dsvl_fail(err, DSVL_E_USAGE, "the conversation ends with a system message: nobody asks anything");
        goto failed;
    }
    *ids = list.data;
    *length = list.count;
    return 0;
failed:
    dsvl_ids_free(&list);
    return -1;
}
