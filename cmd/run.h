/* SPDX-License-Identifier: Apache-2.0 */
/* `dsvl run`: a list of documents into one JSON Lines file each, at most once, whatever happens on the way.
 */
#ifndef DSVL_CMD_RUN_H
#define DSVL_CMD_RUN_H

#include <jansson.h>
#include <sys/types.h>

#include "cmd/cli.h"

/* What `dsvl ask` makes of an option: -1: unknown, 0: it stands alone, 1: a value follows. */
typedef int (*run_option_fn)(const char *argument);
int run_main(int argc, char **argv, run_option_fn ask_option);

/* ---- the files of a document (run_files.c) ---- */

/* OUT/a/b.pdf.jsonl for the document a/b.pdf, and with `state` OUT/.dsvl/state/a/b.pdf.json. Different paths
 * have different names, and no name leads out of OUT. Owned; NULL: out of memory. */
char *run_path(const char *out, const char *document, bool state);
/* Make the folders that a file stands in. */
int run_make_folders(const char *path, dsvl_error *err);
/* Replace a file at once by these bytes. */
int run_write_file(const char *path, const char *bytes, size_t length, dsvl_error *err);
/* Flush an open file and rename it into its place. */
int run_publish(int file, const char *from, const char *to, dsvl_error *err);

/* What a document was when it was processed, and what came of it. */
typedef struct run_facts {
    char hash[65]; /* of its bytes; "": it cannot be read */
    long long size, mtime;
} run_facts;
void run_facts_of(run_facts *facts, const char *document, const json_t *state);

/* The state file of a document, if its output is there and document and settings are the same; else NULL. */
json_t *run_find_state(const char *out, const char *document, const char *settings);

/* ---- one document on its way (run_job.c) ---- */

typedef struct run_counts {
    size_t answers, pages, errors, loops, timeouts;
} run_counts;

typedef struct run_job {
    char *document; /* borrowed; NULL: the job is free */
    char *output, *part;
    pid_t pid;
    int pipe, file;
    char *line; /* what came of the next line */
    size_t length, capacity;
    long long page; /* of the last line */
    run_facts facts;
    run_counts counts;
    char cause[64]; /* of the first failure */
    bool stopped;   /* we ended it */
} run_job;

/* Take the document's output for ourselves. 1: it is ours, 0: another process is at it, -1: error. */
int run_job_claim(run_job *job, char *document, const char *out, dsvl_error *err);
/* Start `dsvl ask` with these arguments (NULL at the end). */
int run_job_start(run_job *job, char *const *arguments, dsvl_error *err);
/* Take what the pipeline has written. 1: at least one line was finished, 0: none was, 2: that was all. */
int run_job_read(run_job *job, dsvl_error *err);
/* Wait for the pipeline; its exit status, 128 + N when signal N ended it. */
int run_job_wait(run_job *job);
void run_job_stop(run_job *job, int signal);
/* The document's lines are complete: put them in their place and note what came of it. */
int run_job_finish(run_job *job, const char *out, const char *settings, int status, dsvl_error *err);
void run_job_clear(run_job *job); /* drops what is unfinished */

#endif
