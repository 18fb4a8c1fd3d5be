/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/question.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/chat.h"

/* Bytes of a prompts or conversation file; a longer one is a mistake. */
enum { FILE_LIMIT = 64 << 20 };

static dsvl_question *add(dsvl_questions *questions, bool specials, dsvl_error *err)
{
    void *items = questions->items;
    if (!dsvl_grow(&items, &questions->capacity, questions->count + 1, sizeof *questions->items)) {
        dsvl_fail_memory(err, (questions->count + 1) * sizeof *questions->items);
        return NULL;
    }
    questions->items = items;
    dsvl_question *question = &questions->items[questions->count++];
    *question = (dsvl_question){.specials = specials};
    return question;
}

int dsvl_questions_add(dsvl_questions *questions, const char *prompt, bool specials, dsvl_error *err)
{
    dsvl_question *question = add(questions, specials, err);
    if (!question) return -1;
    question->prompt = dsvl_strdup(prompt);
    return question->prompt ? 0 : dsvl_fail_memory(err, strlen(prompt));
}

void dsvl_questions_clear(dsvl_questions *questions)
{
    for (size_t i = 0; i < questions->count; i++) {
        dsvl_question *question = &questions->items[i];
        json_decref(question->id);
        dsvl_dealloc(question->prompt);
        for (size_t t = 0; question->texts && t < 2 * question->count; t++) dsvl_dealloc(question->texts[t]);
        dsvl_dealloc(question->texts);
        dsvl_dealloc(question->messages);
    }
    dsvl_dealloc(questions->items);
    memset(questions, 0, sizeof *questions);
}

/* ---- files ------------------------------------------------------------------------------------------- */

static int slurp(const char *path, char **text, size_t *length, dsvl_error *err)
{
    size_t capacity = 0, n;
    *text = NULL;
    *length = 0;
    FILE *file = fopen(path, "rbe");
    if (!file) return dsvl_fail(err, DSVL_E_USAGE, "%s: cannot open: %s", path, strerror(errno));
    do {
        void *grown = *text;
        if (!dsvl_grow(&grown, &capacity, *length + 65536, 1)) {
            dsvl_fail_memory(err, *length + 65536);
            break;
        }
        *text = grown;
        n = fread(*text + *length, 1, 65536, file);
        *length += n;
        if (ferror(file))
            dsvl_fail(err, DSVL_E_USAGE, "%s: cannot read: %s", path, strerror(errno));
        else if (*length > FILE_LIMIT)
            dsvl_fail(err, DSVL_E_LIMIT, "%s: over %d bytes", path, FILE_LIMIT);
        if (ferror(file) || *length > FILE_LIMIT) break;
        if (n == 0) {
            fclose(file);
            return 0;
        }
    } while (true);
    fclose(file);
    dsvl_dealloc(*text);
    *text = NULL;
    return -1;
}

static int add_line(dsvl_questions *questions, const char *line, size_t length, const char *path, long number,
                    bool specials, dsvl_error *err)
{
    json_error_t wrong;
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &wrong);
    const char *prompt = json_string_value(json_object_get(object, "prompt"));
    json_t *id = json_object_get(object, "id");
    int result = -1;
    if (!object) {
        dsvl_fail(err, DSVL_E_USAGE,
                  "%s, line %ld: not JSON: %s; each line is {\"id\": ..., \"prompt\": \"...\"}", path, number,
                  wrong.text);
    } else if (!prompt) {
        dsvl_fail(err, DSVL_E_USAGE, "%s, line %ld: \"prompt\" is missing or no string", path, number);
    } else if (id && !json_is_string(id) && !json_is_number(id)) {
        dsvl_fail(err, DSVL_E_USAGE, "%s, line %ld: \"id\" is neither a string nor a number", path, number);
    } else if (dsvl_questions_add(questions, prompt, specials, err) == 0) {
        json_t *kept = id ? json_incref(id) : json_integer(number);
        questions->items[questions->count - 1].id = kept;
        result = kept ? 0 : dsvl_fail_memory(err, sizeof(json_int_t));
    }
    json_decref(object);
    return result;
}

int dsvl_questions_read(dsvl_questions *questions, const char *path, bool specials, dsvl_error *err)
{
    char *text;
    size_t length;
    long number = 0;
    int result = -1;
    if (slurp(path, &text, &length, err)) return -1;
    for (size_t begin = 0; begin < length;) {
        const char *newline = memchr(text + begin, '\n', length - begin);
        size_t end = newline ? (size_t)(newline - text) : length;
        number++;
        bool blank = true;
        for (size_t i = begin; i < end; i++) blank = blank && strchr(" \t\r", text[i]) && text[i];
        if (!blank && add_line(questions, text + begin, end - begin, path, number, specials, err)) goto out;
        begin = end + 1;
    }
    if (questions->count == 0)
        dsvl_fail(err, DSVL_E_USAGE, "%s: holds no prompt", path);
    else
        result = 0;
out:
    dsvl_dealloc(text);
    return result;
}

/* ---- conversations ----------------------------------------------------------------------------------- */

typedef struct builder {
    char *text;
    size_t length, capacity;
    size_t images;
} builder;

static int put(builder *b, const char *text, dsvl_error *err)
{
    size_t n = strlen(text);
    void *grown = b->text;
    if (!dsvl_grow(&grown, &b->capacity, b->length + n + 2, 1))
        return dsvl_fail_memory(err, b->length + n + 2);
    b->text = grown;
    memcpy(b->text + b->length, text, n + 1);
    b->length += n;
    return 0;
}

static int put_part(builder *b, const json_t *part, const char *path, size_t number, dsvl_error *err)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const char *text = json_string_value(json_object_get(part, "text"));
    if (type && strcmp(type, "text") == 0 && text) return *text ? put(b, text, err) : 0;
    if (type && strcmp(type, "image") == 0) {
        if (put(b, DSVL_IMAGE_MARK, err)) return -1;
        b->images++;
        return 0;
    }
    return dsvl_fail(err, DSVL_E_USAGE,
                     "%s, message %zu: a part of type \"%.40s\"; parts are {\"type\": \"text\", \"text\": "
                     "...} and {\"type\": "
                     "\"image\"}, whose pixels come from the record stream in order",
                     path, number, type ? type : "(none)");
}

/* The next message of a question that has room for it. */
static int read_message(dsvl_question *question, const json_t *object, const char *path, dsvl_error *err)
{
    const char *role = json_string_value(json_object_get(object, "role"));
    const json_t *content = json_object_get(object, "content"), *part;
    builder b = {0};
    size_t i, number = question->count + 1;
    if (!role || (!json_is_string(content) && !json_is_array(content)))
        return dsvl_fail(err, DSVL_E_USAGE,
                         "%s, message %zu: needs a \"role\" and a \"content\" of text or parts", path,
                         number);
    int failed = json_is_string(content) ? put(&b, json_string_value(content), err) : put(&b, "", err);
    json_array_foreach(content, i, part) failed = failed || put_part(&b, part, path, number, err);
    char *kept_role = failed ? NULL : dsvl_strdup(role);
    if (!kept_role) {
        dsvl_dealloc(b.text);
        return failed ? -1 : dsvl_fail_memory(err, strlen(role));
    }
    question->texts[2 * question->count] = kept_role;
    question->texts[2 * question->count + 1] = b.text;
    question->messages[question->count++] = (dsvl_message){
        .role = kept_role, .content = b.text, .images = b.images, .specials = question->specials};
    question->images += b.images;
    return 0;
}

/* The last user message without its images stands as the prompt in the answer's record. */
static int note_prompt(dsvl_question *question, dsvl_error *err)
{
    const char *last = "";
    for (size_t i = 0; i < question->count; i++)
        if (strcmp(question->messages[i].role, "user") == 0 ||
            strcmp(question->messages[i].role, "<|User|>") == 0)
            last = question->messages[i].content;
    size_t n = strlen(last), kept = 0;
    char *prompt = dsvl_alloc(n + 1, 1);
    if (!prompt) return dsvl_fail_memory(err, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (last[i] == DSVL_IMAGE_MARK[0]) {
            i += last[i + 1] == '\n'; /* and a newline that belongs to it */
            continue;
        }
        prompt[kept++] = last[i];
    }
    prompt[kept] = '\0';
    question->prompt = prompt;
    return 0;
}

int dsvl_questions_read_chat(dsvl_questions *questions, const char *path, bool specials, dsvl_error *err)
{
    char *text;
    size_t length, i;
    json_error_t wrong;
    const json_t *object;
    int result = -1;
    if (slurp(path, &text, &length, err)) return -1;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &wrong);
    const json_t *list = json_is_object(root) ? json_object_get(root, "messages") : root;
    if (!root) {
        dsvl_fail(err, DSVL_E_USAGE, "%s, line %d: not JSON: %s", path, wrong.line, wrong.text);
    } else if (!json_is_array(list) || json_array_size(list) == 0) {
        dsvl_fail(err, DSVL_E_USAGE, "%s: not a list of messages with \"role\" and \"content\"", path);
    } else {
        dsvl_question *question = add(questions, specials, err);
        if (!question) goto out;
        question->messages = dsvl_alloc_zero(json_array_size(list), sizeof *question->messages);
        question->texts = dsvl_alloc_zero(2 * json_array_size(list), sizeof *question->texts);
        if (!question->messages || !question->texts) {
            dsvl_fail_memory(err, json_array_size(list) * sizeof *question->messages);
            goto out;
        }
        json_array_foreach(list, i, object)
        {
            if (read_message(question, object, path, err)) goto out;
        }
        result = note_prompt(question, err);
    }
out:
    json_decref(root);
    dsvl_dealloc(text);
    return result;
}

/* ---- tokens ------------------------------------------------------------------------------------------ */

/* A message's text with what the model's template has between an image and the text behind it; owned. */
static char *space_images(const dsvl_message *message, const char *after, dsvl_error *err)
{
    const size_t gap = strlen(after), length = strlen(message->content);
    size_t at = 0, left = message->images;
    char *text = left > (SIZE_MAX - length - 1) / (gap + 1) ? NULL : dsvl_alloc(length + left * gap + 1, 1);
    if (!text) {
        dsvl_fail_memory(err, length + 1);
        return NULL;
    }
    for (size_t i = 0; i < length; i++) {
        const char next = message->content[i + 1];
        text[at++] = message->content[i];
        if (left == 0 || message->content[i] != DSVL_IMAGE_MARK[0]) continue;
        left--;
        if (next == '\0' || next == '\n') continue;
        memcpy(text + at, after, gap);
        at += gap;
    }
    text[at] = '\0';
    return text;
}

static int chat_tokens(const dsvl_question *question, const dsvl_model *model, int32_t **ids, size_t *count,
                       dsvl_error *err)
{
    const char *after = dsvl_chat_after_image(model);
    dsvl_message *messages = dsvl_alloc(question->count, sizeof *messages);
    char **texts = dsvl_alloc_zero(question->count, sizeof *texts);
    int result = messages && texts ? 0 : dsvl_fail_memory(err, question->count * sizeof *messages);
    for (size_t i = 0; i < question->count && !result; i++) {
        messages[i] = question->messages[i];
        messages[i].content = texts[i] = space_images(&messages[i], after, err);
        if (!texts[i]) result = -1;
    }
    if (!result) result = dsvl_chat_tokens(model, messages, question->count, ids, count, err);
    for (size_t i = 0; texts && i < question->count; i++) dsvl_dealloc(texts[i]);
    dsvl_dealloc(texts);
    dsvl_dealloc(messages);
    return result;
}

int dsvl_question_tokens(const dsvl_question *question, const dsvl_model *model, size_t images, int32_t **ids,
                         size_t *count, dsvl_error *err)
{
    if (question->messages) {
        if (images != question->images)
            return dsvl_fail(err, DSVL_E_INTERNAL, "a conversation of %zu images was given %zu",
                             question->images, images);
        return chat_tokens(question, model, ids, count, err);
    }
    const char *after = dsvl_chat_after_image(model);
    const size_t words = strlen(question->prompt), unit = 1 + strlen(after);
    char *content = images > (SIZE_MAX - words - 1) / unit ? NULL : dsvl_alloc(unit * images + words + 1, 1);
    if (!content) return dsvl_fail_memory(err, words + 1);
    for (size_t i = 0; i < images; i++) {
        content[unit * i] = DSVL_IMAGE_MARK[0];
        memcpy(content + unit * i + 1, after, unit - 1);
    }
    memcpy(content + unit * images, question->prompt, words + 1);
    const dsvl_message message = {
        .role = "user", .content = content, .images = images, .specials = question->specials};
    int result = dsvl_chat_tokens(model, &message, 1, ids, count, err);
    dsvl_dealloc(content);
    return result;
}
