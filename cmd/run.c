/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/run.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filters/source.h"
#include "lib/alloc.h"
#include "lib/hash.h"

enum { MOST_JOBS = 1024, MOST_ARGUMENTS = 512, MOST_CAUSES = 32 };
#define LIST_LIMIT ((size_t)1 << 30)

static struct {
    const char *out, *files_from, *shard, *merge;
    bool null_separated, retry_failed;
    long jobs;
} options = {.jobs = 1};

static const cli_option option_table[] = {
    {"out", 'o', CLI_STRING, &options.out, "DIR", "folder of the answers, one JSON Lines file a document", 0,
     0},
    {"files-from", 0, CLI_STRING, &options.files_from, "FILE",
     "read names of documents too, one a line; - is standard input", 0, 0},
    {"null", '0', CLI_FLAG, &options.null_separated, NULL, "names in the list end with a NUL byte", 0, 0},
    {"jobs", 'j', CLI_INT, &options.jobs, "N", "documents at a time (default 1)", 1, MOST_JOBS},
    {"shard", 0, CLI_STRING, &options.shard, "K/N", "only every N-th document, from the K-th on", 0, 0},
    {"retry-failed", 0, CLI_FLAG, &options.retry_failed, NULL, "do what failed before again", 0, 0},
    {"merge", 0, CLI_STRING, &options.merge, "FILE",
     "then write the answers of the whole list to FILE, in its order", 0, 0},
    CLI_COMMON,
};
static const cli_program program = {
    "dsvl run",
    "--out DIR -p PROMPT [OPTION...] FILE...",
    "Ask of every page of many documents, unattended. What is done and unchanged is skipped. Options of dsvl "
    "ask "
    "are\ntaken too.",
    option_table,
    sizeof option_table / sizeof *option_table,
};

typedef struct cause {
    char name[64];
    size_t count;
} cause;

typedef struct runner {
    char **documents; /* [count] of the whole list */
    bool *again;      /* [count]: the same output as an earlier one of the list */
    size_t count, next, capacity;
    long shard, shards;
    char *arguments[MOST_ARGUMENTS]; /* of dsvl ask, the document last */
    int given, place;
    char settings[65];
    run_job jobs[MOST_JOBS];
    size_t active;
    size_t done, failed, skipped, failed_before, elsewhere, pages, answers, mine;
    cause causes[MOST_CAUSES];
    size_t cause_count;
    double begun;
    int fatal; /* exit status to end with at once; 0: none */
} runner;

static volatile sig_atomic_t interrupts;

static void interrupt(int signal)
{
    (void)signal;
    interrupts++;
}

/* ---- the command line -------------------------------------------------------------------------------- */

static bool is_own(const char *argument, bool *value_follows)
{
    for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++) {
        const cli_option *o = &option_table[i];
        const size_t n = strlen(o->name);
        const bool named = argument[1] == '-' && strncmp(argument + 2, o->name, n) == 0 &&
                           (!argument[2 + n] || argument[2 + n] == '=');
        const bool letter = argument[1] != '-' && o->letter && argument[1] == o->letter;
        if (!named && !letter) continue;
        *value_follows = o->argument && (named ? !argument[2 + n] : !argument[2]);
        return true;
    }
    return false;
}

/* Whether an option can change what is answered; its name without the dashes, up to "=". */
static bool matters(const char *name)
{
    static const char *const neutral[] = {"threads", "batch", "cache", "cache-size", "max-memory",
                                          "no-jail", "quiet", "q",     "verbose",    "v"};
    const size_t n = strcspn(name, "=");
    for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++) {
        if (strlen(neutral[i]) == n && strncmp(name, neutral[i], n) == 0) return false;
    }
    return true;
}

static bool is_given(const runner *r, const char *name, const char **value)
{
    for (int i = 2; i < r->given; i++) {
        const char *a = r->arguments[i];
        const size_t n = strlen(name);
        if (a[0] != '-') continue;
        const bool letter = n == 1 && a[1] == name[0];
        if (!letter && (a[1] != '-' || strncmp(a + 2, name, n) != 0 || (a[2 + n] && a[2 + n] != '=')))
            continue;
        const char *joined = letter ? a + 2 : a[2 + n] ? a + 3 + n : "";
        if (value) *value = *joined || i + 1 == r->given ? joined : r->arguments[i + 1];
        return true;
    }
    return false;
}

static int give(runner *r, char *argument)
{
    if (r->given >= MOST_ARGUMENTS - 4) return cli_usage("there are more than %d options", MOST_ARGUMENTS);
    r->arguments[r->given++] = argument;
    return 0;
}

/* Options of our own and documents stay in argv, those of dsvl ask go to it. Returns the new argc, or -1. */
static int divide(runner *r, int argc, char **argv, run_option_fn ask_option)
{
    static char name[] = "dsvl", ask[] = "ask";
    int kept = 1;
    r->arguments[r->given++] = name;
    r->arguments[r->given++] = ask;
    for (int i = 1; i < argc; i++) {
        bool value = false;
        if (strcmp(argv[i], "--") == 0) {
            while (i < argc) argv[kept++] = argv[i++];
        } else if (argv[i][0] != '-' || !argv[i][1] || strcmp(argv[i], "--help") == 0 ||
                   is_own(argv[i], &value)) {
            argv[kept++] = argv[i];
            /* --quiet and --verbose are dsvl ask's too */
            const bool option = argv[i][0] == '-' && argv[i][1] && strncmp(argv[i], "--log-format", 12) != 0;
            if (option && ask_option(argv[i]) == 0 && !value && !strchr(argv[i], '=') && give(r, argv[i]))
                return -1;
            if (value && i + 1 < argc) argv[kept++] = argv[++i];
        } else {
            const int follows = ask_option(argv[i]);
            if (follows < 0) return cli_usage("there is no option %s", argv[i]), -1;
            if (follows && i + 1 == argc) return cli_usage("%s needs a value", argv[i]), -1;
            if (give(r, argv[i]) || (follows && give(r, argv[++i]))) return -1;
        }
    }
    argv[kept] = NULL;
    return kept;
}

static int parse_shard(runner *r)
{
    char *end = NULL;
    r->shard = r->shards = 1;
    if (!options.shard) return 0;
    errno = 0;
    r->shard = strtol(options.shard, &end, 10);
    const bool slash = end != options.shard && *end == '/';
    r->shards = slash ? strtol(end + 1, &end, 10) : 0;
    if (slash && !*end && !errno && r->shard >= 1 && r->shard <= r->shards) return 0;
    return cli_usage("--shard takes K/N with K from 1 to N, not \"%s\"", options.shard);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static int add_document(runner *r, const char *name, size_t length, dsvl_error *err)
{
    void *block = r->documents;
    if (!dsvl_grow(&block, &r->capacity, r->count + 1, sizeof *r->documents))
        return dsvl_fail_memory(err, (r->count + 1) * sizeof *r->documents);
    r->documents = block;
    if (!(r->documents[r->count] = dsvl_strndup(name, length))) return dsvl_fail_memory(err, length);
    r->count++;
    return 0;
}

static int read_list(runner *r, dsvl_error *err)
{
    dsvl_bytes list;
    if (!options.files_from) return 0;
    if (dsvl_bytes_open(&list, options.files_from, LIST_LIMIT, err)) {
        dsvl_error_prefix(err, "list of files %s: ", options.files_from);
        return -1;
    }
    int status = 0;
    const char separator = options.null_separated ? '\0' : '\n';
    for (size_t at = 0; status == 0 && at < list.length;) {
        const char *name = (const char *)list.data + at, *end = memchr(name, separator, list.length - at);
        const size_t length = end ? (size_t)(end - name) : list.length - at;
        at += length + 1;
        if (length) status = add_document(r, name, length, err);
    }
    dsvl_bytes_close(&list);
    return status;
}

typedef struct named {
    char *output; /* owned */
    size_t index;
} named;

static int by_output(const void *a, const void *b)
{
    const named *x = a, *y = b;
    const int order = strcmp(x->output, y->output);
    return order ? order : x->index < y->index ? -1 : 1;
}

/* A document that is named twice is done once. */
static int find_doubles(runner *r, dsvl_error *err)
{
    named *all = dsvl_alloc_zero(r->count, sizeof *all);
    r->again = dsvl_alloc_zero(r->count, sizeof *r->again);
    int status = all && r->again ? 0 : dsvl_fail_memory(err, r->count * sizeof *all);
    for (size_t i = 0; status == 0 && i < r->count; i++) {
        all[i] = (named){run_path("", r->documents[i], false), i};
        if (!all[i].output) status = dsvl_fail_memory(err, strlen(r->documents[i]));
    }
    if (status == 0) {
        qsort(all, r->count, sizeof *all, by_output);
        for (size_t i = 1; i < r->count; i++)
            r->again[all[i].index] = strcmp(all[i].output, all[i - 1].output) == 0;
    }
    for (size_t i = 0; all && i < r->count; i++) dsvl_dealloc(all[i].output);
    dsvl_dealloc(all);
    return status;
}

/* ---- settings ---------------------------------------------------------------------------------------- */

static int hash_prompts(dsvl_hash *hash, const runner *r, dsvl_error *err)
{
    const char *path;
    dsvl_bytes bytes;
    if (!is_given(r, "prompts", &path)) return 0;
    if (dsvl_bytes_open(&bytes, path, LIST_LIMIT, err)) return -1;
    dsvl_hash_add(hash, bytes.data, bytes.length);
    dsvl_bytes_close(&bytes);
    return 0;
}

/* The hash of all that decides on the answers, the documents apart: options, questions, model, version. */
static int make_settings(runner *r, dsvl_error *err)
{
    const char *folder = NULL;
    if (!is_given(r, "model", &folder)) is_given(r, "m", &folder);
    char *owned = folder ? dsvl_strdup(folder) : dsvl_model_default_folder(err);
    if (!owned) return folder ? dsvl_fail_memory(err, strlen(folder)) : -1;
    dsvl_model *model = dsvl_model_open(owned, DSVL_PART_VISION | DSVL_PART_DECODER, NULL, err);
    dsvl_dealloc(owned);
    if (!model) return -1;
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    dsvl_hash_add(&hash, "run 1 " DSVL_VERSION, sizeof "run 1 " DSVL_VERSION);
    dsvl_hash_add(&hash, dsvl_model_hash(model), 64);
    dsvl_model_close(model);
    for (int i = 2; i < r->given; i++) {
        const char *a = r->arguments[i];
        const bool option = a[0] == '-' && a[1],
                   model_option = strncmp(a, "--model", 7) == 0 || strncmp(a, "-m", 2) == 0;
        const bool value_follows =
            option && i + 1 < r->given && r->arguments[i + 1][0] != '-' && !strchr(a, '=');
        if (option && (model_option || !matters(a + 1 + (a[1] == '-')))) {
            i += value_follows;
            continue;
        }
        dsvl_hash_add(&hash, a, strlen(a) + 1);
    }
    if (hash_prompts(&hash, r, err)) return -1;
    dsvl_hash_hex(&hash, r->settings);
    return 0;
}

/* What an unattended run gives dsvl ask where the user did not: a cache, pages one by one, threads shared
 * out, and no times in the output. */
static int complete_arguments(runner *r)
{
    static char cache[4200], threads[32], format[32], batch[] = "--batch=1", no_times[] = "--no-times",
                                                      dashes[] = "--";
    snprintf(cache, sizeof cache, "--cache=%s/.dsvl/cache", options.out);
    snprintf(format, sizeof format, "--log-format=%.16s", cli_log_format ? cli_log_format : "");
    if (cli_log_format && give(r, format)) return -1;
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(threads, sizeof threads, "--threads=%ld",
             processors > options.jobs ? processors / options.jobs : 1);
    if ((!is_given(r, "cache", NULL) && give(r, cache)) || (!is_given(r, "batch", NULL) && give(r, batch)) ||
        (options.jobs > 1 && !is_given(r, "threads", NULL) && give(r, threads)) || give(r, no_times) ||
        give(r, dashes))
        return -1;
    r->place = r->given;
    return 0;
}

/* ---- documents --------------------------------------------------------------------------------------- */

static void count_cause(runner *r, const char *name)
{
    size_t i = 0;
    while (i < r->cause_count && strcmp(r->causes[i].name, name) != 0) i++;
    if (i == r->cause_count && r->cause_count < MOST_CAUSES)
        snprintf(r->causes[r->cause_count++].name, sizeof r->causes[0].name, "%s", name);
    if (i < r->cause_count) r->causes[i].count++;
}

static int fatal(runner *r, const dsvl_error *err)
{
    r->fatal = cli_fail(err);
    return -1;
}

/* Whether a document has been dealt with. */
static bool is_done(runner *r, const char *document)
{
    json_t *state = run_find_state(options.out, document, r->settings);
    if (!state) return false;
    const char *outcome = json_string_value(json_object_get(state, "outcome"));
    const bool failed = !outcome || strcmp(outcome, "done") != 0;
    json_decref(state);
    if (failed && options.retry_failed) return false;
    r->skipped++;
    r->failed_before += failed;
    return true;
}

/* Start the next document that is not done. 1: one was started, 0: there is none, -1: fatal. */
static int start_next(runner *r, run_job *job)
{
    dsvl_error err = {0};
    while (r->next < r->count) {
        const size_t i = r->next++;
        char *document = r->documents[i];
        if ((long)(i % (size_t)r->shards) != r->shard - 1) continue;
        r->mine++;
        if (r->again[i]) {
            r->skipped++;
            continue;
        }
        if (is_done(r, document)) continue;
        const int claimed = run_job_claim(job, document, options.out, &err);
        if (claimed < 0) return fatal(r, &err);
        if (claimed == 0) {
            cli_note("%s: another process is at it", document);
            r->elsewhere++;
            continue;
        }
        if (is_done(r, document)) { /* by another process, a moment ago */
            run_job_clear(job);
            continue;
        }
        cli_note("%s: begun", document);
        r->arguments[r->place] = document;
        r->arguments[r->place + 1] = NULL;
        if (run_job_start(job, r->arguments, &err)) return fatal(r, &err);
        r->active++;
        return 1;
    }
    return 0;
}

/* The pipeline has ended. */
static int end_job(runner *r, run_job *job)
{
    dsvl_error err = {0};
    const int status = run_job_wait(job);
    r->active--;
    if (job->stopped) {
        run_job_clear(job);
        return 0;
    }
    if (status == CLI_USAGE || status == CLI_MODEL) {
        r->fatal = status; /* it has said why, and no other document would fare better */
        return -1;
    }
    if (run_job_finish(job, options.out, r->settings, status, &err)) return fatal(r, &err);
    r->pages += job->counts.pages;
    cli_count("pages_total", NULL, job->counts.pages);
    cli_count("answers_total", NULL, job->counts.answers);
    r->answers += job->counts.answers;
    if (job->cause[0]) {
        r->failed++;
        count_cause(r, job->cause);
        cli_page_failed("%s: failed (%s)", job->document, job->cause);
    } else {
        r->done++;
    }
    cli_note("%s: %zu pages, %zu answers, %zu errors", job->document, job->counts.pages, job->counts.answers,
             job->counts.errors);
    run_job_clear(job);
    cli_progress("documents", r->done + r->failed + r->skipped,
                 (r->count + (size_t)r->shards - 1) / (size_t)r->shards);
    return 0;
}

/* Take what a pipeline wrote; when we are to stop, it may finish the line that it is at. */
static int serve(runner *r, run_job *job)
{
    dsvl_error err = {0};
    const int got = run_job_read(job, &err);
    if (got < 0) return fatal(r, &err);
    if (got == 1 && interrupts && !job->stopped) run_job_stop(job, SIGTERM);
    return got == 2 ? end_job(r, job) : 0;
}

static int fill_jobs(runner *r)
{
    for (long i = 0; i < options.jobs && !interrupts; i++) {
        if (r->jobs[i].document) continue;
        const int started = start_next(r, &r->jobs[i]);
        if (started < 1) return started;
    }
    return 0;
}

static int work(runner *r)
{
    struct pollfd waits[MOST_JOBS];
    run_job *jobs[MOST_JOBS];
    for (;;) {
        if (fill_jobs(r)) return -1;
        if (r->active == 0) return 0;
        nfds_t n = 0;
        for (long i = 0; i < options.jobs; i++) {
            if (!r->jobs[i].pid) continue;
            if (interrupts > 1) run_job_stop(&r->jobs[i], SIGKILL);
            jobs[n] = &r->jobs[i];
            waits[n++] = (struct pollfd){.fd = r->jobs[i].pipe, .events = POLLIN};
        }
        if (poll(waits, n, 500) <= 0) continue; /* a signal, or time to look for one */
        for (nfds_t i = 0; i < n; i++) {
            if (waits[i].revents && serve(r, jobs[i])) return -1;
        }
    }
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static int summarise(const runner *r, bool interrupted, dsvl_error *err)
{
    const double seconds = cli_seconds() - r->begun;
    const double rate = seconds > 0 ? (double)r->pages * 3600 / seconds : 0;
    json_t *causes = json_object();
    char text[1024] = "", path[4300], shard[64] = "";
    for (size_t i = 0; i < r->cause_count; i++) {
        const size_t used = strlen(text);
        json_object_set_new(causes, r->causes[i].name, json_integer((json_int_t)r->causes[i].count));
        snprintf(text + used, sizeof text - used, "%s%s %zu", i ? ", " : " (", r->causes[i].name,
                 r->causes[i].count);
    }
    cli_warn("%zu documents done, %zu failed%s%s, %zu skipped%s; %zu pages in %.0f s, %.0f pages per hour",
             r->done, r->failed, text, *text ? ")" : "", r->skipped,
             r->failed_before ? " (some of them failed before: --retry-failed)" : "", r->pages, seconds,
             rate);
    json_t *o = json_pack(
        "{s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:b}", "documents", (json_int_t)r->mine,
        "done", (json_int_t)r->done, "failed", (json_int_t)r->failed, "causes", causes, "skipped",
        (json_int_t)r->skipped, "failed_before", (json_int_t)r->failed_before, "elsewhere",
        (json_int_t)r->elsewhere, "pages", (json_int_t)r->pages, "answers", (json_int_t)r->answers, "seconds",
        round(seconds * 1000) / 1000, "pages_per_hour", round(rate), "interrupted", (int)interrupted);
    if (r->shards > 1) snprintf(shard, sizeof shard, "-%ld-of-%ld", r->shard, r->shards);
    snprintf(path, sizeof path, "%s/.dsvl/summary%s.json", options.out, shard);
    char *line = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) : NULL;
    int status = line ? run_make_folders(path, err) : dsvl_fail_memory(err, 1024);
    if (status == 0) status = run_write_file(path, line, strlen(line), err);
    free(line);
    json_decref(o);
    return status;
}

/* All outputs in the order of the list, as one file. */
static int merge(const runner *r, dsvl_error *err)
{
    const bool standard = strcmp(options.merge, "-") == 0;
    const size_t room = strlen(options.merge) + 8;
    char *temporary = dsvl_alloc(room, 1);
    if (!temporary) return dsvl_fail_memory(err, room);
    snprintf(temporary, room, "%s.part", options.merge);
    FILE *to = standard ? stdout : fopen(temporary, "we");
    int status = to ? 0 : dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", temporary, strerror(errno));
    for (size_t i = 0; status == 0 && i < r->count; i++) {
        if (r->again[i]) continue;
        dsvl_bytes bytes = {0};
        json_t *state = run_find_state(options.out, r->documents[i], r->settings);
        char *path = run_path(options.out, r->documents[i], false);
        if (!state || !path)
            status =
                dsvl_fail(err, DSVL_E_INPUT, "%s: not done yet, so there is nothing to merge: run its shard",
                          r->documents[i]);
        else
            status = dsvl_bytes_open(&bytes, path, SIZE_MAX, err);
        if (status == 0 && fwrite(bytes.data, 1, bytes.length, to) != bytes.length)
            status = dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", options.merge, strerror(errno));
        dsvl_bytes_close(&bytes);
        dsvl_dealloc(path);
        json_decref(state);
    }
    if (status == 0 && fflush(to))
        status = dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", options.merge, strerror(errno));
    if (status == 0 && !standard) status = run_publish(fileno(to), temporary, options.merge, err);
    if (to && !standard) fclose(to);
    if (to && !standard && status) unlink(temporary);
    dsvl_dealloc(temporary);
    return status;
}

static int set_up(runner *r, int operands, char **argv, dsvl_error *err)
{
    for (int i = 0; i < operands; i++) {
        if (add_document(r, argv[i], strlen(argv[i]), err)) return -1;
    }
    if (read_list(r, err) || find_doubles(r, err) || make_settings(r, err)) return -1;
    for (int i = 0; i < MOST_JOBS; i++) r->jobs[i].pipe = r->jobs[i].file = -1;
    const struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    return 0;
}

static int check_usage(runner *r, int operands)
{
    if (!options.out || !*options.out) return cli_usage("--out DIR is needed");
    if (operands < 1 && !options.files_from) return cli_usage("no document is named");
    if (!is_given(r, "prompt", NULL) && !is_given(r, "p", NULL) && !is_given(r, "prompts", NULL))
        return cli_usage("one of --prompt and --prompts is needed");
    if (is_given(r, "text", NULL) || is_given(r, "stream", NULL))
        return cli_usage("--text and --stream are for dsvl ask: the answers go to files");
    return parse_shard(r);
}

int run_main(int argc, char **argv, run_option_fn ask_option)
{
    static runner r;
    dsvl_error err = {0};
    argc = divide(&r, argc, argv, ask_option);
    if (argc < 0) return CLI_USAGE;
    const int operands = cli_parse(&program, argc, argv);
    int status = check_usage(&r, operands);
    if (status) return status;
    r.begun = cli_seconds();
    if (set_up(&r, operands, argv, &err)) {
        status = cli_fail(&err);
    } else if (complete_arguments(&r)) {
        status = CLI_USAGE;
    } else {
        work(&r);
        cli_progress_end();
        const bool interrupted = interrupts > 0;
        for (long i = 0; i < options.jobs; i++) run_job_clear(&r.jobs[i]);
        status = r.fatal ? r.fatal : r.failed || interrupted ? CLI_PARTIAL : CLI_OK;
        if (summarise(&r, interrupted, &err) && !r.fatal) status = cli_fail(&err);
        if (interrupted || r.fatal)
            cli_error(
                "stopped before the end: the same command goes on where it was; finished pages are kept");
        else if (options.merge && merge(&r, &err))
            status = cli_fail(&err);
    }
    for (size_t i = 0; i < r.count; i++) dsvl_dealloc(r.documents[i]);
    dsvl_dealloc(r.documents);
    dsvl_dealloc(r.again);
    return status;
}
