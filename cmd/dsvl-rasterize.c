/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Documents in, page records out. One document at a time is opened, drawn and closed (rasterize_document), so
 * that all that reads untrusted formats is in one place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cli.h"
#include "filters/page_list.h"
#include "filters/page_record.h"
#include "filters/page_writer.h"
#include "filters/source.h"
#include "lib/alloc.h"

#define LIST_LIMIT ((size_t)256 << 20) /* bytes of a --files-from list */

static struct {
    const char *pages, *crop, *password_file, *files_from, *format;
    bool null_separated;
} options = {.format = "records"};
static dsvl_render_options render;

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
     0, 0},
    CLI_MEMORY,
    CLI_COMMON,
};
static const cli_program program = {
    "dsvl-rasterize",
    "[OPTION...] [FILE...]",
    "Turn the pages of PDF, TIFF, JPEG, PNG and PNM documents into page records or PPM pictures.",
    option_table,
    sizeof option_table / sizeof *option_table,
};

typedef struct job {
    dsvl_page_list pages; /* count 0: all */
    char settings[256];   /* for made_by: what changes the pixels */
    dsvl_page_writer *writer;
    size_t done, failed, expected; /* pages; expected 0: not known */
} job;

/* ---- results ---- */

/* A page or document that failed: say so, and leave an error record. -1 only when that cannot be written. */
static int report(job *j, const dsvl_page_origin *origin, dsvl_error *cause, dsvl_error *err)
{
    char place[256];
    dsvl_error_prefix(cause, "%s: ", dsvl_page_origin_place(origin, place));
    cli_page_failed("%s", cause->message);
    j->failed++;
    dsvl_record *record = dsvl_page_record_failed(origin, "rasterize", cause, err);
    if (!record) return -1;
    return dsvl_page_writer_put_take(j->writer, record, err);
}

/* ---- one document ---- */

/* A page that could be drawn in part is passed on, and an error record after it says what is wrong with it.
 */
static int rasterize_page(job *j, dsvl_source *source, const dsvl_page_origin *origin, dsvl_error *err)
{
    dsvl_page page;
    dsvl_error cause = {0}, loss = {0};
    double begun = cli_seconds();
    if (dsvl_source_render(source, (int)origin->page - 1, &page, &cause))
        return report(j, origin, &cause, err);
    char place[256];
    if (page.damaged)
        dsvl_fail(&loss, DSVL_E_INPUT, "a part of the page may be missing: %s", page.warning);
    else if (page.warning)
        cli_note("%s: %s", dsvl_page_origin_place(origin, place), page.warning);
    dsvl_record *record = dsvl_page_record_new_take(origin, &page, &cause);
    if (record && cli_stamp(&program, record, j->settings, cli_seconds() - begun, &cause)) {
        dsvl_record_free(record);
        record = NULL;
    }
    if (!record) return report(j, origin, &cause, err);
    if (dsvl_page_writer_put_take(j->writer, record, err)) return -1;
    return loss.code ? report(j, origin, &loss, err) : 0;
}

static int rasterize_range(job *j, dsvl_source *source, const dsvl_page_range *range, const char *document,
                           dsvl_error *err)
{
    dsvl_page_origin origin = {document, 0, dsvl_source_pages(source)};
    dsvl_error cause = {0};
    long from, to, missing;
    char text[160];
    bool all_there = dsvl_page_range_resolve(range, origin.pages, &from, &to, &missing, text);
    for (long n = from; n <= to; n++) {
        origin.page = n;
        if (rasterize_page(j, source, &origin, err)) return -1;
        cli_progress("pages", ++j->done, j->expected);
    }
    if (all_there) return 0;
    origin.page = missing;
    dsvl_fail(&cause, DSVL_E_INPUT, "%s", text);
    return report(j, &origin, &cause, err);
}

static int rasterize_pages(job *j, dsvl_source *source, const char *document, dsvl_error *err)
{
    static const dsvl_page_range all = {1, -1};
    const dsvl_page_range *ranges = j->pages.count ? j->pages.ranges : &all;
    for (size_t i = 0; i < (j->pages.count ? j->pages.count : 1); i++) {
        if (rasterize_range(j, source, &ranges[i], document, err)) return -1;
    }
    const char *damage = dsvl_source_damage(source);
    if (!damage) return 0;
    dsvl_page_origin origin = {document, 0, dsvl_source_pages(source)};
    dsvl_error cause = {0};
    dsvl_fail(&cause, DSVL_E_INPUT, "%s", damage);
    return report(j, &origin, &cause, err);
}

/* -1 only when the output fails: a document that cannot be read is reported and the next one follows. */
static int rasterize_document(job *j, const char *document, dsvl_error *err)
{
    dsvl_bytes bytes = {0};
    dsvl_error cause = {0};
    dsvl_source *source = NULL;
    int status;
    if (dsvl_bytes_open(&bytes, document, DSVL_DOCUMENT_LIMIT, &cause) == 0) {
        source = dsvl_source_open(bytes.data, bytes.length, &dsvl_source_pdf, &render, &cause);
    }
    if (source) {
        cli_note("%s: %s, %d pages", document, dsvl_source_name(source), dsvl_source_pages(source));
        if (j->expected && !j->pages.count) j->expected = (size_t)dsvl_source_pages(source);
        status = rasterize_pages(j, source, document, err);
    } else {
        dsvl_page_origin origin = {document, 0, 0};
        status = report(j, &origin, &cause, err);
    }
    dsvl_source_close(source);
    dsvl_bytes_close(&bytes);
    return status;
}

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

static int check_options(job *j, dsvl_page_format *format)
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
    if (isatty(STDOUT_FILENO))
        return cli_usage("standard output is a terminal; redirect it to a file or pipe it to dsvl-tile");
    return CLI_OK;
}

/* Documents named in a list. */
static int rasterize_list(job *j, const dsvl_bytes *list, dsvl_error *err)
{
    unsigned char separator = options.null_separated ? '\0' : '\n';
    for (size_t at = 0; at < list->length;) {
        const unsigned char *name = list->data + at, *end = memchr(name, separator, list->length - at);
        size_t length = end ? (size_t)(end - name) : list->length - at;
        at += length + 1;
        if (length == 0) continue;
        char *document = dsvl_strndup((const char *)name, length);
        if (!document) return dsvl_fail_memory(err, length);
        int status = rasterize_document(j, document, err);
        dsvl_dealloc(document);
        if (status) return -1;
    }
    return 0;
}

static int rasterize_all(job *j, char **files, int count, const char *list_name, dsvl_error *err)
{
    char dash[] = "-", *standard_input[] = {dash};
    if (count == 0 && !list_name) {
        files = standard_input;
        count = 1;
    }
    dsvl_bytes list = {0};
    if (list_name && dsvl_bytes_open(&list, list_name, LIST_LIMIT, err)) {
        dsvl_error_prefix(err, "list of files %s: ", list_name);
        return -1;
    }
    j->expected = count == 1 && !list_name; /* of one document the number of pages is soon known */
    int status = 0;
    for (int i = 0; i < count && status == 0; i++) status = rasterize_document(j, files[i], err);
    if (status == 0) status = rasterize_list(j, &list, err);
    dsvl_bytes_close(&list);
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

int main(int argc, char **argv)
{
    render = dsvl_render_defaults();
    int count = cli_parse(&program, argc, argv);
    job j = {0};
    dsvl_error err = {0};
    dsvl_page_format format = DSVL_PAGES_RECORDS;
    char *password = NULL;
    const char *list_name = options.files_from ? options.files_from : options.null_separated ? "-" : NULL;
    int status = check_options(&j, &format);
    if (status == CLI_OK) status = check_standard_input(argv, count, list_name);
    if (status) goto out;
    if (options.password_file && read_password(options.password_file, &password, &err)) goto failed;
    render.password = password;
    render.pool = dsvl_page_pool_new();
    j.writer = dsvl_page_writer_new(STDOUT_FILENO, "standard output", format, render.pool, &err);
    if (!j.writer || rasterize_all(&j, argv, count, list_name, &err) || dsvl_page_writer_end(j.writer, &err))
        goto failed;
    cli_progress_end();
    status = j.failed ? CLI_PARTIAL : CLI_OK;
    goto out;
failed:
    cli_progress_end();
    status = cli_fail(&err);
out:
    dsvl_page_writer_free(j.writer);
    dsvl_page_pool_free(render.pool);
    dsvl_page_list_free(&j.pages);
    dsvl_dealloc(password);
    return status;
}
