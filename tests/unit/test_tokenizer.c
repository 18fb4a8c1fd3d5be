/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer on small tokenizer.json texts written here. Against the tokenizers library it is tested by
 * test_tokenizer_live.py and tests/reference, which run this program as
 *
 *     test_tokenizer --dump FOLDER literal|added
 *
 * on strings from standard input (u32 little-endian length, bytes; repeated); it prints the ids of each on a line. */
#include <stdint.h>

#include "lib/tokenizer.h"
#include "tests/unit/check.h"

static int dump(const char *folder, const char *mode)
{
    dsvl_error err = {0};
    dsvl_tokenizer *t = dsvl_tokenizer_open(folder, &err);
    unsigned char head[4];
    int status = t ? 0 : 1;
    while (!status && fread(head, 1, 4, stdin) == 4) {
        size_t length = head[0] | head[1] << 8 | head[2] << 16 | (size_t)head[3] << 24;
        char *text = malloc(length + 1);
        dsvl_ids ids = {0};
        if (!text || fread(text, 1, length, stdin) != length) status = 1;
        else if (dsvl_tokenizer_encode(t, text, length, strcmp(mode, "added") == 0, &ids, &err)) status = 1;
        for (size_t i = 0; i < ids.count && !status; i++) printf(i ? " %d" : "%d", ids.data[i]);
        putchar('\n');
        dsvl_ids_free(&ids);
        free(text);
    }
    if (err.code) fprintf(stderr, "test_tokenizer: %s\n", err.message);
    dsvl_tokenizer_free(t);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--dump") == 0) return dump(argv[2], argv[3]);
    return CHECK_DONE();
}
