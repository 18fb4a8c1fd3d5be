/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/run.h"
#include "lib/alloc.h"

enum { LINE_LIMIT = 1 << 30 }; /* bytes of one answer: far more than any context holds */

/* ---- claiming ---------------------------------------------------------------------------------------- */

/* Open and lock the unfinished output; a lock on a file that has since been renamed away is none. */
static int lock_part(run_job *job, dsvl_error *err)
{
    for (;;) {
        struct stat ours, there;
        job->file = open(job->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (job->file < 0)
            return dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", job->part, strerror(errno));
        if (flock(job->file, LOCK_EX | LOCK_NB)) {
            const int cause = errno;
            close(job->file);
            job->file = -1;
            if (cause == EWOULDBLOCK) return 0;
            return dsvl_fail(err, DSVL_E_IO, "%s: cannot lock: %s", job->part, strerror(cause));
        }
        if (fstat(job->file, &ours) == 0 && stat(job->part, &there) == 0 && ours.st_ino == there.st_ino) {
            if (ftruncate(job->file, 0) == 0) return 1;
            return dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", job->part, strerror(errno));
        }
        close(job->file);
    }
}

int run_job_claim(run_job *job, char *document, const char *out, dsvl_error *err)
{
    memset(job, 0, sizeof *job);
    job->pipe = job->file = -1;
    job->document = document;
    job->output = run_path(out, document, false);
    const size_t room = job->output ? strlen(job->output) + 8 : 0;
    job->part = room ? dsvl_alloc(room, 1) : NULL;
    int status = -1;
    if (!job->part) {
        dsvl_fail_memory(err, room);
    } else {
        snprintf(job->part, room, "%s.part", job->output);
        status = run_make_folders(job->part, err) ? -1 : lock_part(job, err);
    }
    if (status == 1) {
        run_facts_of(&job->facts, document, NULL);
        return 1;
    }
    if (job->file >= 0) close(job->file);
    job->file = -1;
    run_job_clear(job);
    return status;
}

/* ---- the pipeline ------------------------------------------------------------------------------------ */

int run_job_start(run_job *job, char *const *arguments, dsvl_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return dsvl_fail(err, DSVL_E_IO, "cannot make a pipe: %s", strerror(errno));
    const pid_t parent = getpid();
    job->pid = fork();
    if (job->pid == 0) {
        /* A group of its own: a terminal's Ctrl-C is for us to deal with. It does not outlive us. */
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) _exit(CLI_INTERNAL);
        int nothing = open("/dev/null", O_RDONLY);
        dup2(nothing, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        execv("/proc/self/exe", arguments);
        _exit(CLI_INTERNAL);
    }
    close(ends[1]);
    if (job->pid < 0) {
        close(ends[0]);
        job->pid = 0;
        return dsvl_fail(err, DSVL_E_LIMIT, "cannot start a process: %s", strerror(errno));
    }
    setpgid(job->pid, job->pid); /* whoever comes first */
    job->pipe = ends[0];
    return 0;
}

int run_job_wait(run_job *job)
{
    int raw = 0;
    while (waitpid(job->pid, &raw, 0) < 0 && errno == EINTR) continue;
    job->pid = 0;
    return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

void run_job_stop(run_job *job, int signal)
{
    job->stopped = true;
    if (job->pid > 0) kill(-job->pid, signal);
}

/* ---- lines ------------------------------------------------------------------------------------------- */

static void note_cause(run_job *job, const char *cause)
{
    if (!job->cause[0]) snprintf(job->cause, sizeof job->cause, "%s", cause);
}

static void count_line(run_job *job, const char *line, size_t length)
{
    json_t *object = json_loadb(line, length, 0, NULL);
    const char *reason = json_string_value(json_object_get(object, "finish_reason"));
    const char *stage = json_string_value(json_object_get(object, "stage"));
    const long long page = (long long)json_integer_value(json_object_get(object, "page"));
    job->counts.pages += page != job->page;
    job->page = page;
    if (!reason || strcmp(reason, "error") == 0) {
        job->counts.errors++;
        note_cause(job, stage ? stage : "error");
    } else {
        const bool loop = strcmp(reason, "loop") == 0, late = strcmp(reason, "timeout") == 0;
        job->counts.answers++;
        job->counts.loops += loop;
        job->counts.timeouts += late;
        if (loop || late) note_cause(job, reason);
    }
    json_decref(object);
}

static int append(run_job *job, const char *bytes, size_t length, dsvl_error *err)
{
    while (length) {
        ssize_t n = write(job->file, bytes, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", job->part, strerror(errno));
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

int run_job_read(run_job *job, dsvl_error *err)
{
    void *line = job->line;
    if (job->length > LINE_LIMIT)
        return dsvl_fail(err, DSVL_E_INTERNAL, "%s: an answer has no end", job->document);
    if (!dsvl_grow(&line, &job->capacity, job->length + 65536, 1))
        return dsvl_fail_memory(err, job->length + 65536);
    job->line = line;
    ssize_t n = read(job->pipe, job->line + job->length, 65536);
    if (n < 0) return errno == EINTR || errno == EAGAIN ? 0 : 2;
    if (n == 0) return 2;
    job->length += (size_t)n;
    size_t whole = 0;
    for (char *end; (end = memchr(job->line + whole, '\n', job->length - whole));) {
        const size_t length = (size_t)(end + 1 - (job->line + whole));
        count_line(job, job->line + whole, length);
        whole += length;
    }
    if (append(job, job->line, whole, err)) return -1;
    memmove(job->line, job->line + whole, job->length - whole);
    job->length -= whole;
    return whole > 0;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* A pipeline that broke down may have lost pages: a line of the output says so. */
static int append_failure(run_job *job, int status, dsvl_error *err)
{
    char message[200];
    if (status > 128)
        snprintf(message, sizeof message, "the pipeline was ended by signal %d after %zu answers",
                 status - 128, job->counts.answers);
    else
        snprintf(message, sizeof message, "the pipeline ended with status %d after %zu answers: see the log",
                 status, job->counts.answers);
    char *name = dsvl_utf8(job->document, strlen(job->document));
    json_t *o = json_pack("{s:s, s:n, s:s, s:s, s:s}", "document", name ? name : "", "page", "finish_reason",
                          "error", "stage", "run", "error", message);
    char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
    int result = line ? append(job, line, strlen(line), err) || append(job, "\n", 1, err)
                      : dsvl_fail_memory(err, sizeof message);
    free(line);
    json_decref(o);
    dsvl_dealloc(name);
    job->counts.errors++;
    note_cause(job, status == CLI_RESOURCE ? "resources" : status == CLI_INPUT ? "input" : "crash");
    return result ? -1 : 0;
}

static int write_state(const run_job *job, const char *out, const char *settings, dsvl_error *err)
{
    struct stat info;
    char *path = run_path(out, job->document, true);
    char *name = dsvl_utf8(job->document, strlen(job->document));
    const run_counts *c = &job->counts;
    json_t *state =
        fstat(job->file, &info) || !path || !name
            ? NULL
            : json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "document", name,
                        "document_hash", job->facts.hash, "size", (json_int_t)job->facts.size, "mtime",
                        (json_int_t)job->facts.mtime, "settings", settings, "outcome",
                        job->cause[0] ? "failed" : "done", "cause", job->cause, "bytes",
                        (json_int_t)info.st_size, "pages", (json_int_t)c->pages, "answers",
                        (json_int_t)c->answers, "errors", (json_int_t)c->errors);
    char *text = state ? json_dumps(state, JSON_INDENT(1)) : NULL;
    int status = text ? run_make_folders(path, err) : dsvl_fail_memory(err, 1024);
    if (status == 0) status = run_write_file(path, text, strlen(text), err);
    free(text);
    json_decref(state);
    dsvl_dealloc(name);
    dsvl_dealloc(path);
    return status;
}

int run_job_finish(run_job *job, const char *out, const char *settings, int status, dsvl_error *err)
{
    if (status > CLI_PARTIAL && append_failure(job, status, err)) return -1;
    if (run_publish(job->file, job->part, job->output, err)) return -1;
    return write_state(job, out, settings, err);
}

void run_job_clear(run_job *job)
{
    if (job->pid > 0) {
        run_job_stop(job, SIGKILL);
        run_job_wait(job);
    }
    if (job->pipe >= 0) close(job->pipe);
    if (job->file >= 0) {
        struct stat ours, there; /* once published, the part is gone */
        if (fstat(job->file, &ours) == 0 && stat(job->part, &there) == 0 && ours.st_ino == there.st_ino)
            unlink(job->part);
        close(job->file);
    }
    dsvl_dealloc(job->output);
    dsvl_dealloc(job->part);
    dsvl_dealloc(job->line);
    memset(job, 0, sizeof *job);
    job->pipe = job->file = -1;
}
