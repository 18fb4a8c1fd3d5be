/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json of a release's size: the 256 bytes, and words of no meaning for the ids that the published
 * file has merges for. Text goes in byte by byte; whoever has the real file puts it in its place. */
#include "lib/release.h"

#include <stdio.h>
#include <string.h>

#include "lib/tokenizer_internal.h"

#define MARK "\xef\xbd\x9c" /* fullwidth vertical line */
#define LOW "\xe2\x96\x81"  /* lower one eighth block */
#define BOS "<" MARK "begin" LOW "of" LOW "sentence" MARK ">"
#define EOS "<" MARK "end" LOW "of" LOW "sentence" MARK ">"
#define PAD "<" MARK LOW "pad" LOW MARK ">"

static json_t *added_token(int id, const char *content)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content, "single_word", 0,
                     "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
}

/* Words of letters behind a space, as the byte-level alphabet writes it. */
static void word(int number, char text[16])
{
    char *p = text;
    *p++ = '\xc4';
    *p++ = '\xa0';
    do {
        *p++ = (char)('a' + number % 26);
        number /= 26;
    } while (number);
    *p = '\0';
}

json_t *dsvl_release_tokenizer(const dsvl_release *release, bool tiny)
{
    static const char *const specials[] = {BOS, EOS, PAD};
    const dsvl_release_ids *ids = tiny ? &release->tiny_ids : &release->ids;
    const int count = ids->begin == 0 ? 3 : 2, last = ids->count - (release->image_token ? 1 : 0);
    json_t *vocab = json_object(), *added = json_array();
    char text[16];
    int byte = 0, next = 0;
    for (int i = 0; i < count; i++) json_array_append_new(added, added_token(ids->begin + i, specials[i]));
    if (release->image_token) json_array_append_new(added, added_token(last, release->image_token));
    for (int id = 0; id < last; id++) {
        if (id >= ids->begin && id < ids->begin + count) continue;
        if (byte < 256)
            text[tok_utf8_put(tok_byte_char(byte++), text)] = '\0';
        else
            word(next++, text);
        json_object_set_new(vocab, text, json_integer(id));
    }
    json_t *split = json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", "\\p{N}{1,3}",
                              "behavior", "Isolated", "invert", 0);
    return json_pack(
        "{s:s, s:n, s:n, s:o, s:{s:s, s:[]}, s:{s:s, s:[o, {s:s, s:b, s:b, s:b}]}, s:{s:s, s:b, s:b, s:b}, "
        "s:{s:s, s:b, s:b, s:b}, s:{s:s, s:n, s:n, s:n, s:n, s:b, s:o, s:[]}}",
        "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer", "type", "Sequence",
        "normalizers", "pre_tokenizer", "type", "Sequence", "pretokenizers", split, "type", "ByteLevel",
        "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 0, "post_processor", "type", "ByteLevel",
        "add_prefix_space", 1, "trim_offsets", 0, "use_regex", 1, "decoder", "type", "ByteLevel",
        "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type", "BPE", "dropout",
        "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "vocab", vocab,
        "merges");
}

static json_t *token(const char *content)
{
    return json_pack("{s:s, s:s, s:b, s:b, s:b, s:b}", "__type", "AddedToken", "content", content, "lstrip",
                     0, "normalized", 1, "rstrip", 0, "single_word", 0);
}

json_t *dsvl_release_tokenizer_config(void)
{
    return json_pack("{s:b, s:b, s:o, s:b, s:o, s:b, s:i, s:o, s:{}, s:n, s:s}", "add_bos_token", 0,
                     "add_eos_token", 0, "bos_token", token(BOS), "clean_up_tokenization_spaces", 0,
                     "eos_token", token(EOS), "legacy", 1, "model_max_length", 4096, "pad_token", token(PAD),
                     "sp_model_kwargs", "unk_token", "tokenizer_class", "LlamaTokenizerFast");
}

json_t *dsvl_release_special_tokens(void)
{
    return json_pack("{s:s, s:s, s:s}", "bos_token", BOS, "eos_token", EOS, "pad_token", PAD);
}
