/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation on the way from a conversation to its answer fails in turn: each time an error says so,
 * nothing leaks (under the address sanitizer), and the next try gives the same answer. */
#include "lib/answer.h"
#include "lib/prompt.h"
#include "lib/question.h"
#include "tests/unit/check.h"
#include "tests/unit/fixture.h"

static int append(void *user, const char *text, size_t length)
{
    char *out = user;
    if (strlen(out) + length < 256) strncat(out, text, length);
    return 0;
}

/* One whole question; *line is its answer's line without times. */
static int ask(const dsvl_model *model, const dsvl_image *image, char text[256], dsvl_error *err)
{
    static const dsvl_sampling sampling = {
        .temperature = 1, .top_p = 0.9f, .repetition_penalty = 1.1f, .seed = 4};
    dsvl_questions questions = {0};
    dsvl_prefix prefix = {0};
    dsvl_generation generation = {0};
    dsvl_session *session = NULL;
    int32_t *ids = NULL;
    size_t count, tokens;
    char *answer = NULL, *line = NULL;
    int result = -1;
    text[0] = '\0';
    if (dsvl_questions_add(&questions, "Read <|ref|>the text.", true, err) ||
        dsvl_question_tokens(&questions.items[0], model, 1, &ids, &count, err))
        goto out;
    if (!(session = dsvl_session_new(model, 0, err)) ||
        dsvl_prompt_feed(&prefix, session, ids, count, image, 1, &tokens, err) ||
        dsvl_session_generate(session, &sampling, 300, append, text, &generation, err) ||
        !(answer = dsvl_answer_text(model, generation.ids, generation.count, err)))
        goto out;
    dsvl_source source = {0};
    const dsvl_answer record = {.model = model,
                                .sources = &source,
                                .count = 1,
                                .prompt = questions.items[0].prompt,
                                .generation = &generation,
                                .text = answer};
    if (!(line = dsvl_answer_line(&record, err))) goto out;
    CHECK(strncmp(answer, text, 200) == 0); /* what was streamed is what was answered */
    result = 0;
out:
    free(line);
    dsvl_free(answer);
    dsvl_free(ids);
    dsvl_generation_clear(&generation);
    dsvl_session_free(session);
    dsvl_prefix_clear(&prefix);
    dsvl_questions_clear(&questions);
    return result;
}

/* A feed that failed leaves the sequence as it was. */
static void feed_again(const dsvl_model *model, const dsvl_image *image)
{
    dsvl_error err = {0};
    dsvl_session *session = dsvl_session_new(model, 0, &err);
    CHECK(session && dsvl_session_feed_embeddings(session, image->embeddings, 5, &err) == 0);
    if (!session) return;
    for (long n = 1; n < 100; n++) {
        dsvl_error fault = {0};
        dsvl_alloc_fail_at(n);
        int failed = dsvl_session_feed_embeddings(session, image->embeddings, image->tokens, &fault);
        dsvl_alloc_fail_at(0);
        CHECK(dsvl_session_length(session) == (failed ? 5 : 5 + image->tokens));
        if (!failed) break;
        CHECK(fault.code == DSVL_E_MEMORY);
    }
    size_t vocab;
    float *logits = calloc((size_t)model->config.decoder.vocab, sizeof(float));
    const float *got = dsvl_session_logits(session, &vocab);
    CHECK(got);
    if (got) memcpy(logits, got, vocab * sizeof(float));
    dsvl_session_free(session);
    session = dsvl_session_new(model, 0, &err);
    CHECK(session && dsvl_session_feed_embeddings(session, image->embeddings, 5, &err) == 0 &&
          dsvl_session_feed_embeddings(session, image->embeddings, image->tokens, &err) == 0);
    got = session ? dsvl_session_logits(session, &vocab) : NULL;
    CHECK(got && memcmp(got, logits, vocab * sizeof(float)) == 0);
    dsvl_session_free(session);
    free(logits);
}

int main(void)
{
    dsvl_error err = {0};
    fixture f;
    if (fixture_open(&f, "nano-text")) return EXIT_FAILURE;
    const dsvl_options options = {.threads = 1};
    dsvl_model *model = dsvl_model_open(f.folder, DSVL_PART_DECODER | DSVL_PART_TOKENIZER, &options, &err);
    const dsvl_tensor *rows = fixture_tensor(&f, "embeddings.0");
    CHECK_MSG(model && rows, "%s", err.message);
    if (model && rows) {
        dsvl_image image = {.embeddings = rows->data, .tokens = (size_t)rows->shape[0]};
        char want[256], got[256];
        CHECK_MSG(ask(model, &image, want, &err) == 0, "%s", err.message);
        long n = 1;
        for (;; n++) {
            dsvl_error fault = {0};
            dsvl_alloc_fail_at(n);
            int failed = ask(model, &image, got, &fault);
            dsvl_alloc_fail_at(0);
            if (!failed || n > 1000) break;
            CHECK_MSG(fault.code == DSVL_E_MEMORY, "allocation %ld: %s", n, fault.message);
        }
        CHECK_MSG(n > 10 && n < 1000, "%ld allocations", n);
        CHECK_STR(got, want);
        feed_again(model, &image);
    }
    dsvl_model_close(model);
    fixture_close(&f);
    return CHECK_DONE();
}
