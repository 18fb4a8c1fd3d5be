/* SPDX-License-Identifier: Apache-2.0 */
/* --metrics: counts and times of a run in Prometheus' text format, in a file that is replaced as a whole
 * every few seconds and once more, with the exit status, at the end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cli.h"
#include "cmd/cli_metrics.h"

enum { COUNTERS = 32, INTERVAL_SECONDS = 5 };

static struct {
    const char *path, *program;
    pid_t owner; /* children of the program do not write */
    double begun, written;
    bool failed; /* said once */
    int used;
    struct {
        const char *name, *label;
        uint64_t value;
    } counters[COUNTERS];
} metrics;

static uint64_t *counter(const char *name, const char *label)
{
    int at = 0; /* counters of one name stand together, as the format wants them */
    for (int i = 0; i < metrics.used; i++) {
        if (strcmp(metrics.counters[i].name, name) != 0) continue;
        const char *other = metrics.counters[i].label;
        if (label == other || (label && other && strcmp(label, other) == 0))
            return &metrics.counters[i].value;
        at = i + 1;
    }
    if (metrics.used == COUNTERS) return NULL;
    if (at == 0) at = metrics.used;
    memmove(&metrics.counters[at + 1], &metrics.counters[at],
            (size_t)(metrics.used++ - at) * sizeof *metrics.counters);
    metrics.counters[at].name = name;
    metrics.counters[at].label = label;
    metrics.counters[at].value = 0;
    return &metrics.counters[at].value;
}

void cli_count(const char *name, const char *label, uint64_t n)
{
    uint64_t *value = counter(name, label);
    if (value) *value += n;
}

void cli_count_set(const char *name, const char *label, uint64_t n)
{
    uint64_t *value = counter(name, label);
    if (value) *value = n;
}

/* The labels of every value: the program, and the file's name without its ending, which tells apart the runs
 * whose files stand in one folder. */
static void print_value(FILE *f, const char *name, const char *label, double value)
{
    const char *slash = strrchr(metrics.path, '/'), *run = slash ? slash + 1 : metrics.path;
    fprintf(f, "dsvl_%s{program=\"%s\",run=\"", name, metrics.program);
    const char *dot = strrchr(run, '.');
    for (const char *p = run; *p && p != dot; p++) {
        if (*p == '"' || *p == '\\') fputc('\\', f);
        fputc(*p == '\n' ? ' ' : *p, f);
    }
    fprintf(f, "\"%s%s} %.17g\n", label ? "," : "", label ? label : "", value);
}

static void print_gauge(FILE *f, const char *name, double value)
{
    fprintf(f, "# TYPE dsvl_%s gauge\n", name);
    print_value(f, name, NULL, value);
}

static void print_all(FILE *f, int status)
{
    const double now = (double)time(NULL), ran = cli_seconds() - metrics.begun;
    struct rusage usage;
    for (int i = 0; i < metrics.used; i++) {
        if (i == 0 || strcmp(metrics.counters[i].name, metrics.counters[i - 1].name) != 0)
            fprintf(f, "# TYPE dsvl_%s counter\n", metrics.counters[i].name);
        print_value(f, metrics.counters[i].name, metrics.counters[i].label,
                    (double)metrics.counters[i].value);
    }
    print_gauge(f, "start_time_seconds", now - ran);
    print_gauge(f, "update_time_seconds", now);
    print_gauge(f, "run_seconds", ran);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        print_gauge(f, "cpu_seconds",
                    (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                        1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
        print_gauge(f, "peak_memory_bytes", 1024.0 * (double)usage.ru_maxrss);
    }
    print_gauge(f, "running", status < 0);
    if (status >= 0) print_gauge(f, "exit_status", status);
}

/* status -1: the run goes on. Readers see the old file or the new one, never a part. */
static int write_file(int status)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s.%ld.tmp", metrics.path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    metrics.written = cli_seconds();
    FILE *f = fopen(path, "w");
    if (!f) return -1;
    print_all(f, status);
    int bad = ferror(f);
    if (fclose(f) || bad || rename(path, metrics.path)) {
        int cause = errno;
        unlink(path);
        errno = cause;
        return -1;
    }
    return 0;
}

static void write_or_say(int status)
{
    if (!metrics.path || getpid() != metrics.owner) return;
    if (write_file(status) && !metrics.failed) {
        cli_warn("cannot write the metrics to %s: %s", metrics.path, strerror(errno));
        metrics.failed = true;
    }
}

static void write_last(int status, void *unused)
{
    (void)unused;
    write_or_say(status);
}

int cli_metrics_begin(const char *path, const char *program)
{
    metrics.path = path;
    metrics.program = program;
    metrics.owner = getpid();
    metrics.begun = cli_seconds();
    cli_count("failures_total", NULL, 0);
    if (write_file(-1)) return -1;
    return on_exit(write_last, NULL);
}

void cli_metrics_tick(void)
{
    if (metrics.path && cli_seconds() - metrics.written >= INTERVAL_SECONDS) write_or_say(-1);
}
