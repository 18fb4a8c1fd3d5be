/* SPDX-License-Identifier: Apache-2.0 */
/* Page sources: a document (PDF, TIFF, JPEG, PNG, netpbm) as a list of pages, each an RGB picture with its
 * facts.
 *
 * Formats are told apart by content, never by name. Each format has one file that includes its library's
 * header; libfilters holds the picture formats, and a program that also reads PDF passes &dsvl_source_pdf
 * when it opens.
 *
 * Points (1/72 inch) have their origin at the top left corner of the page as it is displayed, y downwards. */
#ifndef DSVL_FILTERS_SOURCE_H
#define DSVL_FILTERS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/page_pool.h"
#include "filters/words.h"
#include "lib/error.h"

/* ---- a document's bytes ---- */

typedef struct dsvl_bytes {
    const unsigned char *data;
    size_t length;
    bool mapped; /* by mmap; else from dsvl_alloc */
} dsvl_bytes;

#define DSVL_DOCUMENT_LIMIT ((size_t)4 << 30) /* what is read from a pipe before giving up */

/* Open a document: a regular file is mapped, anything else ("-" is standard input) is read to its end, at
 * most `limit` bytes of it. 0 or -1. */
int dsvl_bytes_open(dsvl_bytes *bytes, const char *path, size_t limit, dsvl_error *err);
/* The same for a descriptor from dsvl_document_open, which may be closed afterwards. */
int dsvl_bytes_map(dsvl_bytes *bytes, int descriptor, dsvl_error *err);
void dsvl_bytes_close(dsvl_bytes *bytes);

/* A descriptor of a document that can be read more than once and in any place: the file itself, or where it
 * is none ("-", a pipe) a copy in memory of at most `limit` bytes. -1 with *err filled. */
int dsvl_document_open(const char *path, size_t limit, dsvl_error *err);

/* ---- pages ---- */

typedef struct dsvl_render_options {
    double dpi;    /* PDF pages; pictures keep the pixels that they have */
    long scale_to; /* long side in pixels, for all formats; 0: off */
    bool crop;     /* keep only crop_pt: x0 y0 x1 y1 */
    double crop_pt[4];
    bool trim;            /* cut to the ink, keeping a margin around it */
    double trim_margin;   /* points */
    bool gray;            /* luma in all three channels */
    bool text_layer;      /* fill dsvl_page.words */
    uint64_t max_pixels;  /* per page, of what is decoded and of what is returned */
    const char *password; /* NULL: none; the empty one is always tried */
    dsvl_page_pool
        *pool; /* where the pixels come from; NULL: fresh memory. A block may be larger than its page */
} dsvl_render_options;

/* dpi 150, trim_margin 9, text layer, 200 million pixels. */
dsvl_render_options dsvl_render_defaults(void);

typedef struct dsvl_page {
    uint8_t *pixels; /* [height, width, 3], RGB, owned */
    int width, height;
    double width_pt, height_pt; /* the whole page, after rotation */
    double scale_x, scale_y;    /* pixels per point */
    double box[4];              /* x0 y0 x1 y1, points: what the pixels show; x_pt = x / scale_x + box[0] */
    int rotation;               /* degrees clockwise that the page was turned for display */
    bool mirrored;    /* and it was flipped left to right first (EXIF and TIFF orientations 2 4 5 7) */
    char *label;      /* "iv", as the document numbers its pages; NULL: none; owned */
    char *warning;    /* what the format's library complained about while rendering; NULL: nothing; owned */
    bool damaged;     /* and it says that a part of the page is missing */
    dsvl_words words; /* the text layer; count 0 when there is none */
} dsvl_page;

void dsvl_page_free(dsvl_page *page); /* frees what it owns and zeroes it */

/* ---- sources ---- */

typedef struct dsvl_source dsvl_source;

/* A format. `measure` fills size, rotation and label. A scalable format renders `page->box` at scale_x,
 * scale_y into page->pixels, whose size is checked and which have room for four bytes a pixel, so that it can
 * draw there what it then makes three bytes of. A picture format decodes into new
 * page->pixels and fills the size and scales; it must call dsvl_page_allocate to allocate them. */
typedef struct dsvl_source_format {
    const char *name; /* "PDF" */
    bool (*detect)(const unsigned char *data, size_t length);
    int (*open)(dsvl_source *source, dsvl_error *err);
    void (*close)(dsvl_source *source);
    int (*measure)(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err); /* scalable formats */
    int (*render)(dsvl_source *source, int index, dsvl_page *page, bool words,
                  dsvl_error *err);                                                  /* scalable formats */
    int (*decode)(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err); /* picture formats */
} dsvl_source_format;

struct dsvl_source {
    const dsvl_source_format *format;
    const unsigned char *data; /* borrowed */
    size_t length;
    dsvl_render_options options;
    int pages;
    char damage[256]; /* set by open: the document goes on, but its reader could not follow; "": whole */
    void *state;      /* the format's own */
};

extern const dsvl_source_format dsvl_source_pdf; /* linked into dsvl-rasterize alone */
extern const dsvl_source_format dsvl_source_tiff, dsvl_source_jpeg, dsvl_source_png, dsvl_source_ppm;

/* Load what all PDF documents share (fonts' configuration, Poppler's tables), so that processes that are
 * forked later find it in place. */
void dsvl_source_pdf_prepare(void);

/* Whether a document that begins like this is a picture (TIFF, JPEG, PNG, PNM). */
bool dsvl_source_is_picture(const unsigned char *data, size_t length);

/* Open a document; `data` is borrowed and must outlive the source. extra: one more format, or NULL. Errors do
 * not name the document: callers prefix it. NULL with *err filled when no format fits, or the document cannot
 * be opened. */
dsvl_source *dsvl_source_open(const unsigned char *data, size_t length, const dsvl_source_format *extra,
                              const dsvl_render_options *options, dsvl_error *err);
void dsvl_source_close(dsvl_source *source); /* NULL-safe */

const char *dsvl_source_name(const dsvl_source *source); /* the format's name */
int dsvl_source_pages(const dsvl_source *source);
/* What is wrong with the document as a whole although pages can be had (it is cut short): NULL when nothing
 * is. */
const char *dsvl_source_damage(const dsvl_source *source);

/* Page `index` (from 0). The page is owned by the caller (dsvl_page_free); on failure it is empty. */
int dsvl_source_render(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err);

/* ---- for formats ---- */

/* Refuse width x height when it is empty or over the limit; otherwise allocate page->pixels [height, width,
 * 3]. */
int dsvl_page_allocate(dsvl_page *page, uint64_t width, uint64_t height, const dsvl_render_options *options,
                       dsvl_error *err);
/* The scales of a picture from its own resolution (dots per inch); values that cannot be meant count as 72.
 */
void dsvl_page_resolution(dsvl_page *page, double x_dpi, double y_dpi);

#endif
