/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer on small tokenizer.json texts made here. Against the tokenizers library it is tested by
 * test_tokenizer_live.py and test_tokenizer_ids.py, which run this program as
 *
 *     test_tokenizer --dump FOLDER literal|added
 *
 * on strings from standard input (u32 little-endian length, bytes; repeated); it prints the ids of each on a
 * line. */
#include <jansson.h>
#include <stdint.h>

#include "lib/alloc.h"
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
        if (!text || fread(text, 1, length, stdin) != length)
            status = 1;
        else if (dsvl_tokenizer_encode(t, text, length, strcmp(mode, "added") == 0, &ids, &err))
            status = 1;
        for (size_t i = 0; i < ids.count && !status; i++) printf(i ? " %d" : "%d", ids.data[i]);
        putchar('\n');
        dsvl_ids_free(&ids);
        free(text);
    }
    if (err.code) fprintf(stderr, "test_tokenizer: %s\n", err.message);
    dsvl_tokenizer_free(t);
    return status;
}

/* ---- files made here --------------------------------------------------------------------------------- */

/* The character of the byte-level alphabet for an ASCII byte. */
static const char *byte_name(int byte, char name[4])
{
    int code = byte <= 32 ? 0x100 + byte : byte;
    if (code < 128)
        snprintf(name, 4, "%c", code);
    else
        snprintf(name, 4, "%c%c", 0xC0 | code >> 6, 0x80 | (code & 63));
    return name;
}

/* Id b is byte b, for ASCII and the bytes of U+FFFD and of e acute; then "ab" 256, "abc" 257, "bc" 258, " a"
 * 259; added:
 * "<s>" 300 (special), "<x>" 301, "<x>y" 302. */
static json_t *base_file(void)
{
    json_t *vocab = json_object();
    char name[4];
    for (int b = 0; b < 127; b++) json_object_set_new(vocab, byte_name(b, name), json_integer(b));
    json_object_set_new(vocab, "\xC3\xAF", json_integer(0xEF));
    json_object_set_new(vocab, "\xC2\xBF", json_integer(0xBF));
    json_object_set_new(vocab, "\xC2\xBD", json_integer(0xBD));
    json_object_set_new(vocab, "\xC3\x83", json_integer(0xC3));
    json_object_set_new(vocab, "\xC2\xA9", json_integer(0xA9));
    json_object_set_new(vocab, "ab", json_integer(256));
    json_object_set_new(vocab, "abc", json_integer(257));
    json_object_set_new(vocab, "bc", json_integer(258));
    json_object_set_new(vocab,
                        "\xC4\xA0"
                        "a",
                        json_integer(259));
    json_t *pre = json_pack("{s:s,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 0);
    json_t *model = json_pack("{s:s,s:n,s:n,s:o,s:[s,[s,s],s]}", "type", "BPE", "dropout", "unk_token",
                              "vocab", vocab, "merges", "b c", "a", "bc", "\xC4\xA0 a");
    json_t *added =
        json_pack("[{s:i,s:s,s:b},{s:i,s:s,s:b},{s:i,s:s,s:b}]", "id", 300, "content", "<s>", "special", 1,
                  "id", 301, "content", "<x>", "special", 0, "id", 302, "content", "<x>y", "special", 0);
    return json_pack("{s:s,s:o,s:n,s:o,s:{s:s},s:o}", "version", "1.0", "added_tokens", added, "normalizer",
                     "pre_tokenizer", pre, "decoder", "type", "ByteLevel", "model", model);
}

static dsvl_tokenizer *parse(const json_t *file, dsvl_error *err)
{
    char *text = json_dumps(file, JSON_ENCODE_ANY);
    dsvl_tokenizer *t = dsvl_tokenizer_parse(text, strlen(text), "tokenizer.json", err);
    free(text);
    return t;
}

/* The ids of a text as "1 2 3". */
static const char *ids_of(const dsvl_tokenizer *t, const char *text, size_t length, bool with_added)
{
    static char out[512];
    dsvl_ids ids = {0};
    dsvl_error err = {0};
    size_t used = 0;
    out[0] = '\0';
    if (dsvl_tokenizer_encode(t, text, length, with_added, &ids, &err)) return "an error";
    for (size_t i = 0; i < ids.count && used < sizeof out - 16; i++) {
        used += (size_t)snprintf(out + used, sizeof out - used, i ? " %d" : "%d", ids.data[i]);
    }
    dsvl_ids_free(&ids);
    return out;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static void test_encode(const dsvl_tokenizer *t)
{
    CHECK_STR(ids_of(t, "", 0, true), "");
    CHECK_STR(ids_of(t, "abc", 3, true), "257"); /* b+c before a+b, then a+bc */
    CHECK_STR(ids_of(t, "ab ab", 5, true), "97 98 259 98");
    CHECK_STR(ids_of(t, "\xC3\xA9", 2, true), "195 169");
    CHECK_STR(ids_of(t, "a\0b", 3, true), "97 0 98");
    /* added tokens: the longest, and never in text that is to stay text */
    CHECK_STR(ids_of(t, "a<s><x>y<x>", 11, true), "97 300 302 301");
    CHECK_STR(ids_of(t, "a<s><x>", 7, false), "97 60 115 62 60 120 62");
    CHECK_STR(ids_of(t, "<x", 2, true), "60 120");
    /* bytes that the vocabulary lacks are dropped */
    CHECK_STR(ids_of(t,
                     "a\xC3\xA4"
                     "b",
                     4, true),
              "97 195 98");
}

static void test_invalid_utf8(const dsvl_tokenizer *t)
{
    /* as Python's bytes.decode("utf-8", "replace"); U+FFFD is 239 191 189 */
#define BAD "239 191 189"
    CHECK_STR(ids_of(t,
                     "a\xFF"
                     "b",
                     3, true),
              "97 " BAD " 98");
    CHECK_STR(ids_of(t, "\xE2\x82", 2, true), BAD); /* cut character: one */
    CHECK_STR(ids_of(t,
                     "\xE2\x82"
                     "a",
                     3, true),
              BAD " 97");
    CHECK_STR(ids_of(t, "\xED\xA0\x80", 3, true), BAD " " BAD " " BAD); /* surrogate */
    CHECK_STR(ids_of(t, "\xC0\xAF", 2, true), BAD " " BAD);             /* overlong */
    CHECK_STR(ids_of(t, "\xE0\x80", 2, true), BAD " " BAD);
    CHECK_STR(ids_of(t,
                     "\xF0\x9F\x98"
                     "a",
                     4, true),
              BAD " 97");
    CHECK_STR(ids_of(t, "\xF4\x90\x80\x80", 4, true), BAD " " BAD " " BAD " " BAD);
    CHECK_STR(ids_of(t, "<\xFFs>", 4, true), "60 " BAD " 115 62");
}

static void check_bytes(const dsvl_tokenizer *t, int32_t id, bool with_special, const char *want)
{
    const char *bytes = NULL;
    size_t length = 0;
    int status = dsvl_tokenizer_bytes(t, id, with_special, &bytes, &length);
    if (!want) {
        CHECK(status == -1);
        return;
    }
    CHECK_MSG(status == 0 && length == strlen(want) && memcmp(bytes, want, length) == 0, "id %d: %.*s", id,
              (int)length, bytes ? bytes : "");
}

static void test_lookup(const dsvl_tokenizer *t)
{
    CHECK(dsvl_tokenizer_find(t, "<s>") == 300);
    CHECK(dsvl_tokenizer_find(t, "abc") == 257);
    CHECK(dsvl_tokenizer_find(t, "abcd") == -1);
    CHECK(dsvl_tokenizer_find(t, "") == -1);
    CHECK(dsvl_tokenizer_size(t) == 303);
    CHECK(dsvl_tokenizer_is_special(t, 300) && !dsvl_tokenizer_is_special(t, 301));
    CHECK(!dsvl_tokenizer_is_special(t, -1) && !dsvl_tokenizer_is_special(t, INT32_MAX));
    check_bytes(t, 300, true, "<s>");
    check_bytes(t, 300, false, "");
    check_bytes(t, 301, false, "<x>");
    check_bytes(t, 259, false, " a");
    check_bytes(t, 0xC3, false, "\xC3");
    check_bytes(t, 299, false, NULL);
    check_bytes(t, 303, false, NULL);
    check_bytes(t, -1, false, NULL);
}

/* A member of the file, found by a path as "model.vocab" or "added_tokens.0.id", is replaced; the reader must
 * refuse the result with a message that holds `message`. */
static void check_refused(const char *path, const char *json, const char *message)
{
    json_t *file = base_file(), *at = file, *value = json_loads(json, JSON_DECODE_ANY, NULL);
    char copy[64], *rest = copy, *key;
    snprintf(copy, sizeof copy, "%s", path);
    while ((key = strsep(&rest, ".")) != NULL) {
        if (rest)
            at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
        else if (json_is_array(at))
            json_array_set(at, (size_t)atoi(key), value);
        else
            json_object_set(at, key, value);
    }
    dsvl_error err = {0};
    dsvl_tokenizer *t = parse(file, &err);
    CHECK_MSG(!t && err.code == DSVL_E_MODEL && strstr(err.message, message) &&
                  strncmp(err.message, "tokenizer.json: ", 16) == 0,
              "%s = %s: \"%s\"", path, json, err.message);
    dsvl_tokenizer_free(t);
    json_decref(value);
    json_decref(file);
}

static void test_refused(void)
{
    static const char *const cases[][3] = {
        {"version", "\"2.0\"", "version"},
        {"normalizer", "{\"type\": \"NFC\"}", "normalizer: \"NFC\" is not supported"},
        {"normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Lowercase\"}]}",
         "\"Lowercase\""},
        {"normalizer", "7", "normalizer"},
        {"decoder", "null", "decoder"},
        {"decoder.type", "\"Metaspace\"", "decoder: \"Metaspace\""},
        {"pre_tokenizer", "null", "pre_tokenizer"},
        {"pre_tokenizer.type", "\"Whitespace\"", "pre_tokenizer: \"Whitespace\""},
        {"pre_tokenizer.add_prefix_space", "0", "pre_tokenizer: ByteLevel.add_prefix_space"},
        {"pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": []}", "must end in ByteLevel"},
        {"pre_tokenizer", "{\"type\": \"Digits\", \"individual_digits\": true}", "must end in ByteLevel"},
        {"model.type", "\"WordPiece\"", "model: \"WordPiece\""},
        {"model.dropout", "0.1", "model.dropout"},
        {"model.byte_fallback", "true", "model.byte_fallback"},
        {"model.continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix"},
        {"model.unk_token", "\"<nothing>\"", "model.unk_token"},
        {"model.ignore_merges", "1", "model.ignore_merges"},
        {"model.vocab", "[]", "model.vocab"},
        {"model.vocab.a", "-1", "model.vocab: the id of \"a\""},
        {"model.vocab.a", "4294967296", "model.vocab: the id of \"a\""},
        {"model.vocab.a", "1.5", "model.vocab: the id of \"a\""},
        {"model.vocab.a", "98", "model.vocab: id 98 belongs to both \"a\" and \"b\""},
        {"model.vocab.", "400", "empty name"},
        {"model.merges", "{}", "model.merges: an array"},
        {"model.merges.0", "\"bc\"", "model.merges[0]"},
        {"model.merges.0", "\"b c d\"", "model.merges[0]"},
        {"model.merges.1", "[\"a\"]", "model.merges[1]"},
        {"model.merges.1", "[\"a\", 1]", "model.merges[1]"},
        {"model.merges.0", "\"c b\"", "model.merges[0]: token \"cb\" is not in model.vocab"},
        {"model.merges.0", "\"qq b\"", "token \"qq\" is not in model.vocab"},
        {"added_tokens", "{}", "added_tokens"},
        {"added_tokens.0.id", "301", "added_tokens[1]: id 301 belongs to both"},
        {"added_tokens.0.id", "-3", "added_tokens[0].id"},
        {"added_tokens.0.id", "1048576", "added_tokens[0].id"},
        {"added_tokens.0.content", "\"\"", "added_tokens[0].content"},
        {"added_tokens.0.content", "\"<x>\"", "added_tokens[1]: token \"<x>\" has two ids, 300 and 301"},
        {"added_tokens.0.content", "\"abc\"", "added_tokens[0]: token \"abc\" has two ids, 257 and 300"},
        {"added_tokens.0.lstrip", "\"no\"", "added_tokens[0].lstrip"},
        {"added_tokens.0", "{\"id\": 257, \"content\": \"abc\", \"special\": true}",
         "plain text would become"},
        {"added_tokens.0", "{\"id\": 97, \"content\": \"a\", \"special\": true}", "plain text would become"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i][0], cases[i][1], cases[i][2]);

    static const char *const texts[] = {"", "{", "[]", "7", "{\"a\": 1, \"a\": 2}", "{} x", "\xFF\xFE{}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        dsvl_error err = {0};
        CHECK(!dsvl_tokenizer_parse(texts[i], strlen(texts[i]), "t", &err) && err.code == DSVL_E_MODEL);
    }
    dsvl_error err = {0};
    CHECK(!dsvl_tokenizer_open("/nonexistent", &err) && err.code == DSVL_E_MODEL);
}

/* What Oniguruma and PCRE2 read differently, and what neither reads. */
static void test_refused_patterns(void)
{
    static const char *const patterns[] = {
        "(",       "[a",          "a\\",     "*a",          "[]a]",      "[a[b]]",  "[a&&b]",
        "[b-a]",   "[\\s-z]",     "a{2}+",   "a{2,3}?",     "a{",        "a{x}",    "\\w",
        "\\b",     "\\h",         "\\R",     "\\K",         "\\1",       "\\Qa\\E", "\\p{Han}",
        "\\p{Lx}", "\\p{L",       "\\pL",    "\\x{110000}", "\\x{d800}", "\\xff",   "\\xg",
        "\\u12",   "\\x{1",       "(?<n>a)", "(?P<n>a)",    "(?m:a)",    "(*FAIL)", "(?#c)",
        "(?R)",    "[[:alpha:]]", "a{3,2}",  "[\\b]",       "\\p",       "[a-",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        json_t *steps =
            json_pack("{s:s,s:[{s:s,s:{s:s},s:s,s:b}]}", "type", "Sequence", "pretokenizers", "type", "Split",
                      "pattern", "Regex", patterns[i], "behavior", "Isolated", "invert", 0);
        json_t *file = base_file();
        json_object_set_new(file, "pre_tokenizer", steps);
        dsvl_error err = {0};
        dsvl_tokenizer *t = parse(file, &err);
        CHECK_MSG(!t && err.code == DSVL_E_MODEL && strstr(err.message, "pre_tokenizer: pattern \""),
                  "%s: \"%s\"", patterns[i], err.message);
        dsvl_tokenizer_free(t);
        json_decref(file);
    }
}

/* Text that makes a naive matcher or merger quadratic: this program would not end. */
static void test_long_runs(void)
{
    json_t *file = base_file(), *steps = json_array();
    static const char *const patterns[] = {"\\s+$", "\\s*[\r\n]+|\\s+(?!\\S)|\\s+", "[^\r\n\\p{L}]?\\p{L}+"};
    for (size_t i = 0; i < 3; i++) {
        json_array_append_new(steps, json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex",
                                               patterns[i], "behavior", "Isolated", "invert", 0));
    }
    json_array_append_new(steps, json_incref(json_object_get(file, "pre_tokenizer")));
    json_object_set_new(file, "pre_tokenizer",
                        json_pack("{s:s,s:o}", "type", "Sequence", "pretokenizers", steps));
    dsvl_error err = {0};
    dsvl_tokenizer *t = parse(file, &err);
    json_decref(file);
    CHECK_MSG(t != NULL, "%s", err.message);
    if (!t) return;
    enum { N = 1 << 20 };
    char *text = malloc(N + 1);
    for (const char *c = " a\n<\xFF"; *c; c++) {
        dsvl_ids ids = {0};
        memset(text, *c, N);
        text[N] = 'x';
        CHECK(dsvl_tokenizer_encode(t, text, N + 1, true, &ids, &err) == 0);
        CHECK(ids.count == (*c == '\xFF' ? 3 * N + 1 : N + 1) && ids.data[ids.count - 1] == 'x');
        dsvl_ids_free(&ids);
    }
    for (size_t i = 0; i < N; i++) text[i] = "abc"[i % 3];
    dsvl_ids ids = {0};
    CHECK(dsvl_tokenizer_encode(t, text, N / 3 * 3, true, &ids, &err) == 0 && ids.count == N / 3 &&
          ids.data[0] == 257);
    dsvl_ids_free(&ids);
    free(text);
    dsvl_tokenizer_free(t);
}

/* Every allocation fails once: an error, nothing leaked (under ASan), and ids that stood before still stand.
 */
static void test_out_of_memory(void)
{
    json_t *file = base_file();
    json_object_set_new(json_object_get(file, "pre_tokenizer"), "use_regex", json_true());
    json_object_set_new(json_object_get(file, "pre_tokenizer"), "add_prefix_space", json_true());
    json_object_set_new(json_object_get(file, "model"), "ignore_merges", json_true());
    json_object_set_new(json_array_get(json_object_get(file, "added_tokens"), 1), "single_word", json_true());
    for (long n = 1;; n++) {
        dsvl_error err = {0};
        dsvl_ids ids = {0};
        CHECK(dsvl_ids_add(&ids, 7, &err) == 0);
        dsvl_alloc_fail_at(n);
        dsvl_tokenizer *t = parse(file, &err);
        int status = t ? dsvl_tokenizer_encode(t, "ab \xFF <x> abc", 13, true, &ids, &err) : -1;
        dsvl_alloc_fail_at(0);
        CHECK_MSG(status == 0 || (err.code == DSVL_E_MEMORY && ids.count == 1), "allocation %ld: \"%s\"", n,
                  err.message);
        CHECK(ids.data[0] == 7);
        dsvl_ids_free(&ids);
        dsvl_tokenizer_free(t);
        if (status == 0 && n > 400) break;
    }
    json_decref(file);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--dump") == 0) return dump(argv[2], argv[3]);
    json_t *file = base_file();
    dsvl_error err = {0};
    dsvl_tokenizer *t = parse(file, &err);
    json_decref(file);
    CHECK_MSG(t != NULL, "%s", err.message);
    if (t) {
        test_encode(t);
        test_invalid_utf8(t);
        test_lookup(t);
        dsvl_tokenizer_free(t);
    }
    test_refused();
    test_refused_patterns();
    test_long_runs();
    test_out_of_memory();
    return CHECK_DONE();
}
