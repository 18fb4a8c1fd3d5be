/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations as token ids.
 * VL2 mirrors DeepseekVLV2Processor.format_messages_v2 and tokenize_with_images with the "deepseek" template:
 *
 *   bos [system] {<|User|>: text\n\n<|Assistant|>: [answer eos]} ...
 *
 * VL mirrors VLChatProcessor.apply_sft_template_for_multi_turn_prompts and the chat template that
 * transformers' files come with; the roles are words, and a system prompt of its own stands where none is
 * given:
 *
 *   [bos] system\n\n{User: text\n\nAssistant: [answer eos]} ...
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
    bool square;        /* of a processor that makes squares: DeepSeek-VL */
    const char *format; /* sft_format of processor_config.json */
    const char *user, *assistant;
    const char *separator;   /* after a user's text, and a system prompt */
    const char *system;      /* where the conversation has none */
    const char *after_image; /* between an image and what follows, as the published examples have it */
} chat_template;

static const chat_template templates[] = {
    {false, "deepseek", "<|User|>", "<|Assistant|>", "\n\n", "", "\n"},
    {true, "deepseek", "User", "Assistant", "\n\n",
     "You are a helpful language and vision assistant. You are able to understand the visual content that "
     "the "
     "user provides, and assist the user with a variety of tasks using natural language.",
     ""},
};

static const chat_template *template_of(const dsvl_model *model)
{
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++)
        if (templates[i].square == model->processor.square &&
            strcmp(templates[i].format, model->processor.sft_format) == 0)
            return &templates[i];
    return NULL;
}

const char *dsvl_chat_after_image(const dsvl_model *model)
{
    const chat_template *shape = template_of(model);
    return shape ? shape->after_image : "";
}

int32_t dsvl_chat_special(const dsvl_model *model, const char *name)
{
    int32_t next = dsvl_tokenizer_size(model->tokenizer);
    if (model->processor.square) { /* VLChatProcessor adds its image token alone */
        const int32_t id = dsvl_tokenizer_find(model->tokenizer, name);
        return id < 0 && strcmp(name, model->processor.image_token) == 0 ? next : id;
    }
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

/* Append text to a piece, cut at its images: each piece is tokenized alone. */
static int add_content(const dsvl_model *model, const dsvl_message *message, const char *text, size_t length,
                       text_buffer *piece, size_t *images, dsvl_ids *ids, dsvl_error *err)
{
    const bool specials = message->specials && !model->processor.square;
    for (size_t left = message->images; left > 0; left--) {
        const char *mark = memchr(text, (unsigned char)DSVL_IMAGE_MARK[0], length);
        if (!mark)
            return dsvl_fail(err, DSVL_E_USAGE, "a message announces %zu images and marks the place of %zu",
                             message->images, message->images - left);
        size_t before = (size_t)(mark - text);
        if (append(piece, text, before, err) ||
            encode(model, piece->data, piece->length, specials, ids, err) ||
            dsvl_ids_add(ids, (int32_t)(-1 - (int64_t)*images), err))
            return -1;
        (*images)++;
        piece->length = 0;
        text = mark + 1;
        length -= before + 1;
    }
    return append(piece, text, length, err);
}

/* "<|User|>: text\n\n<|Assistant|>:" */
static int user_turn(const dsvl_model *model, const chat_template *shape, const dsvl_message *message,
                     size_t *images, dsvl_ids *ids, dsvl_error *err)
{
    const char *text = message->content;
    size_t length = strlen(text);
    text_buffer piece = {0};
    int result = -1;
    strip(&text, &length);
    bool any = length > 0;
    const char *lead = any ? ": " : ":";
    if (dsvl_ids_add(ids, dsvl_chat_special(model, shape->user), err) ||
        append(&piece, lead, strlen(lead), err) ||
        add_content(model, message, text, length, &piece, images, ids, err) ||
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

typedef enum chat_role { ROLE_USER, ROLE_ASSISTANT, ROLE_SYSTEM } chat_role;

/* The role of message i, checked; -1: an error. */
static int role_of(const chat_template *shape, const dsvl_message *messages, size_t i, dsvl_error *err)
{
    const dsvl_message *message = &messages[i];
    if (!message->role || !message->content)
        return dsvl_fail(err, DSVL_E_USAGE, "message %zu of the conversation has no role or no content",
                         i + 1);
    if (role_is(message, "user", shape->user)) return ROLE_USER;
    if (role_is(message, "assistant", shape->assistant)) return ROLE_ASSISTANT;
    if (!role_is(message, "system", "deepseekapi-sys"))
        return dsvl_fail(err, DSVL_E_USAGE,
                         "message %zu has the role \"%s\"; roles are user, assistant and system", i + 1,
                         message->role);
    if (i == 0) return ROLE_SYSTEM;
    return dsvl_fail(err, DSVL_E_USAGE,
                     "a system message must be the first of the conversation; message %zu is one", i + 1);
}

static int turn(const dsvl_model *model, const chat_template *shape, const dsvl_message *messages, size_t i,
                size_t count, size_t *images, dsvl_ids *ids, dsvl_error *err)
{
    const int role = role_of(shape, messages, i, err);
    if (role < 0) return -1;
    if (role == ROLE_USER) return user_turn(model, shape, &messages[i], images, ids, err);
    if (plain_turn(model, &messages[i], ids, err)) return -1;
    /* The last answer is the one to go on with: its end is the model's to say. */
    return role == ROLE_ASSISTANT && i + 1 < count ? dsvl_ids_add(ids, model->config.decoder.eos, err) : 0;
}

/* "User: text\n\n", "Assistant: answer" and the end token; or "system\n\n". What no token cuts is one piece.
 */
static int word_turn(const dsvl_model *model, const chat_template *shape, const dsvl_message *message,
                     int role, bool last, text_buffer *piece, size_t *images, dsvl_ids *ids, dsvl_error *err)
{
    const char *name = role == ROLE_USER ? shape->user : role == ROLE_ASSISTANT ? shape->assistant : NULL;
    const char *text = message->content;
    size_t length = strlen(text);
    strip(&text, &length);
    if (role != ROLE_USER && message->images > 0)
        return dsvl_fail(err, DSVL_E_USAGE,
                         "a message of the role \"%s\" cannot hold images: put them into a user message",
                         message->role);
    if (name && (append(piece, name, strlen(name), err) || append(piece, ": ", length ? 2 : 1, err)))
        return -1;
    if (length == 0) return 0;
    if (add_content(model, message, text, length, piece, images, ids, err)) return -1;
    if (role != ROLE_ASSISTANT) return append(piece, shape->separator, strlen(shape->separator), err);
    if (last) return 0;
    if (encode(model, piece->data, piece->length, false, ids, err)) return -1;
    piece->length = 0;
    return dsvl_ids_add(ids, model->config.decoder.eos, err);
}

static int words(const dsvl_model *model, const chat_template *shape, const dsvl_message *messages,
                 size_t count, dsvl_ids *ids, dsvl_error *err)
{
    const dsvl_message standing = {.role = "system", .content = shape->system};
    text_buffer piece = {0};
    size_t images = 0;
    int role = ROLE_SYSTEM, result = -1;
    for (size_t i = 0; i < count; i++) {
        role = role_of(shape, messages, i, err);
        if (role < 0 ||
            (i == 0 && role != ROLE_SYSTEM &&
             word_turn(model, shape, &standing, ROLE_SYSTEM, false, &piece, &images, ids, err)) ||
            word_turn(model, shape, &messages[i], role, i + 1 == count, &piece, &images, ids, err))
            goto out;
    }
    if (role != ROLE_ASSISTANT &&
        (append(&piece, shape->assistant, strlen(shape->assistant), err) || append(&piece, ":", 1, err)))
        goto out;
    result = encode(model, piece.data, piece.length, false, ids, err);
out:
    dsvl_dealloc(piece.data);
    return result;
}

int dsvl_chat_tokens(const dsvl_model *model, const dsvl_message *messages, size_t count, int32_t **ids,
                     size_t *length, dsvl_error *err)
{
    if (!model->tokenizer)
        return dsvl_fail(err, DSVL_E_USAGE, "a conversation needs a model opened with its tokenizer");
    if (count == 0) return dsvl_fail(err, DSVL_E_USAGE, "the conversation is empty");
    const chat_template *shape = template_of(model);
    if (!shape)
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s/processor_config.json: sft_format \"%s\" is not known; \"deepseek\" is",
                         model->folder, model->processor.sft_format);
    if (model->config.decoder.bos < 0 || model->config.decoder.eos < 0)
        return dsvl_fail(err, DSVL_E_MODEL,
                         model->processor.square
                             ? "%s/tokenizer_config.json: bos_token and eos_token must be tokens"
                             : "%s/config.json: language_config.bos_token_id and eos_token_id are needed",
                         model->folder);
    dsvl_ids list = {0};
    size_t images = 0;
    if (!model->no_bos && dsvl_ids_add(&list, model->config.decoder.bos, err)) goto failed;
    if (shape->square && words(model, shape, messages, count, &list, err)) goto failed;
    for (size_t i = 0; !shape->square && i < count; i++)
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
