/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json, a NUL and a text; the text is also given to two sound tokenizers, where more must hold.
 */
#include "tests/fuzz/fuzz.h"

#include "lib/alloc.h"
#include "lib/tokenizer_internal.h"

static void decode(const dsvl_tokenizer *t, const dsvl_ids *ids, char **out, size_t *length)
{
    const char *bytes;
    size_t n, capacity = 0;
    *out = NULL;
    *length = 0;
    for (size_t i = 0; i < ids->count; i++) {
        ALWAYS(dsvl_tokenizer_bytes(t, ids->data[i], true, &bytes, &n) == 0);
        ALWAYS(TOK_GROW(*out, capacity, *length + n + 1, NULL) == 0);
        memcpy(*out + *length, bytes, n);
        *length += n;
    }
}

/* A tokenizer that knows every byte loses nothing, and no text of it becomes a special token. */
static void run_sound(const dsvl_tokenizer *t, const char *text, size_t size)
{
    char *fixed, *back;
    size_t length, back_length;
    ALWAYS(tok_utf8_repair(text, size, &fixed, &length, NULL) == 0);
    for (int with_added = 0; with_added < 2; with_added++) {
        dsvl_ids ids = {0};
        ALWAYS(dsvl_tokenizer_encode(t, text, size, with_added, &ids, NULL) == 0);
        decode(t, &ids, &back, &back_length);
        ALWAYS(back_length == length && (length == 0 || memcmp(back, fixed ? fixed : text, length) == 0));
        for (size_t i = 0; i < ids.count && !with_added; i++)
            ALWAYS(!dsvl_tokenizer_is_special(t, ids.data[i]));
        dsvl_dealloc(back);
        dsvl_ids_free(&ids);
    }
    dsvl_dealloc(fixed);
}

static void run_untrusted(const char *json, size_t json_length, const char *text, size_t size)
{
    dsvl_error err = {.code = DSVL_OK};
    dsvl_tokenizer *t = dsvl_tokenizer_parse(json, json_length, "tokenizer.json", &err);
    ALWAYS(t ? err.code == DSVL_OK : err.code != DSVL_OK && err.message[0]);
    for (int with_added = 0; t && with_added < 2; with_added++) {
        dsvl_ids ids = {0};
        char *back;
        size_t length;
        if (dsvl_tokenizer_encode(t, text, size, with_added, &ids, &err) == 0) {
            decode(t, &ids, &back, &length);
            dsvl_dealloc(back);
        }
        dsvl_ids_free(&ids);
    }
    for (int32_t id = 0; t && id < dsvl_tokenizer_size(t) && id < 512; id++) {
        const char *bytes;
        size_t length;
        if (dsvl_tokenizer_bytes(t, id, false, &bytes, &length) == 0) ALWAYS(length <= json_length);
    }
    dsvl_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dsvl_tokenizer *sound[2];
    static const char fallback[] = "Ab 12\n <s>\xFF\xE2\x82  x.";
    if (!sound[0]) {
        json_object_seed(1); /* the same input, the same run */
        sound[0] = dsvl_tokenizer_open("tests/reference/fixtures/vl2-tiny", NULL);
        sound[1] = dsvl_tokenizer_open("tests/reference/fixtures/chat", NULL);
        ALWAYS(sound[0] && sound[1]); /* run from the root of the tree */
    }
    const char *json = (const char *)data, *end = size ? memchr(json, '\0', size) : NULL;
    size_t json_length = end ? (size_t)(end - json) : size;
    const char *text = end ? end + 1 : fallback;
    size_t length = end ? size - json_length - 1 : sizeof fallback - 1;
    run_untrusted(json, json_length, text, length);
    for (int i = 0; i < 2; i++) run_sound(sound[i], text, length);
    return 0;
}
