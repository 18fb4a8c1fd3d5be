/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pages of one document: opened, drawn and closed here, so that all that reads untrusted formats is in
 * one place. */
#include <string.h>

#include "cmd/rasterize.h"

/* ---- from bytes to pages ---- */

/* A page that could be drawn in part is passed on, and an error record after it says what is wrong with it.
 */
static int rasterize_page(const rasterize_job *j, dsvl_source *source, const dsvl_page_origin *origin,
                          const rasterize_results *results, dsvl_error *err)
{
    dsvl_page page;
    dsvl_error cause = {0}, loss = {0};
    double begun = cli_seconds();
    if (dsvl_source_render(source, (int)origin->page - 1, &page, &cause))
        return results->failed(results->user, origin, &cause, err);
    if (page.damaged) dsvl_fail(&loss, DSVL_E_INPUT, "a part of the page may be missing: %s", page.warning);
    dsvl_record *record = dsvl_page_record_new_take(origin, &page, &cause);
    if (record && cli_stamp(j->program, record, j->settings, cli_seconds() - begun, &cause)) {
        dsvl_record_free(record);
        record = NULL;
    }
    if (!record) return results->failed(results->user, origin, &cause, err);
    int status = results->page_take(results->user, record, err);
    return status == 0 && loss.code ? results->failed(results->user, origin, &loss, err) : status;
}

static int rasterize_range(const rasterize_job *j, dsvl_source *source, const dsvl_page_range *range,
                           const rasterize_results *results, dsvl_error *err)
{
    dsvl_page_origin origin = {"", 0, dsvl_source_pages(source)};
    dsvl_error cause = {0};
    long from, to, missing;
    char text[160];
    int status = 0;
    bool all_there = dsvl_page_range_resolve(range, origin.pages, &from, &to, &missing, text);
    for (long n = from; n <= to && status == 0; n++) {
        origin.page = n;
        if (results->begin(results->user, n)) status = rasterize_page(j, source, &origin, results, err);
    }
    if (all_there || status) return status;
    origin.page = missing;
    dsvl_fail(&cause, DSVL_E_INPUT, "%s", text);
    return results->begin(results->user, missing) ? results->failed(results->user, &origin, &cause, err) : 0;
}

static int rasterize_source(const rasterize_job *j, dsvl_source *source, const rasterize_results *results,
                            dsvl_error *err)
{
    static const dsvl_page_range all = {1, -1};
    const dsvl_page_range *ranges = j->pages.count ? j->pages.ranges : &all;
    int status = results->opened(results->user, dsvl_source_name(source), dsvl_source_pages(source), err);
    for (size_t i = 0; i < (j->pages.count ? j->pages.count : 1) && status == 0; i++) {
        status = rasterize_range(j, source, &ranges[i], results, err);
    }
    const char *damage = dsvl_source_damage(source);
    if (status || !damage) return status;
    dsvl_page_origin origin = {"", 0, dsvl_source_pages(source)};
    dsvl_error cause = {0};
    dsvl_fail(&cause, DSVL_E_INPUT, "%s", damage);
    return results->failed(results->user, &origin, &cause, err);
}

int rasterize_bytes(const rasterize_job *j, const dsvl_bytes *bytes, const rasterize_results *results,
                    dsvl_error *err)
{
    dsvl_error cause = {0};
    dsvl_source *source = dsvl_source_open(bytes->data, bytes->length, &dsvl_source_pdf, &j->render, &cause);
    const dsvl_page_origin origin = {"", 0, 0};
    int status = source ? rasterize_source(j, source, results, err)
                        : results->failed(results->user, &origin, &cause, err);
    dsvl_source_close(source);
    return status;
}

/* ---- results that are written ---- */

static void count_page(rasterize_job *j, long page)
{
    if (page > 0 && page != j->page) cli_progress("pages", ++j->done, j->expected);
    j->page = page;
}

/* A page or document that failed: say so, and leave an error record. */
static int write_failure(void *user, const dsvl_page_origin *origin, const dsvl_error *why, dsvl_error *err)
{
    rasterize_job *j = user;
    const dsvl_page_origin named = {j->document, origin->page, origin->pages};
    dsvl_error cause = *why;
    char place[256];
    dsvl_error_prefix(&cause, "%s: ", dsvl_page_origin_place(&named, place));
    cli_page_failed("%s", cause.message);
    j->failed++;
    count_page(j, origin->page);
    dsvl_record *record = dsvl_page_record_failed(&named, "rasterize", &cause, err);
    return record ? dsvl_page_writer_put_take(j->writer, record, err) : -1;
}

static int write_opened(void *user, const char *format, long pages, dsvl_error *err)
{
    rasterize_job *j = user;
    (void)err;
    if (j->opened) return 0; /* by a process that went on for another */
    j->opened = true;
    cli_note("%s: %s, %ld page%s", j->document, format, pages, pages == 1 ? "" : "s");
    if (j->expected && !j->pages.count) j->expected = (size_t)pages;
    return 0;
}

static bool write_all(void *user, long page)
{
    (void)user, (void)page;
    return true;
}

static int too_many_pages(rasterize_job *j, dsvl_error *err)
{
    dsvl_error cause = {0};
    const dsvl_page_origin whole = {"", 0, 0};
    dsvl_fail(
        &cause, DSVL_E_LIMIT,
        "only the first %ld pages were taken: the limit of a document (--max-pages); --pages takes others",
        j->limits.pages);
    return write_failure(j, &whole, &cause, err) ? -1 : 1;
}

static int write_page_take(void *user, dsvl_record *record, dsvl_error *err)
{
    rasterize_job *j = user;
    char place[256];
    if (j->taken == j->limits.pages) {
        dsvl_record_free(record);
        return too_many_pages(j, err);
    }
    if (dsvl_record_set(record, DSVL_KEY_DOCUMENT, j->document, err)) {
        dsvl_record_free(record);
        return -1;
    }
    const char *warning = dsvl_record_get(record, DSVL_KEY_WARNING),
               *page = dsvl_record_get(record, DSVL_KEY_PAGE);
    if (warning) cli_note("%s: %s", dsvl_record_place(record, place), warning);
    j->taken++;
    count_page(j, page ? atol(page) : 0);
    return dsvl_page_writer_put_take(j->writer, record, err);
}

const rasterize_results rasterize_written = {write_opened, write_all, write_page_take, write_failure, NULL};

int rasterize_here(rasterize_job *j, const char *document, dsvl_error *err)
{
    dsvl_bytes bytes = {0};
    dsvl_error cause = {0};
    const dsvl_page_origin origin = {"", 0, 0};
    rasterize_results results = rasterize_written;
    results.user = j;
    j->document = document;
    j->page = j->taken = 0;
    j->opened = false;
    int status = dsvl_bytes_open(&bytes, document, DSVL_DOCUMENT_LIMIT, &cause)
                     ? write_failure(j, &origin, &cause, err)
                     : rasterize_bytes(j, &bytes, &results, err);
    dsvl_bytes_close(&bytes);
    return status < 0 ? -1 : 0;
}
