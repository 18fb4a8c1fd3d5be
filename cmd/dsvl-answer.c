/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings records in, answers out: a JSON line for each question of each page or conversation. */
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cli.h"
#include "cmd/cli_cache.h"
#include "lib/alloc.h"
#include "lib/answer.h"
#include "lib/answer_cache.h"
#include "lib/chat.h"
#include "lib/group.h"
#include "lib/joined.h"
#include "lib/question.h"

static struct {
    const char *model, *prompt, *prompts, *chat, *per, *activations;
    double temperature, top_p, repetition_penalty, timeout;
    long max_tokens, seed, threads;
    uint64_t max_memory;
    bool specials, stream, text, grounded, keep_loops, no_times, int8;
} options = {.per = "page", .activations = "f32", .top_p = 1, .repetition_penalty = 1};

static const cli_option option_table[] = {
    {"model", 'm', CLI_STRING, &options.model, "DIR", "model folder (default: the embedded model)", 0, 0},
    {"prompt", 'p', CLI_STRING, &options.prompt, "PROMPT", "the question", 0, 0},
    {"prompts", 0, CLI_STRING, &options.prompts, "FILE",
     "JSON Lines of id and prompt, all asked of every page", 0, 0},
    {"chat", 0, CLI_STRING, &options.chat, "FILE", "a conversation in roles and content parts, as JSON", 0,
     0},
    {"per", 0, CLI_STRING, &options.per, "page|document",
     "ask of every page, or of all pages of a document together", 0, 0},
    {"prompt-specials", 0, CLI_FLAG, &options.specials, NULL,
     "<|grounding|>, <|ref|> ... in prompts are tokens", 0, 0},
    {"max-tokens", 0, CLI_INT, &options.max_tokens, "N", "longest answer (default: what the context holds)",
     1, INT_MAX},
    {"temperature", 0, CLI_REAL, &options.temperature, "T", "0: greedy (default)", 0, FLT_MAX},
    {"top-p", 0, CLI_REAL, &options.top_p, "P",
     "keep the likeliest tokens up to this probability (default 1)", 1e-9, 1},
    {"repetition-penalty", 0, CLI_REAL, &options.repetition_penalty, "R", "1: none (default)", 1e-6, 1e6},
    {"seed", 0, CLI_INT, &options.seed, "N", "seed of the sampling (default 0)", 0, (double)(1L << 53)},
    {"grounded", 0, CLI_FLAG, &options.grounded, NULL, "answer in words of the page's own text layer only", 0,
     0},
    {"timeout", 0, CLI_REAL, &options.timeout, "SECONDS",
     "time for the answers about a page; what is unfinished then says so (default: none)", 1e-6, 1e9},
    {"keep-loops", 0, CLI_FLAG, &options.keep_loops, NULL, "do not look for answers that repeat themselves",
     0, 0},
    {"no-times", 0, CLI_FLAG, &options.no_times, NULL,
     "leave \"seconds\" out, so that equal input gives equal lines", 0, 0},
    {"stream", 0, CLI_FLAG, &options.stream, NULL, "show text as it comes", 0, 0},
    {"text", 0, CLI_FLAG, &options.text, NULL, "print the answers alone", 0, 0},
    {"threads", 0, CLI_INT, &options.threads, "N", "threads; 0: one per processor (default)", 0, 4096},
    CLI_ACTIVATIONS(&options.activations),
    {"max-memory", 0, CLI_SIZE, &options.max_memory, "SIZE",
     "limit of the working memory, weights not counted", 0, 0},
    CLI_CACHE,
    CLI_COMMON,
};
static const cli_program program = {
    "dsvl-answer",
    "-p PROMPT [OPTION...] [FILE...]",
    "Answer questions about the images of embeddings records with a model's decoder.",
    option_table,
    sizeof option_table / sizeof *option_table,
};

typedef struct asker {
    dsvl_model *model;
    dsvl_session *session;
    dsvl_store *store;         /* --cache; NULL: none */
    dsvl_grounding *grounding; /* of the group being asked about; NULL: answers are free */
    dsvl_grounding *held;      /* the same, or NULL where the question at hand is to be answered freely */
    bool located;              /* the question at hand asks for a place, which the words alone tell */
    dsvl_questions questions;
    dsvl_prefix prefix;
    dsvl_group group;
    /* A page whose parts are asked about one by one: */
    dsvl_joined *joined; /* [questions]: the answers so far */
    size_t *shown;       /* [questions]: bytes of them on standard output */
    bool page_open;
    const char *part_kind; /* of the record at hand; NULL: it is no part of a page */
    const char *page_kinds;
    bool by_document;
    size_t group_size;        /* images a group takes; 0: none, the conversation is text alone */
    size_t answers, failures; /* lines written */
    double due;               /* when the time for this page is up; 0: no limit */
    size_t parts_left;        /* of the page, the one at hand included */
    bool closed;              /* standard output takes no more */
} asker;

/* ---- output ------------------------------------------------------------------------------------------ */

static int write_out(const char *text, size_t length, dsvl_error *err)
{
    if (fwrite(text, 1, length, stdout) == length && fflush(stdout) == 0) return 0;
    return dsvl_fail(err, DSVL_E_IO, "standard output: cannot write: %s", strerror(errno));
}

/* Write a line (taken, NULL: its making failed). */
static int write_line_take(char *line, dsvl_error *err)
{
    int status = line ? write_out(line, strlen(line), err) : -1;
    free(line);
    return status;
}

/* Report a page, or one question of it, that failed; with --text on standard error alone. */
static int report(asker *a, const dsvl_source *source, const dsvl_question *question, const char *stage,
                  const char *message, dsvl_error *err)
{
    a->failures++;
    const char *document = json_string_value(source->document);
    if (source->page)
        cli_page_failed("%s, page %lld: %s: %s", document ? document : "?",
                        (long long)json_integer_value(source->page), stage, message);
    else
        cli_page_failed("%s: %s: %s", document ? document : "conversation", stage, message);
    if (options.text) return 0;
    return write_line_take(
        dsvl_answer_error_line(source, question ? question->id : NULL, stage, message, err), err);
}

/* The same for one question of the group. */
static int report_question(asker *a, const dsvl_question *question, const char *message, dsvl_error *err)
{
    dsvl_source source = {0}; /* borrows */
    if (a->group.count) source = a->group.sources[0];
    if (a->by_document || a->group.count > 1) source.page = NULL;
    return report(a, &source, question, "answer", message, err);
}

/* --stream: to standard output with --text, else to standard error, where a page's text must not steer the
 * terminal. */
static int show(void *user, const char *text, size_t length)
{
    asker *a = user;
    if (options.text) {
        dsvl_error err = {0};
        a->closed = a->closed || write_out(text, length, &err) != 0;
        return a->closed;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        fputc((c < 32 && c != '\n' && c != '\t') || c == 127 ? ' ' : c, stderr);
    }
    fflush(stderr);
    return 0;
}

/* ---- asking ------------------------------------------------------------------------------------------ */

/* Seconds for the next of `left` questions about the group: an equal share of what remains, and never 0,
 * which would mean without limit. */
static double share_of_time(const asker *a, size_t left)
{
    if (a->due == 0) return 0;
    const double remaining = (a->due - cli_seconds()) / (double)left;
    return remaining > 1e-9 ? remaining : 1e-9;
}

static int generate(asker *a, const dsvl_sampling *sampling, dsvl_generation *out, dsvl_error *err)
{
    /* What a part of a page adds to the page's text is seen when it is complete. */
    dsvl_text_fn shown = options.stream && !(options.text && a->part_kind) ? show : NULL;
    if (dsvl_session_generate(a->session, sampling, (size_t)options.max_tokens, shown, a, out, err))
        return -1;
    if (options.stream && !options.text) fputc('\n', stderr);
    return a->closed ? dsvl_fail(err, DSVL_E_IO, "standard output: cannot write: %s", strerror(errno)) : 0;
}

/* The answer to a question of which `left` are to come, from the cache or from the model. */
static int find_answer(asker *a, const int32_t *ids, size_t count, size_t left, dsvl_generation *out,
                       size_t *tokens, double *prefill, dsvl_error *err)
{
    dsvl_group *g = &a->group;
    char key[65] = "";
    dsvl_sampling sampling = {.temperature = (float)options.temperature,
                              .top_p = (float)options.top_p,
                              .repetition_penalty = (float)options.repetition_penalty,
                              .seed = (uint64_t)options.seed,
                              .keep_loops = options.keep_loops};
    const dsvl_asked asked = {.model = a->model,
                              .group = g,
                              .ids = ids,
                              .count = count,
                              .sampling = &sampling,
                              .max_tokens = (size_t)options.max_tokens,
                              .grounding = a->held};
    int found = a->store ? dsvl_answer_cache_get(a->store, &asked, key, out, tokens, err) : 0;
    if (found) return found < 0 ? -1 : 0;
    const double begun = cli_seconds();
    if (dsvl_prompt_feed(&a->prefix, a->session, ids, count, g->images, g->count, tokens, err)) return -1;
    *prefill = cli_seconds() - begun;
    sampling.timeout = share_of_time(a, left);
    if (generate(a, &sampling, out, err)) return -1;
    dsvl_error trouble = {0};
    if (a->store && dsvl_answer_cache_put(a->store, key, out, *tokens, &trouble))
        cli_cache_give_up(&a->store, &trouble);
    return 0;
}

static int write_line(const dsvl_answer *answer, size_t shown, dsvl_error *err)
{
    if (!options.text) return write_line_take(dsvl_answer_line(answer, err), err);
    return write_out(answer->text + shown, strlen(answer->text + shown), err) || write_out("\n", 1, err) ? -1
                                                                                                         : 0;
}

/* The answer about a part of a page waits for those about the others; with --text --stream, what is certain
 * of it is shown. */
static int keep_answer(asker *a, const dsvl_question *question, const dsvl_part_answer *part, dsvl_error *err)
{
    const size_t q = (size_t)(question - a->questions.items);
    dsvl_joined *j = &a->joined[q];
    if (dsvl_joined_add(j, part, err)) return -1;
    if (!options.stream || !options.text || a->questions.count > 1) return 0;
    const size_t shown = a->shown[q];
    a->shown[q] = j->length;
    return write_out(j->text + shown, j->length - shown, err);
}

/* Whether a part's own words hold what it was asked to locate. */
static bool certain(const asker *a, const dsvl_question *question)
{
    const dsvl_task *task = dsvl_task_of(question->prompt);
    size_t n;
    if (!task || task->join != DSVL_JOIN_BOXES) return false;
    const char *text = dsvl_task_subject(task, question->prompt, &n);
    return dsvl_evidence_holds(&a->group.evidence, 0, text, n);
}

/* The answer to a question for a place, and its evidence, from the words alone. */
static char *locate(asker *a, const dsvl_question *question, const dsvl_task *task, json_t **cells,
                    dsvl_error *err)
{
    size_t n;
    const char *text = dsvl_task_subject(task, question->prompt, &n);
    return dsvl_evidence_locate(&a->group.evidence, a->held, a->group.sources[0].page_box, text, n, cells,
                                err);
}

static int write_answer(asker *a, const dsvl_question *question, const dsvl_generation *generation,
                        size_t tokens, double prefill, dsvl_error *err)
{
    const dsvl_group *g = &a->group;
    const dsvl_task *task = dsvl_task_of(question->prompt);
    json_t *cells = NULL;
    char *text = a->located ? locate(a, question, task, &cells, err)
                            : dsvl_answer_text(a->model, generation->ids, generation->count, err);
    if (!text) return -1;
    if (a->held && !a->located)
        cells = dsvl_evidence_cells(&g->evidence, a->held, text, strlen(text), a->model, generation, task);
    const dsvl_answer answer = {.model = a->model,
                                .sources = g->sources,
                                .count = g->count,
                                .list = a->by_document || g->count != 1,
                                .prompt_id = question->id,
                                .prompt = question->prompt,
                                .prompt_tokens = tokens,
                                .prefill_seconds = prefill,
                                .generation = generation,
                                .text = text,
                                .cells = cells,
                                .grounding = options.grounded,
                                .no_times = options.no_times};
    const dsvl_part_answer part = {.source = g->sources,
                                   .generation = generation,
                                   .text = text,
                                   .cells = cells,
                                   .prompt_tokens = tokens,
                                   .prefill = prefill,
                                   .certain = a->located || certain(a, question),
                                   .on_page = a->located};
    int status = a->part_kind ? keep_answer(a, question, &part, err)
                              : write_line(&answer, options.stream ? strlen(text) : 0, err);
    json_decref(cells);
    dsvl_dealloc(text);
    cli_count("tokens_total", "kind=\"prompt\"", tokens);
    cli_count("tokens_total", "kind=\"answer\"", generation->count);
    return status;
}

/* An answer that was given up has its line; it is no success all the same. */
static void count_answer(asker *a, const dsvl_generation *generation)
{
    const dsvl_source *source = a->group.count ? &a->group.sources[0] : NULL;
    const char *document = source ? json_string_value(source->document) : NULL;
    const long long page = source ? (long long)json_integer_value(source->page) : 0;
    a->answers += !a->part_kind; /* those about parts of a page count together, as one */
    if (generation->finish != DSVL_FINISH_LOOP && generation->finish != DSVL_FINISH_TIMEOUT) return;
    a->failures++;
    cli_warn("%s, page %lld: the answer %s after %zu tokens", document ? document : "conversation", page,
             generation->finish == DSVL_FINISH_LOOP ? "repeats itself" : "was out of time",
             generation->count);
}

/* All parts of the page have come: one answer for each question that was put to any of them. */
static int finish_page(asker *a, const char *trouble, dsvl_error *err)
{
    int status = 0;
    for (size_t q = 0; a->page_open && q < a->questions.count; q++) {
        const dsvl_question *question = &a->questions.items[q];
        dsvl_joined *j = &a->joined[q];
        if (status || !j->text) continue;
        if (trouble) {
            status = report(a, &j->page, question, "answer", trouble, err);
            continue;
        }
        status = dsvl_joined_finish(j, err); /* before its text is borrowed: it may grow */
        const dsvl_answer answer = {.model = a->model,
                                    .sources = &j->page,
                                    .count = 1,
                                    .prompt_id = question->id,
                                    .prompt = question->prompt,
                                    .prompt_tokens = j->prompt_tokens,
                                    .prefill_seconds = j->prefill,
                                    .generation = &j->sum,
                                    .text = j->text,
                                    .cells = j->cells,
                                    .grounding = options.grounded,
                                    .no_times = options.no_times,
                                    .regions = j->regions,
                                    .stages = j->stages};
        if (!status) status = write_line(&answer, a->shown[q], err);
        a->answers++;
    }
    for (size_t q = 0; a->page_open && q < a->questions.count; q++) {
        dsvl_joined_clear(&a->joined[q]);
        a->shown[q] = 0;
    }
    a->page_open = false;
    return status;
}

/* Hold the answer to the words of the page, and say which form it is to have. */
static void hold(asker *a, const dsvl_question *question)
{
    static const dsvl_format formats[] = {[DSVL_JOIN_LINES] = DSVL_AS_TEXT,
                                          [DSVL_JOIN_CSV] = DSVL_AS_CSV,
                                          [DSVL_JOIN_MARKDOWN] = DSVL_AS_MARKDOWN,
                                          [DSVL_JOIN_BOXES] = DSVL_FORMATS};
    const dsvl_task *task = dsvl_task_of(question->prompt);
    dsvl_format format = task ? formats[task->join] : DSVL_FORMATS;
    if (format == DSVL_AS_CSV && strcmp(task->kinds, "figure") == 0) format = DSVL_AS_PAIRS;
    const bool places = task && task->join == DSVL_JOIN_BOXES;
    a->located = places && a->grounding && a->group.count == 1 && a->group.sources[0].page_box[2] > 0;
    a->held = places && !a->located ? NULL : a->grounding;
    if (a->held) dsvl_grounding_expect(a->held, format);
    dsvl_session_ground(a->session, a->held);
}

/* One question of the group. Its failure is reported; -1 only where nothing more can be done. */
static int ask(asker *a, const dsvl_question *question, dsvl_error *err)
{
    const bool blank = a->part_kind && strcmp(a->part_kind, "blank") == 0; /* nothing to ask about */
    dsvl_group *g = &a->group;
    int32_t *ids = NULL;
    size_t count = 0, tokens = 0;
    dsvl_error failure = {0};
    dsvl_generation generation = {0};
    double prefill = 0;
    const size_t left = (size_t)(a->questions.items + a->questions.count - question) * a->parts_left;
    hold(a, question);
    const bool known = blank || a->located;
    int status = known ? 0 : dsvl_question_tokens(question, a->model, g->count, &ids, &count, &failure);
    if (status == 0 && !known)
        status = find_answer(a, ids, count, left, &generation, &tokens, &prefill, &failure);
    if (status == 0) status = write_answer(a, question, &generation, tokens, prefill, &failure);
    if (status && failure.code == DSVL_E_IO)
        *err = failure;
    else if (status)
        status = report_question(a, question, failure.message, err);
    else
        count_answer(a, &generation);
    dsvl_generation_clear(&generation);
    dsvl_free(ids);
    if (!options.stream) cli_progress("answers", a->answers, 0);
    return status;
}

/* --grounded: hold the answers to the words of the group's pages, where they have any. */
static int ground_group(asker *a, dsvl_error *err)
{
    if (!options.grounded) return 0;
    const dsvl_group *g = &a->group;
    if (g->evidence.missing || g->count == 0) {
        const char *document = g->count ? json_string_value(g->sources[0].document) : NULL;
        cli_warn("%s, page %lld: there is no text layer to ground the answer in; it is free",
                 document ? document : "?",
                 g->count ? (long long)json_integer_value(g->sources[0].page) : 0LL);
        return 0;
    }
    a->grounding = dsvl_evidence_ground(&g->evidence, err);
    return a->grounding ? 0 : -1;
}

/* Ask all questions of the images gathered, or report why that can not be, and forget them. */
static int finish_group(asker *a, const char *trouble, dsvl_error *err)
{
    int status = 0;
    const bool empty =
        a->group.count == 0 && a->group_size > 0; /* all its images failed, and have their lines */
    for (size_t i = 0; trouble && status == 0 && i < a->group.count; i++)
        status = report(a, &a->group.sources[i], NULL, "answer", trouble, err);
    if (!trouble && !empty) status = ground_group(a, err);
    for (size_t i = 0; !trouble && !empty && status == 0 && i < a->questions.count; i++) {
        const dsvl_question *question = &a->questions.items[i];
        if (dsvl_task_concerns(dsvl_task_of(question->prompt), a->part_kind, a->page_kinds))
            status = ask(a, question, err);
    }
    dsvl_session_ground(a->session, NULL);
    dsvl_grounding_free(a->grounding);
    a->grounding = a->held = NULL;
    dsvl_group_reset(&a->group);
    return status;
}

/* ---- records ----------------------------------------------------------------------------------------- */

/* An image that cannot be asked about leaves its line, and a gap in its group. */
static int add_failure(asker *a, const dsvl_record *record, const char *stage, const char *message,
                       dsvl_error *err)
{
    dsvl_source source;
    if (dsvl_source_read(&source, record, err)) return -1;
    int status = report(a, &source, NULL, stage, message, err);
    dsvl_source_clear(&source);
    a->group.failed++;
    return status;
}

static int take_failure(asker *a, const dsvl_record *record, dsvl_error *err)
{
    const char *stage = dsvl_record_get(record, DSVL_KEY_STAGE);
    const char *message = dsvl_record_get(record, DSVL_KEY_MESSAGE);
    if (!dsvl_record_is(record, "error")) {
        stage = "answer";
        message = "the record holds no embeddings yet: dsvl-encode is missing in the pipe";
    }
    return add_failure(a, record, stage ? stage : "?", message ? message : "failed without a message", err);
}

/* Before a record: whether it is a part of a page, and the end of the page before. */
static int turn_page(asker *a, const dsvl_record *record, dsvl_error *err)
{
    bool same = a->page_open && dsvl_record_get(record, DSVL_KEY_REGION_KIND);
    for (size_t q = 0; same && q < a->questions.count; q++)
        same = !a->joined[q].text || dsvl_source_same_page(&a->joined[q].page, record);
    if (!same && finish_page(a, NULL, err)) return -1;
    if (!same) a->due = options.timeout > 0 ? cli_seconds() + options.timeout : 0;
    const bool whole = a->by_document || a->group_size != 1 || a->questions.items[0].messages;
    a->part_kind = whole ? NULL : dsvl_record_get(record, DSVL_KEY_REGION_KIND);
    a->page_kinds = dsvl_record_get(record, DSVL_KEY_PAGE_KINDS);
    a->page_open = a->part_kind != NULL;
    long part = 1, parts = 1;
    if (a->part_kind && dsvl_record_int(record, DSVL_KEY_REGIONS, 1, 1000000, &parts, NULL) == 0 &&
        dsvl_record_int(record, DSVL_KEY_REGION, 1, parts, &part, NULL))
        part = parts;
    a->parts_left = (size_t)(parts - part + 1);
    return 0;
}

static bool is_last_part(const dsvl_record *record)
{
    const char *number = dsvl_record_get(record, DSVL_KEY_REGION),
               *of = dsvl_record_get(record, DSVL_KEY_REGIONS);
    return number && of && strcmp(number, of) == 0;
}

static int take_record(asker *a, const dsvl_record *record, dsvl_error *err)
{
    dsvl_group *g = &a->group;
    if (a->by_document && dsvl_group_other_document(g, record) && finish_group(a, NULL, err)) return -1;
    if (turn_page(a, record, err)) return -1;
    dsvl_error failure = {0};
    int status = 0;
    if (dsvl_record_is(record, "embeddings")) {
        if (dsvl_group_add(g, a->model, record, &failure))
            status = add_failure(a, record, "answer", failure.message, err);
    } else if (dsvl_record_is(record, "error") || dsvl_record_is(record, "page") ||
               dsvl_record_is(record, "region") || dsvl_record_is(record, "tiles")) {
        status = take_failure(a, record, err);
    } else {
        cli_note("a record of the unknown kind \"%s\" is passed over", dsvl_record_kind(record));
    }
    if (status || a->by_document || g->count + g->failed < a->group_size) return status;
    status = finish_group(a, g->failed ? "another image of the same conversation failed" : NULL, err);
    return status == 0 && a->part_kind && is_last_part(record) ? finish_page(a, NULL, err) : status;
}

static int run(asker *a, cli_input *input, dsvl_error *err)
{
    dsvl_record *record = NULL;
    int more;
    a->parts_left = 1;
    if (options.timeout > 0) a->due = cli_seconds() + options.timeout;
    if (a->group_size == 0) return finish_group(a, NULL, err); /* a conversation of text alone */
    while ((more = cli_input_next(input, &record, err)) == 1) {
        int status = take_record(a, record, err);
        dsvl_record_free(record);
        if (status) return -1;
    }
    a->part_kind = NULL;
    if (more < 0) {
        dsvl_error ignored = {0};
        finish_page(a, "the stream was cut short before all parts of the page had come", &ignored);
        finish_group(a, "the stream was cut short before all images of the question had come", &ignored);
        return -1;
    }
    if (finish_page(a, NULL, err)) return -1;
    return finish_group(
        a, a->by_document ? NULL : "the stream ended before all images of the question had come", err);
}

/* ---- program ----------------------------------------------------------------------------------------- */

static int read_questions(asker *a, dsvl_error *err)
{
    int status = 0;
    if (options.prompt)
        status = dsvl_questions_add(&a->questions, options.prompt, options.specials, err);
    else if (options.prompts)
        status = dsvl_questions_read(&a->questions, options.prompts, options.specials, err);
    else
        status = dsvl_questions_read_chat(&a->questions, options.chat, options.specials, err);
    if (status) return -1;
    const size_t n = a->questions.count;
    a->group_size = options.chat ? a->questions.items[0].images : 1;
    a->joined = dsvl_alloc_zero(n, sizeof *a->joined);
    a->shown = dsvl_alloc_zero(n, sizeof *a->shown);
    if (!a->joined || !a->shown) return dsvl_fail_memory(err, n * sizeof *a->joined);
    for (size_t q = 0; q < n; q++) {
        const dsvl_task *task = dsvl_task_of(a->questions.items[q].prompt);
        a->joined[q].how = task ? task->join : DSVL_JOIN_LINES;
        a->group.wants_evidence = a->group.wants_evidence || a->joined[q].how == DSVL_JOIN_BOXES;
    }
    return 0;
}

static int open_model(asker *a, dsvl_error *err)
{
    const dsvl_options model_options = {
        .threads = (int)options.threads, .max_memory = options.max_memory, .int8 = options.int8};
    a->model = cli_model_open(options.model, DSVL_PART_DECODER | DSVL_PART_TOKENIZER, &model_options, err);
    /* What --stream has shown cannot be taken back, so its answers may differ. */
    if (a->model && !options.stream) a->store = cli_cache_open();
    if (a->model) a->session = dsvl_session_new(a->model, 0, err);
    return a->session ? 0 : -1;
}

static int check_usage(void)
{
    int asked = !!options.prompt + !!options.prompts + !!options.chat;
    bool document = strcmp(options.per, "document") == 0;
    if (asked != 1)
        return cli_usage("one of --prompt, --prompts and --chat is needed%s", asked ? ", not several" : "");
    if (!document && strcmp(options.per, "page") != 0)
        return cli_usage("--per takes page or document, not \"%s\"", options.per);
    if (document && options.chat)
        return cli_usage("--per document does not go with --chat: the conversation places the images");
    return cli_activations(options.activations, &options.int8) ? 0 : CLI_USAGE;
}

int main(int argc, char **argv)
{
    static asker a;
    dsvl_error err = {0};
    const int files = cli_parse(&program, argc, argv);
    int status = check_usage();
    if (status) return status;
    a.group.wants_evidence = options.grounded;
    a.by_document = strcmp(options.per, "document") == 0;
    cli_input *input = cli_input_new(argv, files, &err);
    status = input && read_questions(&a, &err) == 0 && open_model(&a, &err) == 0 ? run(&a, input, &err) : -1;
    cli_progress_end();
    if (status == 0 && fclose(stdout))
        status = dsvl_fail(&err, DSVL_E_IO, "standard output: cannot write: %s", strerror(errno));
    status = status ? cli_fail(&err) : a.failures ? CLI_PARTIAL : CLI_OK;
    for (size_t q = 0; a.joined && q < a.questions.count; q++) dsvl_joined_clear(&a.joined[q]);
    dsvl_dealloc(a.joined);
    dsvl_dealloc(a.shown);
    dsvl_group_clear(&a.group);
    dsvl_prefix_clear(&a.prefix);
    dsvl_questions_clear(&a.questions);
    dsvl_session_free(a.session);
    dsvl_store_close(a.store);
    dsvl_model_close(a.model);
    cli_input_free(input);
    return status;
}
