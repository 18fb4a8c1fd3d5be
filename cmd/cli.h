/* SPDX-License-Identifier: Apache-2.0 */
/* What every program does alike: options, messages, progress, input files, exit statuses. This is the only
 * code that prints or decides how a program ends. */
#ifndef DSVL_CMD_CLI_H
#define DSVL_CMD_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/dsvl.h"
#include "lib/record.h"

/* Exit statuses, as the EXIT STATUS table of every manual page has them. */
enum {
    CLI_OK = 0,
    CLI_PARTIAL = 1,  /* some documents or pages failed; each left an error record or line */
    CLI_USAGE = 2,    /* the command line is wrong */
    CLI_MODEL = 3,    /* the model folder cannot be used */
    CLI_INPUT = 4,    /* the input stream or list is unreadable, malformed or cut short */
    CLI_OUTPUT = 5,   /* output cannot be written: disk full, reader gone */
    CLI_RESOURCE = 6, /* out of memory or over a stated limit */
    CLI_INTERNAL = 7, /* a fault of dsvl's own: please report it */
};
int cli_status(dsvl_code code);

typedef enum cli_type {
    CLI_FLAG,   /* bool *: set to true */
    CLI_OFF,    /* bool *: set to false (--no-...) */
    CLI_STRING, /* const char ** */
    CLI_INT,    /* long *, in [low, high] */
    CLI_REAL,   /* double *, in [low, high] */
    CLI_SIZE,   /* uint64_t *, at least low: with K, M, G, T for powers of 1024 */
} cli_type;

typedef struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    cli_type type;
    void *target;
    const char *argument; /* "DIR" in the help; NULL for flags */
    const char *help;     /* one line */
    double low, high;
} cli_option;

typedef struct cli_program {
    const char *name;     /* "dsvl-tile" */
    const char *synopsis; /* "[OPTION...] [FILE...]" */
    const char *summary;  /* what it does, one or two lines */
    const cli_option *options;
    int count;
} cli_program;

/* Options every program has; put CLI_COMMON into the table. */
extern bool cli_quiet, cli_verbose;
extern const char *cli_log_format, *cli_metrics;
#define CLI_COMMON                                                                                           \
    {"log-format",                                                                                           \
     0,                                                                                                      \
     CLI_STRING,                                                                                             \
     &cli_log_format,                                                                                        \
     "FORMAT",                                                                                               \
     "messages as text (default) or json, an object a line",                                                 \
     0,                                                                                                      \
     0},                                                                                                     \
        {"metrics",  0,                                                                                      \
         CLI_STRING, &cli_metrics,                                                                           \
         "FILE",     "keep counts and times of the run in FILE, for Prometheus",                             \
         0,          0},                                                                                     \
        {"quiet", 'q', CLI_FLAG, &cli_quiet, NULL, "print errors only", 0, 0},                               \
    {                                                                                                        \
        "verbose", 'v', CLI_FLAG, &cli_verbose, NULL, "say what is being done", 0, 0                         \
    }

/* For programs that make no plan by it: what would exceed the limit fails, and with it the page. */
extern uint64_t cli_max_memory;
#define CLI_MEMORY                                                                                           \
    {                                                                                                        \
        "max-memory", 0, CLI_SIZE, &cli_max_memory, "SIZE",                                                  \
            "limit of the working memory: a page that needs more fails", 0, 0                                \
    }

/* Parse options (GNU style: --name=VALUE, --name VALUE, -nVALUE, "--" ends them; operands may stand between),
 * in place: argv[0 .. result) are the operands. --help and --version print to standard output and exit 0; a
 * mistake prints what is wrong to standard error and exits 2. Also sets up what a program needs: SIGPIPE is
 * ignored, so that a closed pipe is an error like any other. */
int cli_parse(const cli_program *program, int argc, char **argv);

/* Messages on standard error: "dsvl-tile: report.pdf, page 3: ...", or a JSON object with time, level,
 * program and message. cli_error always, cli_warn unless --quiet, cli_note with --verbose. */
#if defined(__GNUC__)
#define CLI_PRINTF __attribute__((format(printf, 1, 2)))
#else
#define CLI_PRINTF
#endif
CLI_PRINTF void cli_error(const char *format, ...);
CLI_PRINTF void cli_warn(const char *format, ...);
CLI_PRINTF void cli_note(const char *format, ...);
CLI_PRINTF void cli_info(const char *format, ...); /* what an option asked for, such as --stats: always */
/* A page or document that failed: says so as cli_error does, and counts it. */
CLI_PRINTF void cli_page_failed(const char *format, ...);
/* --log-format, where cli_parse does not read it: CLI_OK or CLI_USAGE. */
int cli_log_choose(const char *format);
/* --activations: its option and, after parsing, its value; false: it is none, and that has been said. */
#define CLI_ACTIVATIONS(target)                                                                              \
    {                                                                                                        \
        "activations", 0, CLI_STRING, target, "TYPE",                                                        \
            "f32 (default) or int8: faster on quantized models, with a loss", 0, 0                           \
    }
bool cli_activations(const char *type, bool *int8);
/* Records are not written to a terminal: CLI_USAGE there, with the name of the program that they are for. */
int cli_check_output(const char *next);
/* Print the error and return its exit status, so that `return cli_fail(&err)` ends a program. */
int cli_fail(const dsvl_error *err);
/* A usage mistake found after parsing: prints it with a hint at --help and returns CLI_USAGE. */
CLI_PRINTF int cli_usage(const char *format, ...);

/* Progress on standard error when that is a terminal, --quiet was not given and standard output is a file, so
 * that in a pipeline the last program alone shows it: done, rate, time left (total 0: not known). Calls are
 * cheap; lines are drawn a few times a second. */
void cli_progress(const char *unit, size_t done, size_t total);
void cli_progress_end(void);

/* Counters of --metrics, "dsvl_NAME{label}": name as in "tiles_total", label as in "result=\"encoded\"" or
 * NULL; both stay the caller's and must last. cli_progress counts its unit ("pages_total"). */
void cli_count(const char *name, const char *label, uint64_t n);     /* adds n */
void cli_count_set(const char *name, const char *label, uint64_t n); /* the count is n */

double cli_seconds(void); /* monotonic clock */

/* The model folder that -m names, or the embedded model's where it names none (NULL). Owned (dsvl_free). */
char *cli_model_folder(const char *given, dsvl_error *err);
/* The same, opened; --verbose says how long it took. */
dsvl_model *cli_model_open(const char *given, unsigned parts, const dsvl_options *options, dsvl_error *err);

/* The records of the files given, or of standard input when there are none ("-" is standard input too). */
typedef struct cli_input cli_input;
cli_input *cli_input_new(char **files, int count, dsvl_error *err);
void cli_input_free(cli_input *input);
int cli_input_next(cli_input *input, dsvl_record **record,
                   dsvl_error *err);          /* 1, 0, -1 as dsvl_reader_next */
bool cli_input_ready(const cli_input *input); /* the next record can be read without waiting */
/* The reader of the file now open, for programs that look at its first bytes (dsvl_reader_peek); NULL at the
 * end. cli_input_skip closes it, after which the next file is opened. */
dsvl_reader *cli_input_reader(cli_input *input, dsvl_error *err);
const char *cli_input_name(const cli_input *input);
void cli_input_skip(cli_input *input);

/* A filter over records: every record of `kind` goes through `step`, which changes it in place or fills *err;
 * a record that fails becomes an error record; everything else passes through untouched; the stream is closed
 * with its end record. Returns the program's exit status. step may be called with any kind if kind is NULL.
 */
typedef int (*cli_step_fn)(void *user, dsvl_record *record, dsvl_error *err);
int cli_filter(const cli_program *program, cli_input *input, const char *kind, cli_step_fn step, void *user);

/* The same for a step that makes any number of records of one: it hands each to cli_emit; the record that it
 * was given does not go on. */
typedef struct cli_sink cli_sink;
typedef int (*cli_expand_fn)(void *user, dsvl_record *record, cli_sink *sink, dsvl_error *err);
int cli_emit(cli_sink *sink, const dsvl_record *record, dsvl_error *err);
int cli_expand(const cli_program *program, cli_input *input, const char *kind, cli_expand_fn step,
               void *user);

/* Stamp a record as this stage leaves it: made_by ("dsvl-tile 0.1.0 --per=page") and seconds ("tile=0.004").
 * settings holds what changes the result, "" when nothing does. */
int cli_stamp(const cli_program *program, dsvl_record *record, const char *settings, double seconds,
              dsvl_error *err);

#endif
