/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PDF pages through poppler-glib and cairo: the only file that includes poppler.h, linked into dsvl-rasterize
 * alone. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-aliasing" /* GLib's type casts */
#include <poppler.h>
#pragma GCC diagnostic pop

#include "filters/capture.h"
#include "filters/pixels.h"
#include "filters/source.h"
#include "lib/alloc.h"

typedef struct pdf_state {
    PopplerDocument *document;
    PopplerDocument *probe; /* a second one that page_rotation may change; NULL until needed */
    PopplerAnnot *mark;     /* what page_rotation puts on its pages */
    bool no_probe;          /* it cannot be had */
    char complaint[320];    /* what was said while a listener was there */
    bool damaged;           /* and it means that content was lost */
} pdf_state;

/* ---- complaints ---- */

/* Poppler and the libraries under it read on where they can and say what they met: through GLib's log, some
 * of it straight to standard error. Both are kept here, and nothing is printed. */
typedef struct listener {
    pdf_state *pdf;
    GLogFunc before;
    dsvl_capture capture;
} listener;

/* Complaints after which a part of the page is missing; most others are about slips that every reader
 * forgives. */
static bool means_loss(const char *message)
{
    static const char *const losses[] = {"remature end",        "Corrupt JPEG",       "font thing failed",
                                         "No font in show",     "flate stream",       "CCITTFax stream",
                                         "jbig2 stream",        "JPX Stream",         "Unknown filter",
                                         "Weird page contents", "Unterminated string"};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        if (strcasestr(message, losses[i])) return true;
    }
    return false;
}

static void keep_complaint(pdf_state *pdf, const char *message)
{
    /* "Syntax error at position 123: what" or "Internal error at position -1: what<0a>": keep what. */
    const char *what = strstr(message, " at position ");
    what = what ? strstr(what, ": ") : NULL;
    what = what ? what + 2 : message;
    size_t n = strlen(what), used = strlen(pdf->complaint);
    if (n >= 4 && strcmp(what + n - 4, "<0a>") == 0) n -= 4;
    if (means_loss(what)) pdf->damaged = true;
    char text[200];
    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), what);
    if (n == 0 || strstr(pdf->complaint, text)) return;
    snprintf(pdf->complaint + used, sizeof pdf->complaint - used, "%s%s", used ? "; " : "", text);
}

static void on_log(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer user)
{
    (void)domain, (void)level;
    if (message) keep_complaint(user, message);
}

static void listen_to(listener *l, pdf_state *pdf)
{
    pdf->complaint[0] = '\0';
    pdf->damaged = false;
    l->pdf = pdf;
    l->before = g_log_set_default_handler(on_log, pdf);
    dsvl_capture_begin(&l->capture);
}

static void listen_no_more(listener *l)
{
    char text[1024], *rest = text;
    dsvl_capture_end(&l->capture, text, sizeof text);
    g_log_set_default_handler(l->before, NULL);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        keep_complaint(l->pdf, line);
}

/* ": " and the complaints, for the end of a message; "" when there are none. */
static const char *colon(const pdf_state *pdf)
{
    return pdf->complaint[0] ? ": " : "";
}

static bool pdf_detect(const unsigned char *data, size_t length)
{
    size_t end =
        length < 1024 ? length : 1024; /* a few bytes of mail header or BOM may stand before the mark */
    return memmem(data, end, "%PDF-", 5) != NULL;
}

/* ---- opening ---- */

static void pdf_close(dsvl_source *source)
{
    pdf_state *pdf = source->state;
    if (!pdf) return;
    listener l;
    listen_to(&l, pdf);
    if (pdf->document) g_object_unref(pdf->document);
    if (pdf->mark) g_object_unref(pdf->mark);
    if (pdf->probe) g_object_unref(pdf->probe);
    listen_no_more(&l);
    dsvl_dealloc(pdf);
    source->state = NULL;
}

/* A whole file ends with startxref, an offset and %%EOF; some writers and mail gateways add a little after
 * it. */
static bool has_end_mark(const unsigned char *data, size_t length)
{
    size_t tail = length < 2048 ? length : 2048;
    return memmem(data + length - tail, tail, "%%EOF", 5) ||
           memmem(data + length - tail, tail, "startxref", 9);
}

static bool is_locked(const GError *why)
{
    return why && why->domain == POPPLER_ERROR && why->code == POPPLER_ERROR_ENCRYPTED;
}

/* Without a password first: that also opens documents whose user password is empty. */
static PopplerDocument *load(const dsvl_source *source, GError **why)
{
    GBytes *bytes = g_bytes_new_static(source->data, source->length);
    PopplerDocument *document = poppler_document_new_from_bytes(bytes, NULL, why);
    g_bytes_unref(bytes);
    if (document || !is_locked(*why) || !source->options.password) return document;
    /* When a password is wrong Poppler 22 tries it in another encoding, on a copy of its input, and follows a
     * null pointer if that input is bytes; a stream it can copy. */
    g_clear_error(why);
    GInputStream *stream = g_memory_input_stream_new_from_data(source->data, (gssize)source->length, NULL);
    document = poppler_document_new_from_stream(stream, (goffset)source->length, source->options.password,
                                                NULL, why);
    g_object_unref(stream);
    return document;
}

static int cannot_open(const dsvl_source *source, const GError *why, dsvl_error *err)
{
    const pdf_state *pdf = source->state;
    if (is_locked(why)) {
        return dsvl_fail(err, DSVL_E_INPUT,
                         source->options.password
                             ? "the password in --password-file does not open this PDF"
                             : "the PDF is encrypted; give its password with --password-file");
    }
    return dsvl_fail(err, DSVL_E_INPUT, "cannot be read as PDF%s: %s%s%s",
                     has_end_mark(source->data, source->length) ? "" : ", it is cut short",
                     why ? why->message : "it has no pages", colon(pdf), pdf->complaint);
}

static int pdf_open(dsvl_source *source, dsvl_error *err)
{
    pdf_state *pdf = dsvl_alloc_zero(1, sizeof *pdf);
    if (!pdf) return dsvl_fail_memory(err, sizeof *pdf);
    source->state = pdf;
    GError *why = NULL;
    listener l;
    listen_to(&l, pdf);
    pdf->document = load(source, &why);
    source->pages = pdf->document ? poppler_document_get_n_pages(pdf->document) : 0;
    listen_no_more(&l);
    int status = source->pages < 1 ? cannot_open(source, why, err) : 0;
    if (status == 0 && !has_end_mark(source->data, source->length)) {
        snprintf(
            source->damage, sizeof source->damage,
            "the PDF is cut short (its end mark is missing): %d page%s could be found, others may be lost",
            source->pages, source->pages == 1 ? "" : "s");
    }
    g_clear_error(&why);
    return status;
}

/* ---- facts ---- */

static PopplerPage *get_page(pdf_state *pdf, int index, dsvl_error *err)
{
    PopplerPage *page = poppler_document_get_page(pdf->document, index);
    if (!page) {
        dsvl_fail(err, DSVL_E_INPUT, "the page cannot be found in the PDF%s%s", colon(pdf), pdf->complaint);
    }
    return page;
}

/* A second copy of the document and an annotation to put on its pages. */
static void open_probe(dsvl_source *source)
{
    pdf_state *pdf = source->state;
    GError *why = NULL;
    PopplerRectangle none = {0, 0, 1, 1};
    pdf->probe = load(source, &why);
    g_clear_error(&why);
    pdf->no_probe = !pdf->probe;
    if (!pdf->probe) return;
#ifdef __SANITIZE_ADDRESS__
    __lsan_disable(); /* Poppler 22 counts one reference too many on annotations: 1 kB a document stays behind
                       */
#endif
    pdf->mark = poppler_annot_square_new(pdf->probe, &none);
#ifdef __SANITIZE_ADDRESS__
    __lsan_enable();
#endif
}

/* Poppler has no call for a page's /Rotate. But it stores an annotation's rectangle unrotated: put one near
 * the lower left corner of the page as displayed, and see which corner of the unrotated page that is. This
 * marks the document as changed, after which Poppler repairs no damage in it, so it is done to a second copy.
 */
static int page_rotation(dsvl_source *source, int index, double width, double height)
{
    pdf_state *pdf = source->state;
    if (!pdf->probe && !pdf->no_probe) open_probe(source);
    PopplerPage *page = pdf->probe ? poppler_document_get_page(pdf->probe, index) : NULL;
    if (!page) return 0;
    PopplerRectangle box, corner = {width * 0.2, height * 0.2, width * 0.3, height * 0.3}, stored = corner;
    poppler_annot_set_rectangle(pdf->mark, &corner);
    poppler_page_add_annot(page, pdf->mark);
    poppler_annot_get_rectangle(pdf->mark, &stored);
    poppler_page_remove_annot(page, pdf->mark);
    poppler_page_get_crop_box(page, &box);
    g_object_unref(page);
    bool right = stored.x1 > (box.x2 - box.x1) / 2, up = stored.y1 > (box.y2 - box.y1) / 2;
    return right ? (up ? 180 : 90) : (up ? 270 : 0);
}

static int pdf_measure(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    pdf_state *pdf = source->state;
    listener l;
    int status = -1;
    listen_to(&l, pdf);
    PopplerPage *poppler = get_page(pdf, index, err);
    if (!poppler) goto out;
    poppler_page_get_size(poppler, &page->width_pt, &page->height_pt);
    page->rotation = page_rotation(source, index, page->width_pt, page->height_pt);
    char *label = poppler_page_get_label(poppler);
    status = 0;
    if (label && *label && !(page->label = dsvl_strdup(label))) status = dsvl_fail_memory(err, strlen(label));
    g_free(label);
    g_object_unref(poppler);
out:
    listen_no_more(&l);
    return status;
}

/* ---- text layer ---- */

/* Poppler gives the text of a page, a rectangle for each of its characters (spaces and line ends too), and
 * runs of one font: three views of one sequence, walked here together. */
typedef struct text_walk {
    const char *next;
    bool skip_marks; /* direction marks that Poppler puts around right-to-left runs have no rectangle */
} text_walk;

static bool is_direction_mark(gunichar c)
{
    return c == 0x202a || c == 0x202b || c == 0x202c;
}

/* Bytes of the next character, 0 at the end. The text is Poppler's own UTF-8, in which unpaired surrogates
 * may stand. */
static size_t next_character(text_walk *walk, const char **begin)
{
    for (;;) {
        *begin = walk->next;
        if (!*walk->next) return 0;
        gunichar c = g_utf8_get_char_validated(walk->next, -1);
        const char *end = walk->next + 1;
        while (((unsigned char)*end & 0xc0) == 0x80) end++;
        walk->next = end;
        if (!(walk->skip_marks && is_direction_mark(c))) return (size_t)(end - *begin);
    }
}

static size_t count_characters(const char *text, bool skip_marks)
{
    text_walk walk = {text, skip_marks};
    const char *begin;
    size_t n = 0;
    while (next_character(&walk, &begin)) n++;
    return n;
}

static void join_box(double box[4], const PopplerRectangle *r, bool first)
{
    box[0] = first ? r->x1 : fmin(box[0], r->x1);
    box[1] = first ? r->y1 : fmin(box[1], r->y1);
    box[2] = first ? r->x2 : fmax(box[2], r->x2);
    box[3] = first ? r->y2 : fmax(box[3], r->y2);
}

/* Poppler cuts a word's box into characters at shared edges: where two boxes in a row share none, two words
 * meet without a space between them (the cells of a table, formulas). Four directions of writing. */
static bool same_word(const PopplerRectangle *a, const PopplerRectangle *b)
{
    if (a->y1 == b->y1 && a->y2 == b->y2) return a->x2 == b->x1 || a->x1 == b->x2;
    return a->x1 == b->x1 && a->x2 == b->x2 && (a->y2 == b->y1 || a->y1 == b->y2);
}

/* The type size of a run of characters. Fonts that are drawings (Type 3) have no name, and units of their
 * own: of their size Poppler has only a guess, marked here by its sign. */
static double size_of(const PopplerTextAttributes *run)
{
    const bool drawn = !run->font_name || strcmp(run->font_name, "Default") == 0;
    return drawn ? -run->font_size : run->font_size;
}

/* Cut the characters into the words that pdftotext -bbox prints. */
static int split_words(text_walk walk, const PopplerRectangle *rects, size_t n, GList *runs,
                       dsvl_words *words, dsvl_error *err)
{
    double box[4] = {0}, size = 0;
    char *word = dsvl_alloc(strlen(walk.next) + 1, 1);
    size_t length = 0;
    int status = word ? 0 : dsvl_fail_memory(err, strlen(walk.next) + 1);
    for (size_t i = 0; i <= n && status == 0; i++) {
        const char *c = walk.next;
        size_t bytes = i < n ? next_character(&walk, &c) : 0;
        bool space = bytes == 1 && *c == ' ', line_end = bytes == 0 || (bytes == 1 && *c == '\n');
        if (length && (space || line_end || !same_word(&rects[i - 1], &rects[i]))) {
            uint8_t flags = line_end ? DSVL_WORD_LINE : space ? DSVL_WORD_SPACE : 0;
            status = dsvl_words_add(words, box, word, length, size, flags, err);
            length = 0;
        }
        if (space || line_end) continue;
        while (runs && ((const PopplerTextAttributes *)runs->data)->end_index < (gint)i) runs = runs->next;
        const PopplerTextAttributes *run = runs ? runs->data : NULL;
        if (length == 0) size = run ? size_of(run) : rects[i].y2 - rects[i].y1;
        join_box(box, &rects[i], length == 0);
        memcpy(word + length, c, bytes);
        length += bytes;
    }
    dsvl_dealloc(word);
    return status;
}

/* All text of a page as Poppler selects it between two corners; false when there is none. */
static bool select_text(PopplerPage *poppler, PopplerRectangle *area, char **text, PopplerRectangle **rects,
                        guint *n)
{
    *text = NULL;
    *rects = NULL;
    *n = 0;
    if (!poppler_page_get_text_layout_for_area(poppler, area, rects, n)) return false;
    *text = poppler_page_get_text_for_area(poppler, area);
    return *text != NULL;
}

static bool has_direction_marks(const char *text)
{
    return strstr(text, "\xe2\x80\xaa") || strstr(text, "\xe2\x80\xab");
}

static int read_words(pdf_state *pdf, PopplerPage *poppler, dsvl_page *page, dsvl_error *err)
{
    /* From corner to corner in reading order, and beyond the page: with the page's own corners Poppler begins
     * at the block next to them and may miss others. Pages written from right to left begin at the other
     * corner. */
    double left = -1000, top = -1000, right = page->width_pt + 1000, bottom = page->height_pt + 1000;
    PopplerRectangle area = {left, top, right, bottom}, *rects = NULL, *other_rects = NULL;
    char *text = NULL, *other = NULL;
    guint n = 0, other_n = 0;
    int status = 0;
    bool any = select_text(poppler, &area, &text, &rects, &n);
    if (!any || has_direction_marks(text)) {
        PopplerRectangle mirrored = {right, top, left, bottom};
        if (select_text(poppler, &mirrored, &other, &other_rects, &other_n) && other_n > n) {
            char *t = text;
            PopplerRectangle *r = rects;
            text = other, rects = other_rects, n = other_n, area = mirrored, any = true;
            other = t, other_rects = r;
        }
    }
    text_walk walk = {text, any && count_characters(text, false) != n};
    if (any && (!walk.skip_marks || count_characters(text, true) == n)) {
        GList *runs = poppler_page_get_text_attributes_for_area(poppler, &area);
        status = split_words(walk, rects, n, runs, &page->words, err);
        poppler_page_free_text_attributes(runs);
        dsvl_words_settle_sizes(&page->words);
    } else if (any) {
        keep_complaint(pdf, "the text layer is left out: its characters and boxes do not match");
    }
    g_free(text);
    g_free(rects);
    g_free(other);
    g_free(other_rects);
    return status;
}

/* ---- drawing ---- */

/* Fresh paper: the page's own memory, with four bytes a pixel. */
static cairo_surface_t *white_paper(const dsvl_page *page)
{
    const int stride = 4 * page->width; /* cairo wants no more */
    memset(page->pixels, 0xff, (size_t)stride * (size_t)page->height);
    return cairo_image_surface_create_for_data(page->pixels, CAIRO_FORMAT_RGB24, page->width, page->height,
                                               stride);
}

static cairo_t *pen_on(cairo_surface_t *paper)
{
    cairo_t *cairo = cairo_create(paper);
    /* The same glyph shapes at every size and on every machine, whatever the desktop's font settings. */
    cairo_font_options_t *fonts = cairo_font_options_create();
    cairo_font_options_set_hint_style(fonts, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(fonts, CAIRO_HINT_METRICS_OFF);
    cairo_set_font_options(cairo, fonts);
    cairo_font_options_destroy(fonts);
    return cairo;
}

static int draw_page(const pdf_state *pdf, PopplerPage *poppler, dsvl_page *page, dsvl_error *err)
{
    cairo_surface_t *paper = white_paper(page);
    cairo_t *cairo = pen_on(paper);
    cairo_scale(cairo, page->scale_x, page->scale_y);
    cairo_translate(cairo, -page->box[0], -page->box[1]);
    poppler_page_render(poppler, cairo);
    cairo_status_t status = cairo_status(cairo);
    cairo_destroy(cairo);
    cairo_surface_finish(paper); /* also where something still holds it */
    cairo_surface_destroy(paper);
    if (status) {
        return dsvl_fail(err, status == CAIRO_STATUS_NO_MEMORY ? DSVL_E_MEMORY : DSVL_E_INPUT,
                         "the page cannot be drawn: %s%s%s", cairo_status_to_string(status), colon(pdf),
                         pdf->complaint);
    }
    const void *drawn = page->pixels; /* pages are aligned, and rows without gaps */
    dsvl_pixels_from_rgb24(page->pixels, drawn, (size_t)page->width * (size_t)page->height);
    return 0;
}

static int pdf_render(dsvl_source *source, int index, dsvl_page *page, bool words, dsvl_error *err)
{
    pdf_state *pdf = source->state;
    listener l;
    listen_to(&l, pdf);
    PopplerPage *poppler = get_page(pdf, index, err);
    int status = poppler ? draw_page(pdf, poppler, page, err) : -1;
    if (status == 0 && words)
        status = read_words(pdf, poppler, page, err); /* the drawing gathered the text on its way */
    if (poppler) g_object_unref(poppler);
    listen_no_more(&l);
    if (status) return -1;
    page->damaged = pdf->damaged;
    dsvl_dealloc(page->warning);
    page->warning = pdf->complaint[0] ? dsvl_strdup(pdf->complaint) : NULL;
    return pdf->complaint[0] && !page->warning ? dsvl_fail_memory(err, sizeof pdf->complaint) : 0;
}

/* ---- what documents share ---- */

static const char small_pdf[] = "%PDF-1.4\n"
                                "1 0 obj<</Type/Catalog/Pages 2 0 R>> endobj\n"
                                "2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>> endobj\n"
                                "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>> endobj\n"
                                "xref\n"
                                "0 4\n"
                                "0000000000 65535 f \n"
                                "0000000009 00000 n \n"
                                "0000000053 00000 n \n"
                                "0000000103 00000 n \n"
                                "trailer<</Size 4/Root 1 0 R>>\nstartxref\n163\n%%EOF\n";

/* Poppler drops its tables with the last document: this one stays open. */
void dsvl_source_pdf_prepare(void)
{
    static dsvl_source *source;
    dsvl_render_options options = dsvl_render_defaults();
    dsvl_page page;
    dsvl_error ignored = {0}; /* documents then load what is missing, and fail themselves */
    if (source) return;
    source = dsvl_source_open((const unsigned char *)small_pdf, sizeof small_pdf - 1, &dsvl_source_pdf,
                              &options, &ignored);
    if (source && dsvl_source_render(source, 0, &page, &ignored) == 0) dsvl_page_free(&page);
}

const dsvl_source_format dsvl_source_pdf = {.name = "PDF",
                                            .detect = pdf_detect,
                                            .open = pdf_open,
                                            .close = pdf_close,
                                            .measure = pdf_measure,
                                            .render = pdf_render};
