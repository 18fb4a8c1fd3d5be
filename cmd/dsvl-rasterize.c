/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Documents in, page records out: options, lists of documents, and one document after the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/rasterize.h"
#include "filters/jail.h"
#include "lib/alloc.h"

#define LIST_LIMIT ((size_t)256 << 20) /* bytes of a --files-from list */

static struct {
    const char *pages, *crop, *password_file, *files_from, *format;
    bool null_separated, jail;
} options = {.format = "records", .jail = true};
static dsvl_render_options render;
static rasterize_limits limits = {(uint64_t)4 << 30, 60, 3600, 10000};

static const cli_option option_table[] = {
    {"pages", 0, CLI_STRING, &options.pages, "LIST", "pages such as 1-3,7,-1 (-1 is the last); default all",
     0, 0},
    {"dpi", 0, CLI_REAL, &render.dpi, "N",
     "resolution of PDF pages (default 150); pictures keep their pixels", 1, 9600},
    {"scale-to", 0, CLI_INT, &render.scale_to, "N", "make the long side N pixels, whatever the format", 1,
     32767},
    {"crop", 0, CLI_STRING, &options.crop, "X0,Y0,X1,Y1",
     "keep this part of the page as displayed, in points from its top left corner", 0, 0},
    {"trim", 0, CLI_FLAG, &render.trim, NULL, "cut to the ink and a margin", 0, 0},
    {"trim-margin", 0, CLI_REAL, &render.trim_margin, "N", "margin that --trim keeps, in points (default 9)",
     0, 10000},
    {"gray", 0, CLI_FLAG, &render.gray, NULL, "drop colour; pixels keep three channels", 0, 0},
    {"no-text-layer", 0, CLI_OFF, &render.text_layer, NULL, "leave the words of PDF pages out of the records",
     0, 0},
    {"password-file", 0, CLI_STRING, &options.password_file, "FILE",
     "password of encrypted PDFs, on one line", 0, 0},
    {"files-from", 0, CLI_STRING, &options.files_from, "FILE",
     "read names of documents too, one a line; - is standard input", 0, 0},
    {"null", '0', CLI_FLAG, &options.null_separated, NULL,
     "names in the list end with a NUL byte; without --files-from the list is standard input", 0, 0},
    {"format", 0, CLI_STRING, &options.format, "FORMAT",
     "records (default) or ppm: P6 pictures one after the other", 0, 0},
    {"max-pixels", 0, CLI_SIZE, &render.max_pixels, "N", "refuse pages with more pixels (default 200000000)",
     1, 0},
    {"max-pages", 0, CLI_INT, &limits.pages, "N", "take no more pages of a document (default 10000)", 1, 1e9},
    {"max-memory", 0, CLI_SIZE, &limits.memory, "SIZE",
     "memory that reading a document may take: a page that needs more fails (default 4G)", 0, 0},
    {"max-page-seconds", 0, CLI_REAL, &limits.page_seconds, "N",
     "processor time that a page may take (default 60)", 0.01, 1e9},
    {"max-document-seconds", 0, CLI_REAL, &limits.document_seconds, "N",
     "processor time that a document may take (default 3600)", 0.01, 1e9},
    {"no-jail", 0, CLI_OFF, &options.jail, NULL,
     "read documents in this process, which they can then crash or take over", 0, 0},
    CLI_COMMON,
};
static const cli_program program = {
    "dsvl-rasterize",
    "[OPTION...] [FILE...]",
    "Turn the pages of PDF, TIFF, JPEG, PNG and PNM documents into page records or PPM pictures.",
    option_table,
    sizeof option_table / sizeof *option_table,
};

/* ---- the command line ---- */

static int parse_crop(const char *text, double box[4])
{
    const char *p = text;
    for (int k = 0; k < 4; k++) {
        char *end;
        errno = 0;
        box[k] = strtod(p, &end);
        if (end == p || errno || !(box[k] > -1e9 && box[k] < 1e9) || *end != (k < 3 ? ',' : '\0')) return -1;
        p = end + 1;
    }
    return box[0] < box[2] && box[1] < box[3] ? 0 : -1;
}

/* The first line of a file, without its end; *password is owned. */
static int read_password(const char *path, char **password, dsvl_error *err)
{
    dsvl_bytes bytes;
    if (dsvl_bytes_open(&bytes, path, 65536, err)) {
        dsvl_error_prefix(err, "password file %s: ", path);
        return -1;
    }
    size_t n = bytes.length;
    if (n && bytes.data[n - 1] == '\n') n--;
    if (n && bytes.data[n - 1] == '\r') n--;
    int status = 0;
    if (n > 4096 || (n && (memchr(bytes.data, '\0', n) || memchr(bytes.data, '\n', n)))) {
        status = dsvl_fail(err, DSVL_E_INPUT, "password file %s: holds more than one line of text", path);
    } else if (!(*password = dsvl_strndup((const char *)bytes.data, n))) {
        status = dsvl_fail_memory(err, n);
    }
    dsvl_bytes_close(&bytes);
    return status;
}

static int check_options(rasterize_job *j, dsvl_page_format *format)
{
    dsvl_error err = {0};
    if (options.pages && dsvl_page_list_parse(&j->pages, options.pages, &err))
        return cli_usage("--pages: %s", err.message);
    if (options.crop && parse_crop(options.crop, render.crop_pt)) {
        return cli_usage("--crop takes X0,Y0,X1,Y1 in points with X0 < X1 and Y0 < Y1, not \"%s\"",
                         options.crop);
    }
    render.crop = options.crop != NULL;
    if (strcmp(options.format, "ppm") == 0)
        *format = DSVL_PAGES_PPM;
    else if (strcmp(options.format, "records") != 0)
        return cli_usage("--format takes records or ppm, not \"%s\"", options.format);
    char *s = j->settings;
    size_t size = sizeof j->settings;
    int n = render.scale_to ? snprintf(s, size, "--scale-to=%ld", render.scale_to)
                            : snprintf(s, size, "--dpi=%g", render.dpi);
    if (render.crop) {
        const double *c = render.crop_pt;
        n += snprintf(s + n, size - (size_t)n, " --crop=%g,%g,%g,%g", c[0], c[1], c[2], c[3]);
    }
    if (render.trim) n += snprintf(s + n, size - (size_t)n, " --trim --trim-margin=%g", render.trim_margin);
    snprintf(s + n, size - (size_t)n, "%s%s", render.gray ? " --gray" : "",
             render.text_layer ? "" : " --no-text-layer");
    return cli_check_output("dsvl-tile");
}

/* The names of the documents: those of the command line, then those of a list. */
typedef struct names {
    char **files;
    int count;
    dsvl_bytes list;
    size_t at; /* in the list */
} names;

/* *name is owned, NULL after the last one. */
static int next_name(names *n, char **name, dsvl_error *err)
{
    const int separator = options.null_separated ? '\0' : '\n';
    const char *begin = NULL;
    size_t length = 0;
    if (n->count) {
        begin = *n->files++;
        length = strlen(begin);
        n->count--;
    }
    while (!begin && n->at < n->list.length) {
        const unsigned char *line = n->list.data + n->at,
                            *end = memchr(line, separator, n->list.length - n->at);
        length = end ? (size_t)(end - line) : n->list.length - n->at;
        n->at += length + 1;
        if (length) begin = (const char *)line;
    }
    *name = begin ? dsvl_strndup(begin, length) : NULL;
    return begin && !*name ? dsvl_fail_memory(err, length) : 0;
}

/* jails [2], NULL: the second, or both. */
static int rasterize_names(rasterize_job *j, rasterize_jail *const jails[2], names *n, dsvl_error *err)
{
    char *name = NULL, *next = NULL;
    int status = next_name(n, &name, err);
    for (int turn = 0; name && status == 0; turn = !turn) {
        status = next_name(n, &next, err);
        j->more = n->count || n->at < n->list.length;
        if (status == 0) {
            status = jails[turn] ? rasterize_jailed(jails[turn], j, name, jails[!turn], next, err)
                                 : rasterize_here(j, name, err);
        }
        dsvl_dealloc(name);
        name = next;
        next = NULL;
    }
    dsvl_dealloc(name);
    return status;
}

static int rasterize_all(rasterize_job *j, rasterize_jail *const jails[2], char **files, int count,
                         const char *list_name, dsvl_error *err)
{
    char dash[] = "-", *standard_input[] = {dash};
    names n = {files, count, {0}, 0};
    if (count == 0 && !list_name) {
        n.files = standard_input;
        n.count = 1;
    }
    if (list_name && dsvl_bytes_open(&n.list, list_name, LIST_LIMIT, err)) {
        dsvl_error_prefix(err, "list of files %s: ", list_name);
        return -1;
    }
    j->expected = n.count == 1 && !list_name; /* of one document the number of pages is soon known */
    int status = rasterize_names(j, jails, &n, err);
    dsvl_bytes_close(&n.list);
    return status;
}

/* Standard input can be one thing only. */
static int check_standard_input(char **files, int count, const char *list_name)
{
    int uses = list_name && strcmp(list_name, "-") == 0;
    for (int i = 0; i < count; i++) uses += strcmp(files[i], "-") == 0;
    if (count == 0 && !list_name) uses++;
    if (uses > 1) return cli_usage("standard input is asked for more than once");
    if (uses && isatty(STDIN_FILENO))
        return cli_usage("standard input is a terminal; name documents, or pipe one in");
    return CLI_OK;
}

/* The jails: none with --no-jail, and of two documents or more they are two. -1 only when one was asked for
 * and cannot be had. */
static int make_jails(const rasterize_job *j, bool several, rasterize_jail *jails[2], dsvl_error *err)
{
    const char *missing = dsvl_jail_missing();
    if (!options.jail) {
        dsvl_alloc_limit(limits.memory);
        cli_warn("--no-jail: documents are read in this process, with all that you may do");
        return 0;
    }
    if (missing) cli_note("%s", missing);
    for (int i = 0; i < 1 + several; i++) {
        jails[i] = rasterize_jail_new(j, err);
        if (!jails[i]) return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    render = dsvl_render_defaults();
    int count = cli_parse(&program, argc, argv);
    rasterize_job j = {.program = &program};
    rasterize_jail *jails[2] = {NULL, NULL};
    dsvl_error err = {0};
    dsvl_page_format format = DSVL_PAGES_RECORDS;
    char *password = NULL;
    const char *list_name = options.files_from ? options.files_from : options.null_separated ? "-" : NULL;
    int status = check_options(&j, &format);
    if (status == CLI_OK) status = check_standard_input(argv, count, list_name);
    if (status) goto out;
    if (options.password_file && read_password(options.password_file, &password, &err)) goto failed;
    render.password = password;
    j.render = render;
    j.limits = limits;
    if (make_jails(&j, count > 1 || list_name, jails, &err)) goto failed;
    j.render.pool = dsvl_page_pool_new();
    j.writer = dsvl_page_writer_new(STDOUT_FILENO, "standard output", format, j.render.pool, &err);
    if (!j.writer || rasterize_all(&j, jails, argv, count, list_name, &err)) goto failed;
    for (int i = 0; i < 2; i++) rasterize_jail_stop(jails[i]); /* while the last page is written */
    if (dsvl_page_writer_end(j.writer, &err)) goto failed;
    cli_progress_end();
    status = j.failed ? CLI_PARTIAL : CLI_OK;
    goto out;
failed:
    cli_progress_end();
    status = cli_fail(&err);
out:
    dsvl_page_writer_free(j.writer);
    dsvl_page_pool_free(j.render.pool);
    for (int i = 0; i < 2; i++) rasterize_jail_free(jails[i]);
    dsvl_page_list_free(&j.pages);
    dsvl_dealloc(password);
    return status;
}
