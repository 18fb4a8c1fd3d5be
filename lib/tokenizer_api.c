/* SPDX-License-Identifier: Apache-2.0 */
/* dsvl_tokenize and dsvl_detokenize of dsvl.h. */
#include <string.h>

#include "lib/alloc.h"
#include "lib/model.h"

static int need_tokenizer(const dsvl_model *model, dsvl_error *err)
{
    if (model->tokenizer) return 0;
    return dsvl_fail(err, DSVL_E_USAGE, "the model was opened without its tokenizer (DSVL_PART_TOKENIZER)");
}

int dsvl_tokenize(const dsvl_model *model, const char *text, size_t length, int32_t **ids, size_t *count,
                  dsvl_error *err)
{
    dsvl_ids list = {0};
    *ids = NULL;
    *count = 0;
    if (need_tokenizer(model, err)) return -1;
    if (dsvl_tokenizer_encode(model->tokenizer, text, length, false, &list, err)) {
        dsvl_ids_free(&list);
        return -1;
    }
    *ids = list.data;
    *count = list.count;
    return 0;
}

int dsvl_detokenize(const dsvl_model *model, const int32_t *ids, size_t count, int with_special, char **text,
                    size_t *length, dsvl_error *err)
{
    *text = NULL;
    *length = 0;
    if (need_tokenizer(model, err)) return -1;
    const char *bytes;
    size_t n, total = 0;
    /* The embedding table has rows that no token names; like the tokenizers library, such ids give no text.
     */
    for (size_t i = 0; i < count; i++) {
        if (dsvl_tokenizer_bytes(model->tokenizer, ids[i], with_special, &bytes, &n) == 0) total += n;
    }
    char *out = dsvl_alloc(total + 1, 1);
    if (!out) return dsvl_fail_memory(err, total + 1);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (dsvl_tokenizer_bytes(model->tokenizer, ids[i], with_special, &bytes, &n)) continue;
        memcpy(out + used, bytes, n);
        used += n;
    }
    out[used] = '\0';
    *text = out;
    *length = used;
    return 0;
}
