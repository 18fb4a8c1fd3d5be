/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cli.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cli_metrics.h"
#include "lib/alloc.h"

bool cli_quiet, cli_verbose;
const char *cli_log_format, *cli_metrics;
uint64_t cli_max_memory;
static const char *program_name = "dsvl";
static bool progress_shown, log_json;

int cli_status(dsvl_code code)
{
    switch (code) {
    case DSVL_OK:
        return CLI_OK;
    case DSVL_E_USAGE:
        return CLI_USAGE;
    case DSVL_E_MODEL:
        return CLI_MODEL;
    case DSVL_E_INPUT:
        return CLI_INPUT;
    case DSVL_E_IO:
        return CLI_OUTPUT;
    case DSVL_E_LIMIT:
    case DSVL_E_MEMORY:
        return CLI_RESOURCE;
    case DSVL_E_INTERNAL:
        break;
    }
    return CLI_INTERNAL;
}

/* ---- messages ---- */

/* One line, so that a message is never torn by those of the pipe's other programs. */
static void message_json(const char *level, const char *text)
{
    struct timespec now;
    struct tm utc;
    char date[32];
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
    char *clean = dsvl_utf8(text, strlen(text)), line[8192];
    size_t n = (size_t)snprintf(line, sizeof line,
                                "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"program\":\"%s\",\"message\":\"",
                                date, now.tv_nsec / 1000000, level, program_name);
    for (const char *p = clean ? clean : ""; *p && n < sizeof line - 8; p++) {
        if (*p == '"' || *p == '\\') line[n++] = '\\';
        line[n++] = *p;
    }
    dsvl_dealloc(clean);
    fprintf(stderr, "%.*s\"}\n", (int)n, line);
}

static void message(const char *level, const char *format, va_list args)
{
    if (progress_shown) cli_progress_end();
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    for (char *p = text; *p; p++) { /* names and library texts may hold terminal controls */
        if ((unsigned char)*p < 32 || *p == 127) *p = ' ';
    }
    if (log_json)
        message_json(level, text);
    else
        fprintf(stderr, "%s: %s\n", program_name, text);
}

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message("error", format, args);
    va_end(args);
}

void cli_warn(const char *format, ...)
{
    if (cli_quiet) return;
    va_list args;
    va_start(args, format);
    message("warning", format, args);
    va_end(args);
}

void cli_note(const char *format, ...)
{
    if (!cli_verbose) return;
    va_list args;
    va_start(args, format);
    message("note", format, args);
    va_end(args);
}

void cli_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message("info", format, args);
    va_end(args);
}

void cli_page_failed(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message("error", format, args);
    va_end(args);
    cli_count("failures_total", NULL, 1);
}

int cli_fail(const dsvl_error *err)
{
    cli_error("%s", err->message[0] ? err->message : "failed without a message");
    return cli_status(err->code == DSVL_OK ? DSVL_E_INTERNAL : err->code);
}

int cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message("error", format, args);
    va_end(args);
    if (!log_json) fprintf(stderr, "Try '%s --help'.\n", program_name);
    return CLI_USAGE;
}

bool cli_activations(const char *type, bool *int8)
{
    *int8 = strcmp(type, "int8") == 0;
    if (*int8 || strcmp(type, "f32") == 0) return true;
    cli_usage("--activations takes f32 or int8, not \"%s\"", type);
    return false;
}

int cli_check_output(const char *next)
{
    if (!isatty(STDOUT_FILENO)) return CLI_OK;
    return cli_usage("standard output is a terminal; redirect it to a file or pipe it to %s", next);
}

int cli_log_choose(const char *format)
{
    log_json = strcmp(format, "json") == 0;
    if (!log_json && strcmp(format, "text") != 0)
        return cli_usage("--log-format takes text or json, not \"%s\"", format);
    return CLI_OK;
}

/* ---- options ---- */

static void print_help(const cli_program *program)
{
    printf("Usage: %s %s\n%s\n\n", program->name, program->synopsis, program->summary);
    for (int i = 0; i < program->count; i++) {
        const cli_option *o = &program->options[i];
        char left[64], letter[8] = "    ";
        if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        if (strlen(left) > 28)
            printf("  %s\n%32s%s\n", left, "", o->help);
        else
            printf("  %-30s%s\n", left, o->help);
    }
    printf("  %-30s%s\n  %-30s%s\n", "    --help", "print this and exit", "    --version",
           "print the version and exit");
    printf("\nThe manual page %.*s(1) has examples and the exit statuses.\n",
           (int)strcspn(program->name, " "), program->name);
}

static bool parse_size(const char *text, uint64_t *bytes)
{
    char *end;
    errno = 0;
    double x = strtod(text, &end);
    const char *units = "KMGT", *unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    double scale = unit ? exp2(10.0 * (double)(unit - units + 1)) : 1;
    if (unit) end++;
    if (end[0] == 'i' && unit) end++;
    if (*end == 'B') end++;
    if (end == text || *end || errno || !(x >= 0) || x * scale > 0x1p62) return false;
    *bytes = (uint64_t)(x * scale);
    return true;
}

/* Store a value; exits with a usage message when it is malformed or out of range. */
static void store(const cli_option *o, const char *value)
{
    char *end = NULL;
    errno = 0;
    switch (o->type) {
    case CLI_FLAG:
        *(bool *)o->target = true;
        return;
    case CLI_OFF:
        *(bool *)o->target = false;
        return;
    case CLI_STRING:
        *(const char **)o->target = value;
        return;
    case CLI_INT: {
        long n = strtol(value, &end, 10);
        if (end == value || *end || errno || (double)n < o->low || (double)n > o->high) {
            exit(cli_usage("--%s takes a whole number from %.0f to %.0f, not \"%s\"", o->name, o->low,
                           o->high, value));
        }
        *(long *)o->target = n;
        return;
    }
    case CLI_REAL: {
        double x = strtod(value, &end);
        if (end == value || *end || errno || !(x >= o->low && x <= o->high)) {
            exit(cli_usage("--%s takes a number from %g to %g, not \"%s\"", o->name, o->low, o->high, value));
        }
        *(double *)o->target = x;
        return;
    }
    case CLI_SIZE:
        if (!parse_size(value, o->target) || (double)*(uint64_t *)o->target < o->low) {
            exit(cli_usage("--%s takes a size such as 800M or 12G, not \"%s\"", o->name, value));
        }
        return;
    }
}

static const cli_option *find_long(const cli_program *program, const char *name, size_t length)
{
    for (int i = 0; i < program->count; i++) {
        const cli_option *o = &program->options[i];
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0) return o;
    }
    return NULL;
}

static const cli_option *find_letter(const cli_program *program, char letter)
{
    for (int i = 0; i < program->count; i++) {
        if (program->options[i].letter == letter) return &program->options[i];
    }
    return NULL;
}

static const char *next_value(const cli_option *o, int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) exit(cli_usage("--%s needs a value: --%s %s", o->name, o->name, o->argument));
    return argv[++*i];
}

static void parse_long(const cli_program *program, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    if (strcmp(name, "help") == 0) {
        print_help(program);
        exit(fflush(stdout) ? CLI_OUTPUT : CLI_OK);
    }
    if (strcmp(name, "version") == 0) {
        printf("%s %s\n", program->name, DSVL_VERSION);
        exit(fflush(stdout) ? CLI_OUTPUT : CLI_OK);
    }
    const cli_option *o = find_long(program, name, equals ? (size_t)(equals - name) : strlen(name));
    if (!o) exit(cli_usage("there is no option %s", argv[*i]));
    if (o->argument)
        store(o, equals ? equals + 1 : next_value(o, argc, argv, i));
    else if (equals)
        exit(cli_usage("--%s takes no value", o->name));
    else
        store(o, NULL);
}

static void parse_letters(const cli_program *program, int argc, char **argv, int *i)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const cli_option *o = find_letter(program, *p);
        if (!o) exit(cli_usage("there is no option -%c", *p));
        if (o->argument) {
            store(o, p[1] ? p + 1 : next_value(o, argc, argv, i));
            return;
        }
        store(o, NULL);
    }
}

int cli_parse(const cli_program *program, int argc, char **argv)
{
    program_name = program->name;
    signal(SIGPIPE, SIG_IGN);
    int operands = 0;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        bool dash = options && argv[i][0] == '-' && argv[i][1];
        if (dash && strcmp(argv[i], "--") == 0)
            options = false;
        else if (dash && argv[i][1] == '-')
            parse_long(program, argc, argv, &i);
        else if (dash)
            parse_letters(program, argc, argv, &i);
        else
            argv[operands++] = argv[i];
    }
    if (cli_log_format && cli_log_choose(cli_log_format)) exit(CLI_USAGE);
    if (cli_metrics && cli_metrics_begin(cli_metrics, program->name)) {
        cli_error("cannot write the metrics to %s: %s", cli_metrics, strerror(errno));
        exit(CLI_OUTPUT);
    }
    dsvl_alloc_limit(cli_max_memory);
    return operands;
}

/* ---- progress ---- */

double cli_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Whether standard output goes to another program, which shows progress itself, or to the terminal, where the
 * results are the progress. */
static bool shows_output(void)
{
    struct stat out;
    return isatty(STDOUT_FILENO) ||
           (fstat(STDOUT_FILENO, &out) == 0 && (S_ISFIFO(out.st_mode) || S_ISSOCK(out.st_mode)));
}

void cli_progress(const char *unit, size_t done, size_t total)
{
    static double begun, drawn;
    static int terminal = -1;
    static char name[32];
    snprintf(name, sizeof name, "%s_total", unit);
    cli_count_set(name, NULL, done);
    cli_metrics_tick();
    if (terminal < 0) terminal = isatty(STDERR_FILENO) && !shows_output();
    if (!terminal || cli_quiet) return;
    double now = cli_seconds();
    if (begun == 0) begun = now;
    if (now - drawn < 0.25 && done != total) return;
    drawn = now;
    double rate = now > begun ? (double)done / (now - begun) : 0;
    char left[48] = "";
    if (total > done && rate > 0) {
        long seconds = (long)ceil((double)(total - done) / rate);
        snprintf(left, sizeof left, ", %ld:%02ld:%02ld left", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
    }
    char of[32] = "";
    if (total) snprintf(of, sizeof of, "/%zu", total);
    fprintf(stderr, "\r\033[K%s: %zu%s %s, %.2f/s%s", program_name, done, of, unit, rate, left);
    progress_shown = true;
}

void cli_progress_end(void)
{
    if (!progress_shown) return;
    fprintf(stderr, "\r\033[K");
    progress_shown = false;
}

/* ---- filters over records ---- */

static const char *stage_of(const cli_program *program)
{
    return strncmp(program->name, "dsvl-", 5) == 0 ? program->name + 5 : program->name;
}

int cli_stamp(const cli_program *program, dsvl_record *record, const char *settings, double seconds,
              dsvl_error *err)
{
    char text[1024];
    snprintf(text, sizeof text, "%s %s%s%s", program->name, DSVL_VERSION, *settings ? " " : "", settings);
    if (dsvl_record_append(record, DSVL_KEY_MADE_BY, "; ", text, err)) return -1;
    snprintf(text, sizeof text, "%s=%.4f", stage_of(program), seconds);
    return dsvl_record_append(record, DSVL_KEY_SECONDS, " ", text, err);
}

struct cli_sink {
    const cli_program *program;
    dsvl_writer *writer;
    const char *kind;
    cli_step_fn change; /* in place; or NULL and */
    cli_expand_fn expand;
    void *user;
};

int cli_emit(cli_sink *sink, const dsvl_record *record, dsvl_error *err)
{
    return dsvl_writer_put(sink->writer, record, err);
}

/* One record through the step and on; a failure of the page becomes an error record, which is counted. */
static int filter_record(cli_sink *sink, dsvl_record *record, dsvl_error *err)
{
    dsvl_error page = {0};
    if (sink->kind && !dsvl_record_is(record, sink->kind)) return cli_emit(sink, record, err);
    int status = sink->change ? sink->change(sink->user, record, &page)
                              : sink->expand(sink->user, record, sink, &page);
    if (status == 0) return sink->change ? cli_emit(sink, record, err) : 0;
    if (page.code == DSVL_E_IO) {
        *err = page;
        return -1;
    }
    cli_page_failed("%s", page.message);
    return dsvl_record_to_error(record, stage_of(sink->program), &page, err) || cli_emit(sink, record, err)
               ? -1
               : 0;
}

static int filter_all(cli_sink *sink, cli_input *input)
{
    dsvl_error err = {0};
    dsvl_record *record = NULL;
    size_t done = 0;
    sink->writer = dsvl_writer_new(STDOUT_FILENO, "standard output", &err);
    int more = sink->writer ? 1 : -1;
    while (more == 1 && (more = cli_input_next(input, &record, &err)) == 1) {
        if (filter_record(sink, record, &err)) more = -1;
        dsvl_record_free(record);
        record = NULL;
        cli_progress("pages", ++done, 0);
    }
    /* A stream that is cut short must not look whole: no end record then. */
    if (more == 0 && dsvl_writer_end(sink->writer, &err)) more = -1;
    cli_progress_end();
    int status = more < 0 ? cli_fail(&err) : dsvl_writer_count(sink->writer, "error") ? CLI_PARTIAL : CLI_OK;
    dsvl_writer_free(sink->writer);
    return status;
}

int cli_filter(const cli_program *program, cli_input *input, const char *kind, cli_step_fn step, void *user)
{
    cli_sink sink = {.program = program, .kind = kind, .change = step, .user = user};
    return filter_all(&sink, input);
}

int cli_expand(const cli_program *program, cli_input *input, const char *kind, cli_expand_fn step, void *user)
{
    cli_sink sink = {.program = program, .kind = kind, .expand = step, .user = user};
    return filter_all(&sink, input);
}
