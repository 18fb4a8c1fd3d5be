/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens that begin and end a conversation of DeepSeek-VL. The language model's configuration keeps
 * LlamaConfig's ids, which are another tokenizer's: the published code takes the tokenizer's own
 * (tokenizer.eos_token_id), and LlamaTokenizerFast writes the beginning token unless add_bos_token is false.
 */
#include <string.h>

#include "lib/alloc.h"
#include "lib/chat.h"
#include "lib/config_internal.h"
#include "lib/folder.h"

#define BEGIN                                                                                                \
    "<\xef\xbd\x9c"                                                                                          \
    "begin\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"
#define END                                                                                                  \
    "<\xef\xbd\x9c"                                                                                          \
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"

/* A token's name, or an AddedToken that holds it. */
static int read_token(const dsvl_model *m, const json_t *root, const char *key, const char *absent, int *id,
                      const conf_place *p)
{
    const json_t *value = json_object_get(root, key);
    const json_t *name = json_is_object(value) ? json_object_get(value, "content") : value;
    const char *text = value ? json_string_value(name) : absent;
    *id = text ? dsvl_tokenizer_find(m->tokenizer, text) : -1;
    return *id < 0 ? conf_wrong(p, key, value, "a token of tokenizer.json") : 0;
}

int dsvl_chat_read_ends(dsvl_model *m, dsvl_error *err)
{
    char *json = NULL, *where = NULL;
    size_t length;
    json_t *root = NULL;
    int status = -1;
    if (!m->processor.square) return 0;
    if (dsvl_folder_has(m->folder, "tokenizer_config.json")) {
        if (conf_read_file(m->folder, "tokenizer_config.json", &json, &length, &where, err) ||
            !(root = conf_parse_json(json, length, where, err)))
            goto out;
    }
    const conf_place p = {where ? where : "tokenizer_config.json", "", err};
    status = read_token(m, root, "bos_token", BEGIN, &m->config.decoder.bos, &p) ||
                     read_token(m, root, "eos_token", END, &m->config.decoder.eos, &p)
                 ? -1
                 : 0;
    m->no_bos = json_is_false(json_object_get(root, "add_bos_token"));
out:
    json_decref(root);
    dsvl_dealloc(json);
    dsvl_dealloc(where);
    return status;
}
