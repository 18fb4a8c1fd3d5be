/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json -> the parts of the tokenizer. What the file asks for and this code does not do exactly as
 * the tokenizers library is refused by name.
 *
 * Not read: "truncation" and "padding" (the callers count tokens themselves) and "post_processor" (it would
 * add the beginning-of-sentence token to every text; here the chat template adds it, once). */
#include <string.h>

#include "lib/tokenizer_internal.h"

enum { MAX_NESTING = 8 };

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : "";
}

static int unsupported(const char *key, const json_t *value, dsvl_error *err)
{
    char quoted[64];
    const char *type = type_of(value);
    if (!*type) return dsvl_fail(err, DSVL_E_MODEL, "%s: not an object with a \"type\"", key);
    return dsvl_fail(err, DSVL_E_MODEL, "%s: \"%s\" is not supported", key,
                     tok_quote(type, strlen(type), quoted));
}

/* A true/false member; `absent` is its value when it is not there, -1: it must be. */
static int read_bool(const json_t *object, const char *key, const char *name, int absent, bool *out,
                     dsvl_error *err)
{
    const json_t *value = json_object_get(object, name);
    if (!value && absent >= 0)
        *out = absent;
    else if (json_is_boolean(value))
        *out = json_is_true(value);
    else
        return dsvl_fail(err, DSVL_E_MODEL, "%s.%s: true or false expected", key, name);
    return 0;
}

/* ---- normalizer, decoder ----------------------------------------------------------------------------- */

static int read_normalizer(const json_t *value, int depth, dsvl_error *err)
{
    if (!value || json_is_null(value)) return 0;
    const json_t *list = json_object_get(value, "normalizers");
    if (strcmp(type_of(value), "Sequence") != 0 || !json_is_array(list) || depth == MAX_NESTING) {
        return unsupported("normalizer", value, err);
    }
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (read_normalizer(item, depth + 1, err)) return -1;
    }
    return 0;
}

static int read_decoder(const json_t *value, dsvl_error *err)
{
    return strcmp(type_of(value), "ByteLevel") == 0 ? 0 : unsupported("decoder", value, err);
}

/* ---- pre-tokenizer ----------------------------------------------------------------------------------- */

static int add_step(tok_splitter *splitter, tok_pattern *pattern, tok_behavior behavior, bool invert,
                    dsvl_error *err)
{
    if (splitter->count == TOK_MAX_STEPS) {
        tok_pattern_free(pattern);
        return dsvl_fail(err, DSVL_E_MODEL, "pre_tokenizer: more than %d steps", TOK_MAX_STEPS);
    }
    splitter->steps[splitter->count++] = (tok_step){pattern, behavior, invert};
    return 0;
}

static int add_pattern(tok_splitter *splitter, const char *source, size_t length, bool literal,
                       tok_behavior behavior, bool invert, dsvl_error *err)
{
    dsvl_error cause = {.code = DSVL_OK};
    char quoted[64];
    tok_pattern *pattern = tok_pattern_new(source, length, literal, &cause);
    if (pattern) return add_step(splitter, pattern, behavior, invert, err);
    return dsvl_fail(err, cause.code, "pre_tokenizer: pattern \"%s\": %s", tok_quote(source, length, quoted),
                     cause.message);
}

static int read_split(tok_splitter *splitter, const json_t *step, dsvl_error *err)
{
    static const char *const behaviors[] = {
        [TOK_REMOVED] = "Removed",
        [TOK_ISOLATED] = "Isolated",
        [TOK_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [TOK_MERGED_WITH_NEXT] = "MergedWithNext",
        [TOK_CONTIGUOUS] = "Contiguous",
    };
    const json_t *pattern = json_object_get(step, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex"), *literal = json_object_get(pattern, "String");
    const json_t *source = regex ? regex : literal;
    const char *behavior = json_string_value(json_object_get(step, "behavior"));
    bool invert = false;
    if (!json_is_string(source) || json_object_size(pattern) != 1) {
        return dsvl_fail(err, DSVL_E_MODEL,
                         "pre_tokenizer: Split.pattern: {\"Regex\": ...} or {\"String\": ...} expected");
    }
    if (read_bool(step, "pre_tokenizer: Split", "invert", -1, &invert, err)) return -1;
    for (int i = 0; behavior && i <= TOK_CONTIGUOUS; i++) {
        if (strcmp(behavior, behaviors[i]) != 0) continue;
        return add_pattern(splitter, json_string_value(source), json_string_length(source), !regex,
                           (tok_behavior)i, invert, err);
    }
    return dsvl_fail(err, DSVL_E_MODEL, "pre_tokenizer: Split.behavior is not one of the five known");
}

static int read_digits(tok_splitter *splitter, const json_t *step, dsvl_error *err)
{
    bool individual = false;
    if (read_bool(step, "pre_tokenizer: Digits", "individual_digits", -1, &individual, err)) return -1;
    return add_pattern(splitter, "\\p{N}", 5, false, individual ? TOK_ISOLATED : TOK_CONTIGUOUS, false, err);
}

static int read_byte_level(tok_splitter *splitter, const json_t *step, dsvl_error *err)
{
    /* GPT-2's pattern, built into the library. */
    static const char words[] =
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    bool prefix = false, use_regex = true;
    if (read_bool(step, "pre_tokenizer: ByteLevel", "add_prefix_space", -1, &prefix, err) ||
        read_bool(step, "pre_tokenizer: ByteLevel", "use_regex", 1, &use_regex, err)) {
        return -1;
    }
    if (prefix && add_step(splitter, NULL, TOK_ISOLATED, false, err)) return -1;
    return use_regex ? add_pattern(splitter, words, sizeof words - 1, false, TOK_ISOLATED, false, err) : 0;
}

/* ByteLevel turns text into its alphabet, so it must be the last step, and there must be one: *bytes says it
 * came. */
static int read_pre_tokenizer(tok_splitter *splitter, const json_t *value, int depth, bool *bytes,
                              dsvl_error *err)
{
    const char *type = type_of(value);
    const json_t *list = json_object_get(value, "pretokenizers");
    if (strcmp(type, "Sequence") == 0 && json_is_array(list) && depth < MAX_NESTING) {
        size_t i;
        json_t *item;
        json_array_foreach(list, i, item)
        {
            if (read_pre_tokenizer(splitter, item, depth + 1, bytes, err)) return -1;
        }
        return 0;
    }
    if (*bytes) return dsvl_fail(err, DSVL_E_MODEL, "pre_tokenizer: a step after ByteLevel is not supported");
    if (strcmp(type, "Split") == 0) return read_split(splitter, value, err);
    if (strcmp(type, "Digits") == 0) return read_digits(splitter, value, err);
    if (strcmp(type, "ByteLevel") != 0) return unsupported("pre_tokenizer", value, err);
    *bytes = true;
    return read_byte_level(splitter, value, err);
}

/* ---- model ------------------------------------------------------------------------------------------- */

/* Settings that change the result in ways this code does not follow: each must be absent, null or neutral. */
static int check_settings(const json_t *model, dsvl_error *err)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    bool fallback = false;
    const json_t *dropout = json_object_get(model, "dropout");
    if (strcmp(type_of(model), "BPE") != 0) return unsupported("model", model, err);
    if (dropout && !json_is_null(dropout) && json_number_value(dropout) != 0) {
        return dsvl_fail(err, DSVL_E_MODEL, "model.dropout: only null is supported");
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *affix = json_object_get(model, affixes[i]);
        if (affix && !json_is_null(affix) && json_string_length(affix) != 0) {
            return dsvl_fail(err, DSVL_E_MODEL, "model.%s: only null is supported", affixes[i]);
        }
    }
    if (read_bool(model, "model", "byte_fallback", 0, &fallback, err)) return -1;
    if (fallback) return dsvl_fail(err, DSVL_E_MODEL, "model.byte_fallback: only false is supported");
    return 0;
}

static int read_id(const json_t *value, int32_t *id)
{
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    if (n < 0 || n >= DSVL_VOCAB_LIMIT) return -1;
    *id = (int32_t)n;
    return 0;
}

static int read_vocab(tok_vocab *vocab, json_t *object, dsvl_error *err)
{
    const char *name;
    json_t *value;
    char quoted[64];
    if (!json_is_object(object)) return dsvl_fail(err, DSVL_E_MODEL, "model.vocab: an object expected");
    json_object_foreach(object, name, value)
    {
        int32_t id;
        if (read_id(value, &id)) {
            return dsvl_fail(err, DSVL_E_MODEL, "model.vocab: the id of \"%s\" is not an integer in 0 ... %d",
                             tok_quote(name, strlen(name), quoted), DSVL_VOCAB_LIMIT - 1);
        }
        if (tok_vocab_add(vocab, id, name, strlen(name), TOK_MODEL, "model.vocab", err)) return -1;
    }
    return 0;
}

/* "a b" or ["a", "b"]. */
static int split_merge(const json_t *merge, const char *part[2], size_t length[2])
{
    if (json_is_string(merge)) {
        const char *text = json_string_value(merge), *space = memchr(text, ' ', json_string_length(merge));
        if (!space) return -1;
        part[0] = text;
        length[0] = (size_t)(space - text);
        part[1] = space + 1;
        length[1] = json_string_length(merge) - length[0] - 1;
        return memchr(part[1], ' ', length[1]) ? -1 : 0;
    }
    if (json_array_size(merge) != 2) return -1;
    for (size_t i = 0; i < 2; i++) {
        const json_t *item = json_array_get(merge, i);
        if (!json_is_string(item)) return -1;
        part[i] = json_string_value(item);
        length[i] = json_string_length(item);
    }
    return 0;
}

static int read_merge(dsvl_tokenizer *t, const json_t *merge, size_t index, uint32_t rank,
                      tok_scratch *scratch, dsvl_error *err)
{
    const char *part[3];
    size_t length[3];
    int32_t id[3];
    char quoted[64];
    if (split_merge(merge, part, length)) {
        return dsvl_fail(err, DSVL_E_MODEL, "model.merges[%zu]: \"a b\" or [\"a\", \"b\"] expected", index);
    }
    length[2] = length[0] + length[1];
    if (TOK_GROW(scratch->name, scratch->name_capacity, length[2] + 1, err)) return -1;
    memcpy(scratch->name, part[0], length[0]);
    memcpy(scratch->name + length[0], part[1], length[1]);
    part[2] = scratch->name;
    for (size_t i = 0; i < 3; i++) {
        id[i] = tok_vocab_find(&t->vocab, part[i], length[i]);
        if (id[i] < 0) {
            return dsvl_fail(err, DSVL_E_MODEL, "model.merges[%zu]: token \"%s\" is not in model.vocab",
                             index, tok_quote(part[i], length[i], quoted));
        }
    }
    tok_bpe_add(&t->bpe, id[0], id[1], rank, id[2]);
    return 0;
}

static int read_merges(dsvl_tokenizer *t, const json_t *list, dsvl_error *err)
{
    if (!json_is_array(list)) return dsvl_fail(err, DSVL_E_MODEL, "model.merges: an array expected");
    if (tok_bpe_reserve(&t->bpe, json_array_size(list), err)) return -1;
    tok_scratch scratch = {0};
    uint32_t rank = 0;
    int status = TOK_GROW(scratch.name, scratch.name_capacity, 256, err);
    if (status) return -1;
    size_t i;
    json_t *merge;
    json_array_foreach(list, i, merge)
    {
        const char *text = json_string_value(merge);
        if (text && strncmp(text, "#version", 8) == 0)
            continue; /* the head of a merges.txt, as the library */
        status = read_merge(t, merge, i, rank++, &scratch, err);
        if (status) break;
    }
    tok_scratch_clear(&scratch);
    return status;
}

static int read_model(dsvl_tokenizer *t, const json_t *model, dsvl_error *err)
{
    if (check_settings(model, err) || read_vocab(&t->vocab, json_object_get(model, "vocab"), err) ||
        read_merges(t, json_object_get(model, "merges"), err) ||
        read_bool(model, "model", "fuse_unk", 0, &t->bpe.fuse_unknown, err) ||
        read_bool(model, "model", "ignore_merges", 0, &t->bpe.ignore_merges, err)) {
        return -1;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[4];
        t->bpe.byte_id[byte] = tok_vocab_find(&t->vocab, name, tok_utf8_put(tok_byte_char(byte), name));
    }
    const json_t *unknown = json_object_get(model, "unk_token");
    t->bpe.unknown = -1;
    if (!unknown || json_is_null(unknown)) return 0;
    if (json_is_string(unknown)) {
        t->bpe.unknown = tok_vocab_find(&t->vocab, json_string_value(unknown), json_string_length(unknown));
    }
    return t->bpe.unknown >= 0 ? 0 : dsvl_fail(err, DSVL_E_MODEL, "model.unk_token: not in model.vocab");
}

/* ---- added tokens ------------------------------------------------------------------------------------ */

static int read_added(dsvl_tokenizer *t, const json_t *item, size_t index, dsvl_error *err)
{
    char key[40], quoted[64];
    tok_added added = {0};
    bool special = false;
    const json_t *content = json_object_get(item, "content");
    const char *name = json_string_value(content);
    size_t length = json_string_length(content);
    snprintf(key, sizeof key, "added_tokens[%zu]", index);
    if (length == 0 || length > TOK_ADDED_LIMIT) {
        return dsvl_fail(err, DSVL_E_MODEL, "%s.content: a string of 1 to %d bytes expected", key,
                         TOK_ADDED_LIMIT);
    }
    if (read_id(json_object_get(item, "id"), &added.id)) {
        return dsvl_fail(err, DSVL_E_MODEL, "%s.id: an integer in 0 ... %d expected", key,
                         DSVL_VOCAB_LIMIT - 1);
    }
    if (read_bool(item, key, "single_word", 0, &added.single_word, err) ||
        read_bool(item, key, "lstrip", 0, &added.lstrip, err) ||
        read_bool(item, key, "rstrip", 0, &added.rstrip, err) ||
        read_bool(item, key, "special", 0, &special, err) ||
        read_bool(item, key, "normalized", !special, &added.normalized, err)) {
        return -1;
    }
    unsigned flags = TOK_ADDED | (special ? TOK_SPECIAL : 0);
    int32_t known = tok_vocab_find(&t->vocab, name, length);
    if (known == added.id && !(tok_vocab_entry(&t->vocab, known)->flags & TOK_ADDED)) {
        tok_vocab_promote(&t->vocab, known, flags);
    } else if (known == added.id) {
        return dsvl_fail(err, DSVL_E_MODEL, "%s: token \"%s\" is added twice", key,
                         tok_quote(name, length, quoted));
    } else if (tok_vocab_add(&t->vocab, added.id, name, length, flags, key, err)) {
        return -1;
    }
    return tok_added_add(&t->added, &added, name, length, err);
}

/* Text must never become a special token on its own, so neither a byte nor a merge may lead to one. */
static int check_special_apart(const dsvl_tokenizer *t, dsvl_error *err)
{
    char quoted[64];
    for (size_t i = 0; i < t->bpe.slots + 256; i++) {
        int32_t id = i < 256 ? t->bpe.byte_id[i] : t->bpe.merges[i - 256].id;
        const tok_entry *entry = tok_vocab_entry(&t->vocab, id);
        if (!entry || !(entry->flags & TOK_SPECIAL)) continue;
        return dsvl_fail(err, DSVL_E_MODEL, "added_tokens: plain text would become the special token \"%s\"",
                         tok_quote(t->vocab.arena + entry->name, entry->name_length, quoted));
    }
    return 0;
}

static int read_all_added(dsvl_tokenizer *t, const json_t *list, dsvl_error *err)
{
    size_t i;
    json_t *item;
    if (!list) return 0;
    if (!json_is_array(list)) return dsvl_fail(err, DSVL_E_MODEL, "added_tokens: an array expected");
    json_array_foreach(list, i, item)
    {
        if (read_added(t, item, i, err)) return -1;
    }
    return check_special_apart(t, err);
}

int tok_json_read(dsvl_tokenizer *t, const json_t *root, dsvl_error *err)
{
    const json_t *version = json_object_get(root, "version");
    bool bytes = false;
    if (!json_is_object(root)) return dsvl_fail(err, DSVL_E_MODEL, "not a JSON object");
    if (version && (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0)) {
        return dsvl_fail(err, DSVL_E_MODEL, "version: only \"1.0\" is supported");
    }
    if (read_normalizer(json_object_get(root, "normalizer"), 0, err) ||
        read_pre_tokenizer(&t->splitter, json_object_get(root, "pre_tokenizer"), 0, &bytes, err)) {
        return -1;
    }
    if (!bytes) return dsvl_fail(err, DSVL_E_MODEL, "pre_tokenizer: it must end in ByteLevel");
    return read_decoder(json_object_get(root, "decoder"), err) ||
                   read_model(t, json_object_get(root, "model"), err) ||
                   read_all_added(t, json_object_get(root, "added_tokens"), err)
               ? -1
               : 0;
}
