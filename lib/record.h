/* SPDX-License-Identifier: Apache-2.0 */
/* The record stream that flows through the pipes: see dsvl-stream(5). A stream is a concatenation of records;
 * each record is a whole safetensors file with its facts as strings in __metadata__. It ends with an end
 * record.
 *
 * Metadata keys used by every kind are named here so that no program spells them itself. */
#ifndef DSVL_LIB_RECORD_H
#define DSVL_LIB_RECORD_H

#include <stdio.h>

#include "lib/safetensors.h"

#define DSVL_KEY_KIND "dsvl.kind"         /* page region tiles embeddings error end */
#define DSVL_KEY_VERSION "dsvl.version"   /* version of the stream format: "1" */
#define DSVL_KEY_DOCUMENT "document"      /* path as the user gave it, "-" for standard input */
#define DSVL_KEY_PAGE "page"              /* number in the document, from 1 */
#define DSVL_KEY_PAGES "pages"            /* pages in the document */
#define DSVL_KEY_LABEL "page_label"       /* "iv": as the document numbers it */
#define DSVL_KEY_WIDTH_PT "page_width_pt" /* after rotation */
#define DSVL_KEY_HEIGHT_PT "page_height_pt"
#define DSVL_KEY_DPI "dpi"
#define DSVL_KEY_ROTATION                                                                                    \
    "rotation"                  /* degrees clockwise that the page was turned for display: 0 90 180 270 */
#define DSVL_KEY_CROP "crop_pt" /* "x0 y0 x1 y1": the part of the page that the pixels show, points */
#define DSVL_KEY_TO_POINTS                                                                                   \
    "pixel_to_point" /* "a b c d e f": x_pt = a*x + c*y + e, y_pt = b*x + d*y + f; b and c are 0 but in      \
                        regions of crooked scans */
#define DSVL_KEY_HASH "pixels_hash"          /* dsvl_tensor_hash of the pixels */
#define DSVL_KEY_SOURCE_HASH "document_hash" /* optional: content hash of the document's bytes */
#define DSVL_KEY_MIRRORED                                                                                    \
    "mirrored" /* "1": the page was also flipped, left to right, before it was turned                        \
                */
#define DSVL_KEY_WARNING                                                                                     \
    "warning" /* what the document's reader complained about although the page was drawn */
#define DSVL_KEY_TEXT_LAYER "text_layer"         /* "read": a model read the words from the pixels */
#define DSVL_KEY_REGION "region"                 /* region: number in reading order, from 1 */
#define DSVL_KEY_REGIONS "regions"               /* of the page */
#define DSVL_KEY_REGION_KIND "region_kind"       /* text table figure blank */
#define DSVL_KEY_REGION_PART "region_part"       /* "1/3": of a table or text that was cut; absent: whole */
#define DSVL_KEY_REGION_OVERLAP "region_overlap" /* rows shared with the part before */
#define DSVL_KEY_PAGE_KINDS "page_kinds"         /* kinds of the page's regions: "text,table" */
#define DSVL_KEY_PAGE_CROP "page_crop_pt"        /* crop_pt of the page that the region is of */
#define DSVL_KEY_ZOOM "zoom"                     /* pixels of the region to one of the page */
#define DSVL_KEY_EM "em_px"                      /* type size in pixels of the region */
#define DSVL_KEY_TILES_COLS "tiles_cols"         /* tiles, embeddings: the local grid */
#define DSVL_KEY_TILES_ROWS "tiles_rows"
#define DSVL_KEY_TILE_SIZE "tile_size" /* pixels a side */
#define DSVL_KEY_CONTENT_BOX                                                                                 \
    "content_box" /* "x y width height" of the page in the mosaic of local tiles, pixels */
#define DSVL_KEY_IMAGE_WIDTH "image_width" /* of the pixels that were tiled */
#define DSVL_KEY_IMAGE_HEIGHT "image_height"
#define DSVL_KEY_TILES_HASH "tiles_hash" /* dsvl_tensor_hash of the tiles */
#define DSVL_KEY_MODEL "model"           /* embeddings: name of the folder of weights that made them */
#define DSVL_KEY_MODEL_HASH "model_hash" /* embeddings: dsvl_model_hash of it */
#define DSVL_KEY_STAGE "stage"           /* error: the program that failed */
#define DSVL_KEY_MESSAGE "message"       /* error: what went wrong */
#define DSVL_KEY_CAUSE "cause"           /* error: one word: usage input model limit memory io internal */
#define DSVL_KEY_MADE_BY "made_by" /* "dsvl-rasterize 0.1.0 --dpi=150; dsvl-tile 0.1.0": one per stage */
#define DSVL_KEY_SECONDS "seconds" /* "rasterize=0.052 tile=0.004": one per stage */

/* The tensors of a page's text layer: see filters/words.h. */
#define DSVL_WORDS_BOXES "words.boxes"
#define DSVL_WORDS_TEXT "words.text"
#define DSVL_WORDS_OFFSETS "words.offsets"
#define DSVL_WORDS_FONT_SIZE "words.font_size"
#define DSVL_WORDS_FLAGS "words.flags"
#define DSVL_WORDS_LOGPROB "words.logprob"

typedef struct dsvl_record {
    json_t *metadata;       /* object of strings */
    dsvl_st_entry *entries; /* tensors with owned data */
    size_t count;
} dsvl_record;

dsvl_record *dsvl_record_new(const char *kind, dsvl_error *err);
void dsvl_record_free(dsvl_record *record); /* NULL-safe */

const char *dsvl_record_kind(const dsvl_record *record); /* "" when absent */
bool dsvl_record_is(const dsvl_record *record, const char *kind);
const char *dsvl_record_get(const dsvl_record *record, const char *key); /* NULL when absent */
/* Bytes of value that are not UTF-8 (file names) are stored as U+FFFD. */
int dsvl_record_set(dsvl_record *record, const char *key, const char *value, dsvl_error *err);
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
int dsvl_record_setf(dsvl_record *record, const char *key, dsvl_error *err, const char *format, ...);
/* Append a stage's contribution to a list-valued key (made_by, seconds), with the given separator. */
int dsvl_record_append(dsvl_record *record, const char *key, const char *separator, const char *value,
                       dsvl_error *err);
/* A number in [low, high] from the metadata; error when it is absent, malformed or out of range. */
int dsvl_record_int(const dsvl_record *record, const char *key, long low, long high, long *value,
                    dsvl_error *err);
int dsvl_record_double(const dsvl_record *record, const char *key, double *value, dsvl_error *err);

/* The tensor of that name, NULL when absent. */
const dsvl_tensor *dsvl_record_tensor(const dsvl_record *record, const char *name);
/* The same, but absent, another dtype or another rank is an error that names record and tensor. */
const dsvl_tensor *dsvl_record_need(const dsvl_record *record, const char *name, dsvl_dtype dtype, int rank,
                                    dsvl_error *err);
/* Add or replace a tensor; its data passes to the record (on failure too, it is then freed). */
int dsvl_record_put_take(dsvl_record *record, const char *name, dsvl_tensor *tensor, dsvl_error *err);
void dsvl_record_swap(dsvl_record *record, const char *name,
                      dsvl_tensor *tensor);                   /* one for another, if there */
void dsvl_record_drop(dsvl_record *record, const char *name); /* remove a tensor, if there */

/* "report.pdf, page 3" for messages, into a caller's buffer. */
const char *dsvl_record_place(const dsvl_record *record, char buffer[256]);

/* Turn a record into an error record: tensors are dropped, stage and message set, provenance kept. */
int dsvl_record_to_error(dsvl_record *record, const char *stage, const dsvl_error *cause, dsvl_error *err);

/* ---- reading ---- */
typedef struct dsvl_reader dsvl_reader;
/* Limits on what a record may claim; a larger claim is an error before any memory is taken. */
#define DSVL_RECORD_LIMIT ((uint64_t)4 << 30)

/* The text as valid UTF-8: every byte outside a well-formed sequence becomes U+FFFD. Owned (dsvl_dealloc),
 * NULL when memory is out. */
char *dsvl_utf8(const char *text, size_t length);

/* Read records from a descriptor (borrowed). `name` stands in messages ("standard input"). */
dsvl_reader *dsvl_reader_new(int descriptor, const char *name, dsvl_error *err);
void dsvl_reader_free(dsvl_reader *reader);
/* 1: *record is a new owned record (never an end record). 0: the stream has ended well. -1: error; a stream
 * that is cut short, without its end record, or whose counts disagree is one. Concatenated streams are read
 * as one. */
int dsvl_reader_next(dsvl_reader *reader, dsvl_record **record, dsvl_error *err);
/* Have `wait` called before every read() of the descriptor: it returns 0 when there is something to read, or
 * -1 with *err filled when the reader shall give up (a time limit). */
typedef int (*dsvl_wait_fn)(void *user, int descriptor, dsvl_error *err);
void dsvl_reader_set_wait(dsvl_reader *reader, dsvl_wait_fn wait, void *user);
/* Look at the first n <= 16 bytes without consuming them (to tell a stream from a picture): how many there
 * are. */
long dsvl_reader_peek(dsvl_reader *reader, unsigned char *bytes, size_t n, dsvl_error *err);
/* Whether the next record (or its first bytes) can be read without waiting. */
bool dsvl_reader_ready(const dsvl_reader *reader);
/* Take all remaining bytes (a picture on standard input). *data is owned. */
int dsvl_reader_slurp(dsvl_reader *reader, size_t limit, unsigned char **data, size_t *length,
                      dsvl_error *err);

/* ---- writing ---- */
typedef struct dsvl_writer dsvl_writer;
dsvl_writer *dsvl_writer_new(int descriptor, const char *name, dsvl_error *err);
void dsvl_writer_free(dsvl_writer *writer);
int dsvl_writer_put(dsvl_writer *writer, const dsvl_record *record, dsvl_error *err);
/* Write the end record (counts by kind) and nothing after it. 0 or -1. */
int dsvl_writer_end(dsvl_writer *writer, dsvl_error *err);
size_t dsvl_writer_count(const dsvl_writer *writer, const char *kind);

#endif
