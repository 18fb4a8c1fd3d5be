/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every document in a process of its own, inside a jail. What it sends is written here; if it ends before its
 * document does, the page it was at becomes an error record and another process goes on behind that page. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/rasterize.h"
#include "filters/fonts.h"
#include "filters/jail.h"
#include "lib/alloc.h"

#ifndef POPPLER_DATADIR
#define POPPLER_DATADIR "/usr/share/poppler"
#endif
/* Failed pages in a row after which the rest of a document is given up; and by how much longer than its
 * processor time a process may take by the clock, which runs on while it waits for a disk or a busy machine.
 */
enum { FAILURES_IN_A_ROW = 10, CLOCK_FACTOR = 10 };

typedef struct request {
    long first; /* position in the list of pages to begin at */
} request;

/* What a process may open. PICTURE and PDF: nothing. When a PDF wants a font that is not embedded, or one of
 * Poppler's tables, it begins again in a jail of the last kind, and so do all documents after it. */
enum { PICTURE, PDF, PDF_AND_FONTS, PROFILES };

struct rasterize_jail {
    dsvl_launcher *launcher;
    dsvl_page_channel *channel;
    rasterize_job job;          /* as it was when the launcher was forked; its processes read this */
    dsvl_jail *cells[PROFILES]; /* in the launcher */
    dsvl_error closed;          /* in a process: why it could not be jailed */
    bool warm;                  /* it has had its memory */
    int document;               /* the open descriptor; -1: none is begun */
    int profile, input;         /* of its process; what it sends, -1: it has none yet */
    request request;
    double spent;           /* processor seconds of the document, in the processes before this one */
    double mark, marked_at; /* of this one when its last record came; and when that was */
};

/* ---- in the launcher and its processes ---- */

static int prepare(void *user, int profile, dsvl_error *err)
{
    rasterize_jail *jail = user;
    dsvl_jail **cell = &jail->cells[profile];
    if (*cell) return 0;
    /* These open files when they are first used: the zone for dates, and the seed of tables of records. */
    tzset();
    dsvl_record_free(dsvl_record_new("opened", NULL));
    if (profile != PICTURE) dsvl_source_pdf_prepare();
    size_t count = 0;
    char **fonts = profile == PDF_AND_FONTS ? dsvl_font_paths(&count) : NULL;
    const char **paths = dsvl_alloc(count + 1, sizeof *paths);
    if (paths) {
        for (size_t i = 0; i < count; i++) paths[i] = fonts[i];
        paths[count] = POPPLER_DATADIR;
        *cell = dsvl_jail_new(paths, profile == PDF_AND_FONTS ? count + 1 : 0, err);
    } else {
        dsvl_fail_memory(err, count);
    }
    dsvl_dealloc(paths);
    dsvl_font_paths_free(fonts, count);
    return *cell ? 0 : -1;
}

static void settle(void *user, int profile)
{
    rasterize_jail *jail = user;
    uint64_t seconds = (uint64_t)jail->job.limits.document_seconds + 60; /* the program looks at finer ones */
    if (dsvl_page_channel_settle(jail->channel, profile != PICTURE)) {
        dsvl_fail_memory(&jail->closed, 0);
        return;
    }
    dsvl_jail_enter(jail->cells[profile], jail->job.limits.memory, seconds,
                    dsvl_page_channel_call(jail->channel), &jail->closed);
}

typedef struct sender {
    dsvl_page_channel *channel;
    long position, first;
} sender;

static int send_opened(void *user, const char *format, long pages, dsvl_error *err)
{
    const sender *s = user;
    dsvl_record *record = dsvl_record_new("opened", err);
    if (!record) return -1;
    if (dsvl_record_set(record, "format", format, err) ||
        dsvl_record_setf(record, DSVL_KEY_PAGES, err, "%ld", pages)) {
        dsvl_record_free(record);
        return -1;
    }
    return dsvl_page_channel_put_take(s->channel, record, err);
}

static bool send_begin(void *user, long page)
{
    sender *s = user;
    if (s->position++ < s->first) return false;
    dsvl_page_channel_begin(s->channel, s->position - 1, page);
    return true;
}

static int send_page_take(void *user, dsvl_record *record, dsvl_error *err)
{
    const sender *s = user;
    return dsvl_page_channel_put_take(s->channel, record, err);
}

static int send_failed(void *user, const dsvl_page_origin *origin, const dsvl_error *cause, dsvl_error *err)
{
    const sender *s = user;
    dsvl_record *record = dsvl_page_record_failed(origin, "rasterize", cause, err);
    if (!record) return -1;
    if (dsvl_record_setf(record, "code", err, "%d", (int)cause->code)) {
        dsvl_record_free(record);
        return -1;
    }
    return dsvl_page_channel_put_take(s->channel, record, err);
}

/* From here on nothing is trusted. The document is not closed: the process ends, and what it holds with it.
 */
static void run(void *user, const void *data, int document, int output)
{
    rasterize_jail *jail = user;
    const request *r = data;
    sender s = {jail->channel, 0, r->first};
    const rasterize_results results = {send_opened, send_begin, send_page_take, send_failed, &s};
    const dsvl_page_origin origin = {"", 0, 0};
    dsvl_bytes bytes;
    dsvl_error cause = jail->closed, ignored = {0};
    if (dsvl_page_channel_send(jail->channel, output, &ignored)) return;
    jail->job.render.pool = dsvl_page_channel_pool(jail->channel);
    int status = cause.code || dsvl_bytes_map(&bytes, document, &cause)
                     ? send_failed(&s, &origin, &cause, &ignored)
                     : rasterize_bytes(&jail->job, &bytes, &results, &ignored);
    if (status == 0) dsvl_page_channel_end(jail->channel, &ignored);
    _exit(status ? 1 : 0);
}

/* ---- in the program: watching ---- */

static double seconds_of(const rasterize_jail *jail)
{
    return dsvl_launcher_seconds(jail->launcher);
}

/* Limits of time count while the program waits, and not while its own output is held up. */
static int check_time(void *user, dsvl_error *err)
{
    const rasterize_jail *jail = user;
    const rasterize_limits *limits = &jail->job.limits;
    double used = seconds_of(jail), waited = cli_seconds() - jail->marked_at;
    if (used - jail->mark > limits->page_seconds)
        return dsvl_fail(err, DSVL_E_LIMIT,
                         "more than %g s of processor time: the limit of a page (--max-page-seconds)",
                         limits->page_seconds);
    if (jail->spent + used > limits->document_seconds)
        return dsvl_fail(err, DSVL_E_LIMIT,
                         "more than %g s of processor time: the limit of a document (--max-document-seconds)",
                         limits->document_seconds);
    if (waited > CLOCK_FACTOR * limits->page_seconds)
        return dsvl_fail(err, DSVL_E_LIMIT,
                         "nothing came for %g s, ten times the limit of a page (--max-page-seconds)",
                         CLOCK_FACTOR * limits->page_seconds);
    return 0;
}

static void mark_progress(rasterize_jail *jail)
{
    double used = seconds_of(jail);
    if (used > jail->mark) jail->mark = used;
    jail->marked_at = cli_seconds();
}

/* ---- in the program: what comes ---- */

static int take_record(rasterize_job *j, dsvl_record *record, dsvl_error *err)
{
    dsvl_error cause = {0};
    long page = 0, pages = 0, code = DSVL_E_INPUT;
    int status = 0;
    dsvl_record_int(record, DSVL_KEY_PAGE, 1, INT32_MAX, &page, NULL);
    dsvl_record_int(record, DSVL_KEY_PAGES, 1, INT32_MAX, &pages, NULL);
    if (dsvl_record_is(record, "page")) return rasterize_written.page_take(j, record, err);
    if (dsvl_record_is(record, "opened")) {
        const char *format = dsvl_record_get(record, "format");
        status = rasterize_written.opened(j, format ? format : "", pages, err);
    } else if (dsvl_record_is(record, "error")) {
        const dsvl_page_origin origin = {"", page, pages};
        const char *message = dsvl_record_get(record, DSVL_KEY_MESSAGE);
        dsvl_record_int(record, "code", DSVL_E_USAGE, DSVL_E_INTERNAL, &code, NULL);
        dsvl_fail(&cause, (dsvl_code)code, "%s", message ? message : "no message");
        status = rasterize_written.failed(j, &origin, &cause, err);
    }
    dsvl_record_free(record);
    return status;
}

/* All that one process sends. 0: the document is through, or no more of it is wanted; 1: the process ended or
 * was given up before that, and *cause may say why; -1: output fails. *pages counts what came. */
static int take_records(rasterize_jail *jail, rasterize_job *j, size_t *pages, dsvl_error *cause,
                        dsvl_error *err)
{
    for (;;) {
        dsvl_record *record = NULL;
        int more = dsvl_page_channel_next(jail->channel, &record, cause);
        if (more <= 0) return more ? 1 : 0;
        mark_progress(jail);
        if (dsvl_record_is(record, "page")) ++*pages;
        int status = take_record(j, record, err);
        if (status) return status < 0 ? -1 : 0;
        if (jail->spent + jail->mark > jail->job.limits.document_seconds && check_time(jail, cause)) return 1;
    }
}

/* ---- in the program: how a process ended ---- */

static bool speaks_of_memory(const char *said)
{
    static const char *const words[] = {"bad_alloc", "ut of memory", "ailed to allocate", "annot allocate",
                                        "length_error"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(said, words[i])) return true;
    }
    return false;
}

/* Why a process ended that should not have; *cause keeps a limit of time that is there already. */
static void explain(const rasterize_jail *jail, const dsvl_launch_end *end, bool by_itself, dsvl_error *cause)
{
    int number = WIFSIGNALED(end->status) ? WTERMSIG(end->status) : 0;
    const char *colon = end->said[0] ? ": " : "", *name = number ? sigabbrev_np(number) : NULL;
    if (cause->code == DSVL_E_LIMIT) return;
    if (!by_itself) {
        dsvl_error_prefix(cause, "what its reader sends makes no sense: ");
        return;
    }
    *cause = (dsvl_error){0};
    if (number == SIGSYS) {
        char *call = dsvl_jail_call_name(*dsvl_page_channel_call(jail->channel));
        dsvl_fail(cause, DSVL_E_INPUT, "its reader was stopped at a forbidden system call (%s)",
                  call ? call : "unknown");
        dsvl_dealloc(call);
    } else if (number != SIGKILL && speaks_of_memory(end->said)) {
        dsvl_fail(cause, DSVL_E_MEMORY, "its reader needs more than %llu MiB of memory (--max-memory): %s",
                  (unsigned long long)(jail->job.limits.memory >> 20), end->said);
    } else if (number == SIGKILL) {
        dsvl_fail(cause, DSVL_E_MEMORY,
                  "its reader was killed from outside (SIGKILL), as the kernel does when memory runs out");
    } else if (number) {
        dsvl_fail(cause, DSVL_E_INPUT, "its reader crashed (SIG%s)%s%s", name ? name : "?", colon, end->said);
    } else {
        dsvl_fail(cause, DSVL_E_INPUT, "its reader gave up (exit status %d)%s%s", WEXITSTATUS(end->status),
                  colon, end->said);
    }
}

/* End the process, and where it stopped early say how it went. Returns as take_records. */
static int bury(rasterize_jail *jail, int status, dsvl_error *cause, dsvl_error *err)
{
    struct pollfd p = {.fd = jail->input};
    dsvl_launch_end end;
    bool by_itself = status == 1 && poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
    double used = seconds_of(jail);
    jail->input = -1; /* the channel closes it */
    jail->spent += used > jail->mark ? used : jail->mark;
    if (status != 1) return dsvl_launcher_end(jail->launcher, NULL, err) ? -1 : status;
    if (dsvl_launcher_end(jail->launcher, &end, err)) return -1;
    explain(jail, &end, by_itself, cause);
    return status;
}

/* ---- in the program: a document ---- */

static bool is_picture(int document)
{
    unsigned char begin[1024];
    ssize_t n = pread(document, begin, sizeof begin, 0);
    return n > 0 && dsvl_source_is_picture(begin, (size_t)n);
}

/* Have a process made ready for the work; it is not waited for. */
static int ask_for_process(rasterize_jail *jail, dsvl_error *err)
{
    dsvl_page_channel_reset(jail->channel);
    return dsvl_launcher_ask(jail->launcher, jail->profile, err);
}

/* Open a document. Where that fails no process is asked for, and who needs the document is told the cause. */
static int open_document(rasterize_jail *jail, const rasterize_job *j, const char *document,
                         dsvl_error *cause, dsvl_error *err)
{
    if (jail->document >= 0) return 0;
    jail->document = dsvl_document_open(document, DSVL_DOCUMENT_LIMIT, cause);
    if (jail->document < 0) return 0;
    jail->profile = j->fonts ? PDF_AND_FONTS : is_picture(jail->document) ? PICTURE : PDF;
    jail->request = (request){0};
    jail->spent = 0;
    return ask_for_process(jail, err);
}

/* Hand the work out, if there is any and it was not. */
static int start_process(rasterize_jail *jail, const rasterize_job *j, dsvl_error *err)
{
    if (jail->document < 0 || jail->input >= 0) return 0;
    jail->mark = 0;
    return dsvl_launcher_start(jail->launcher, jail->profile, &jail->request, jail->document, j->more,
                               &jail->input, err);
}

/* What a page is likely to have: A4. */
static size_t likely_pixels(const rasterize_job *j)
{
    const double long_side = j->render.scale_to ? (double)j->render.scale_to : j->render.dpi * 842 / 72;
    return (size_t)(long_side * long_side * 596 / 842);
}

/* What the first page needs here, while its process is made. */
static void have_memory(rasterize_jail *jail, const rasterize_job *j)
{
    jail->warm = true;
    dsvl_page_channel_warm(jail->channel);
    if (jail->profile != PICTURE) dsvl_page_pool_warm(j->render.pool, 3 * likely_pixels(j));
}

/* What one process has to say. 0: the document is through. 1: it is not, *cause says why. -1: output fails.
 */
static int run_process(rasterize_jail *jail, rasterize_job *j, size_t *pages, dsvl_error *cause,
                       dsvl_error *err)
{
    if (start_process(jail, j, err)) return -1;
    jail->marked_at = cli_seconds();
    int status =
        dsvl_page_channel_receive_take(jail->channel, jail->input, check_time, jail, j->render.pool, err);
    if (status == 0) status = take_records(jail, j, pages, cause, err);
    return bury(jail, status, cause, err);
}

/* The process wanted a file, which is no fault when it was jailed without any. */
static bool wants_fonts(const rasterize_jail *jail)
{
    char *call = jail->profile == PDF ? dsvl_jail_call_name(*dsvl_page_channel_call(jail->channel)) : NULL;
    bool wants = call && (strcmp(call, "openat") == 0 || strcmp(call, "open") == 0);
    dsvl_dealloc(call);
    return wants;
}

/* A page, or without one the document, failed with its process. 0: go on behind it. 1: leave the rest. -1:
 * output fails. */
static int process_failed(const rasterize_jail *jail, rasterize_job *j, const dsvl_page_place *place,
                          int failures, const dsvl_error *cause, dsvl_error *err)
{
    const dsvl_page_origin origin = {"", place->page, 0}, whole = {"", 0, 0};
    if (rasterize_written.failed(j, &origin, cause, err) < 0) return -1;
    if (place->page == 0 || jail->spent > jail->job.limits.document_seconds) return 1;
    if (failures < FAILURES_IN_A_ROW) return 0;
    dsvl_error rest = {0};
    dsvl_fail(&rest, DSVL_E_LIMIT, "%d pages in a row failed like this; those after page %ld are left out",
              failures, place->page);
    return rasterize_written.failed(j, &whole, &rest, err) < 0 ? -1 : 1;
}

/* Processes until the document is through. */
static int run_processes(rasterize_jail *jail, rasterize_job *j, dsvl_error *err)
{
    request *r = &jail->request;
    for (int failures = 0;;) {
        dsvl_error cause = {0};
        size_t pages = 0;
        int status = run_process(jail, j, &pages, &cause, err);
        if (status <= 0) return status;
        dsvl_page_place place = dsvl_page_channel_place(jail->channel);
        if (place.position < r->first || place.position >= INT32_MAX || place.page < 1)
            place = (dsvl_page_place){-1, 0};
        failures = pages ? 1 : failures + 1;
        if (wants_fonts(jail)) {
            j->fonts = true;
            jail->profile = PDF_AND_FONTS;
            r->first = place.position < r->first ? r->first : place.position;
        } else {
            status = process_failed(jail, j, &place, failures, &cause, err);
            if (status) return status < 0 ? -1 : 0;
            r->first = place.position + 1;
        }
        if (ask_for_process(jail, err)) return -1;
    }
}

/* Only files: with others nobody knows how long opening takes, or what it does. */
static bool is_file(const char *path)
{
    struct stat facts;
    return strcmp(path, "-") != 0 && stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
}

int rasterize_jailed(rasterize_jail *jail, rasterize_job *j, const char *document, rasterize_jail *other,
                     const char *next, dsvl_error *err)
{
    dsvl_error cause = {0}, later = {0};
    const dsvl_page_origin origin = {"", 0, 0};
    j->document = document;
    j->page = j->taken = 0;
    j->opened = false;
    if (open_document(jail, j, document, &cause, err)) return -1;
    if (next && is_file(next) && open_document(other, j, next, &later, err)) return -1;
    if (!jail->warm) have_memory(jail, j);
    if (start_process(jail, j, err) || (next && start_process(other, j, err))) return -1;
    if (jail->document < 0) return rasterize_written.failed(j, &origin, &cause, err) < 0 ? -1 : 0;
    int status = run_processes(jail, j, err);
    close(jail->document);
    jail->document = -1;
    return status;
}

rasterize_jail *rasterize_jail_new(const rasterize_job *job, dsvl_error *err)
{
    rasterize_jail *jail = dsvl_alloc_zero(1, sizeof *jail);
    if (!jail) {
        dsvl_fail_memory(err, sizeof *jail);
        return NULL;
    }
    jail->job = *job;
    jail->document = jail->input = -1;
    jail->channel = dsvl_page_channel_new(job->render.max_pixels, err);
    const dsvl_launch launch = {prepare, settle, run, jail, sizeof(request)};
    if (jail->channel) jail->launcher = dsvl_launcher_new(&launch, err);
    if (jail->launcher) {
        dsvl_page_channel_close(jail->channel);
        return jail;
    }
    rasterize_jail_free(jail);
    return NULL;
}

void rasterize_jail_stop(rasterize_jail *jail)
{
    if (jail) dsvl_launcher_stop(jail->launcher);
}

void rasterize_jail_free(rasterize_jail *jail)
{
    if (!jail) return;
    dsvl_launcher_free(jail->launcher);
    dsvl_page_channel_free(jail->channel);
    if (jail->document >= 0) close(jail->document);
    if (jail->input >= 0) close(jail->input);
    dsvl_dealloc(jail);
}
