/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations against the published processor: tests/data/chat.json (written by make_chat.py) with the
 * embedded model's tokenizer, and the prompts of all fixtures with theirs. And what must differ from it: text
 * never becomes a special token unless its author asks for that. */
#include "lib/chat.h"
#include "lib/question.h"
#include "tests/unit/check.h"
#include "tests/unit/fixture.h"

enum { MOST = 16 };

/* content with the published placeholders as image marks, counted. Owned. */
static char *marked(const dsvl_model *model, const char *content, size_t *images)
{
    const char *token = model->processor.image_token;
    char *out = malloc(strlen(content) + 1), *q = out;
    *images = 0;
    while (*content) {
        if (strncmp(content, token, strlen(token)) == 0) {
            *q++ = DSVL_IMAGE_MARK[0];
            content += strlen(token);
            ++*images;
        } else {
            *q++ = *content++;
        }
    }
    *q = '\0';
    return out;
}

static int tokens(const dsvl_model *model, const json_t *messages, bool specials, int32_t **ids,
                  size_t *count, dsvl_error *err)
{
    dsvl_message list[MOST];
    char *owned[MOST];
    size_t n = json_array_size(messages) < MOST ? json_array_size(messages) : MOST;
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(messages, i);
        list[i] = (dsvl_message){.role = json_string_value(json_object_get(m, "role")), .specials = specials};
        list[i].content = owned[i] =
            marked(model, json_string_value(json_object_get(m, "content")), &list[i].images);
    }
    int status = dsvl_chat_tokens(model, list, n, ids, count, err);
    for (size_t i = 0; i < n; i++) free(owned[i]);
    return status;
}

static void published(const dsvl_model *model)
{
    json_error_t wrong;
    json_t *cases = json_load_file("tests/data/chat.json", 0, &wrong);
    CHECK_MSG(json_array_size(cases) > 15, "tests/data/chat.json: %s", wrong.text);
    size_t k;
    const json_t *c;
    json_array_foreach(cases, k, c)
    {
        dsvl_error err = {0};
        int32_t *ids = NULL;
        size_t count = 0;
        const json_t *want = json_object_get(c, "ids");
        int status = tokens(model, json_object_get(c, "messages"),
                            json_is_true(json_object_get(c, "specials")), &ids, &count, &err);
        CHECK_MSG(status == 0, "conversation %zu: %s", k, err.message);
        CHECK_MSG(count == json_array_size(want), "conversation %zu: %zu tokens, want %zu", k, count,
                  json_array_size(want));
        for (size_t i = 0; i < count && i < json_array_size(want); i++) {
            int expected = (int)json_integer_value(json_array_get(want, i));
            CHECK_MSG(ids[i] == expected, "conversation %zu, token %zu: %d, want %d", k, i, ids[i], expected);
            if (ids[i] != expected) break;
        }
        dsvl_free(ids);
    }
    json_decref(cases);
}

static void run_fixture(const fixture *f)
{
    dsvl_error err = {0};
    json_error_t wrong;
    const dsvl_tensor *want = fixture_tensor(f, "input_ids");
    dsvl_model *model = dsvl_model_open(f->folder, DSVL_PART_TOKENIZER, NULL, &err);
    json_t *messages = json_loads(fixture_fact(f, "conversation"), 0, &wrong);
    int32_t *ids = NULL;
    size_t count = 0, at = 0;
    CHECK_MSG(model && messages && tokens(model, messages, false, &ids, &count, &err) == 0, "%s: %s", f->name,
              err.message);
    int32_t placeholder = model ? dsvl_chat_special(model, model->processor.image_token) : -1;
    bool equal = want != NULL;
    for (size_t i = 0; equal && i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "embeddings.%d", -1 - ids[i]);
        const dsvl_tensor *image = ids[i] < 0 ? fixture_tensor(f, name) : NULL;
        size_t width = ids[i] >= 0 ? 1 : image ? (size_t)image->shape[0] : 0;
        equal = width > 0 && at + width <= (size_t)want->shape[0];
        for (size_t j = 0; equal && j < width; j++)
            equal = ((const int64_t *)want->data)[at + j] == (ids[i] < 0 ? placeholder : ids[i]);
        at += equal ? width : 0;
    }
    CHECK_MSG(equal && at == (size_t)want->shape[0], "%s: the prompt differs at token %zu", f->name, at);
    dsvl_free(ids);
    json_decref(messages);
    dsvl_model_close(model);
}

/* Text that spells special tokens, from whoever: the only special ids are the template's own. */
static void lookalikes(const dsvl_model *model)
{
    static const char text[] =
        "<|User|><|Assistant|><\xef\xbd\x9c"
        "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"
        "<\xef\xbd\x9c"
        "begin\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c><image><|ref|><|grounding|>";
    dsvl_error err = {0};
    for (int specials = 0; specials <= 1; specials++) {
        const dsvl_message message = {.role = "user", .content = text, .specials = specials};
        int32_t *ids = NULL;
        size_t count = 0, special = 0;
        CHECK_MSG(dsvl_chat_tokens(model, &message, 1, &ids, &count, &err) == 0, "%s", err.message);
        for (size_t i = 0; i < count; i++) special += dsvl_tokenizer_is_special(model->tokenizer, ids[i]);
        /* bos, user, assistant; asked for, the two grounding tokens too, and still no turn, end or image. */
        CHECK_MSG(special == (specials ? 5u : 3u), "%zu special tokens", special);
        if (!specials)
            CHECK(count == 3 + 2 + strlen(text) + 2 + 1); /* one token a byte: ": " text "\n\n" ":" */
        dsvl_free(ids);
    }
    /* Marks beyond the images announced are bytes that are no text. */
    const dsvl_message message = {.role = "user",
                                  .content = "\xff"
                                             "a\xff",
                                  .images = 1};
    int32_t *ids = NULL;
    size_t count = 0;
    CHECK(dsvl_chat_tokens(model, &message, 1, &ids, &count, &err) == 0);
    /* bos <|User|> ": " image "a" U+FFFD "\n\n" <|Assistant|> ":" */
    CHECK(count == 13 && ids[4] == -1 && ids[5] == 'a' && ids[6] == 0xef && ids[8] == 0xbd);
    dsvl_free(ids);
}

static void refusals(const dsvl_model *model)
{
    static const struct {
        dsvl_message messages[2];
        size_t count;
    } wrong[] = {
        {{{0}}, 0},
        {{{.role = "user"}}, 1},
        {{{.content = "x"}}, 1},
        {{{.role = "robot", .content = "x"}}, 1},
        {{{.role = "system", .content = "x"}}, 1},
        {{{.role = "user", .content = "x"}, {.role = "system", .content = "x"}}, 2},
        {{{.role = "user", .content = "x", .images = 1}}, 1},
        {{{.role = "assistant", .content = "\xff", .images = 1}}, 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        dsvl_error err = {0};
        int32_t *ids = NULL;
        size_t count;
        CHECK_MSG(dsvl_chat_tokens(model, wrong[i].messages, wrong[i].count, &ids, &count, &err) == -1 &&
                      err.code == DSVL_E_USAGE && err.message[0],
                  "case %zu", i);
    }
}

/* DeepSeek-VL: a system message in the place of its own; an image's text as the model's examples have it. */
static void words(void)
{
    static const char *const folders[] = {FIXTURES "/vl-1.3b", FIXTURES "/vl-1.3b-transformers"};
    for (int k = 0; k < 2; k++) {
        dsvl_error err = {0};
        dsvl_model *model = dsvl_model_open(folders[k], DSVL_PART_TOKENIZER, NULL, &err);
        CHECK_MSG(model, "%s", err.message);
        if (!model) continue;
        const dsvl_message messages[] = {{.role = "system", .content = " Be brief.\n"},
                                         {.role = "user", .content = "\xff\nx", .images = 1}},
                           none[] = {{.role = "system", .content = ""}, {.role = "User", .content = "x"}};
        int32_t *ids = NULL;
        char *text = NULL;
        size_t count = 0, length = 0;
        CHECK(dsvl_chat_tokens(model, messages, 2, &ids, &count, &err) == 0);
        CHECK(dsvl_detokenize(model, ids, count, false, &text, &length, &err) == 0);
        CHECK_STR(text, "Be brief.\n\nUser: \nx\n\nAssistant:");
        CHECK(ids[0] == model->config.decoder.bos);
        dsvl_free(ids);
        dsvl_free(text);
        CHECK(dsvl_chat_tokens(model, none, 2, &ids, &count, &err) == 0);
        CHECK(dsvl_detokenize(model, ids, count, false, &text, &length, &err) == 0);
        CHECK_STR(text, "User: x\n\nAssistant:");
        dsvl_free(ids);
        dsvl_free(text);
        CHECK_STR(dsvl_chat_after_image(model), "");
        dsvl_model_close(model);
    }
}

int main(void)
{
    dsvl_error err = {0};
    words();
    dsvl_model *model = dsvl_model_open("models/nano", DSVL_PART_TOKENIZER, NULL, &err);
    CHECK_MSG(model, "%s", err.message);
    if (model) {
        published(model);
        lookalikes(model);
        refusals(model);
    }
    dsvl_model_close(model);
    CHECK(fixture_each(run_fixture) > 0);
    return CHECK_DONE();
}
