/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/page_record.h"

#include <string.h>

#include "lib/alloc.h"

const char *dsvl_page_origin_place(const dsvl_page_origin *origin, char buffer[256])
{
    const char *name = strcmp(origin->document, "-") == 0 ? "standard input" : origin->document;
    if (origin->page > 0)
        snprintf(buffer, 256, "%.220s, page %ld", name, origin->page);
    else
        snprintf(buffer, 256, "%.250s", name);
    return buffer;
}

static int set_origin(dsvl_record *record, const dsvl_page_origin *origin, dsvl_error *err)
{
    if (dsvl_record_set(record, DSVL_KEY_DOCUMENT, origin->document, err)) return -1;
    if (origin->page > 0 && dsvl_record_setf(record, DSVL_KEY_PAGE, err, "%ld", origin->page)) return -1;
    if (origin->pages > 0 && dsvl_record_setf(record, DSVL_KEY_PAGES, err, "%ld", origin->pages)) return -1;
    return 0;
}

static int set_facts(dsvl_record *r, const dsvl_page *p, dsvl_error *err)
{
    const double *b = p->box;
    if (p->label && dsvl_record_set(r, DSVL_KEY_LABEL, p->label, err)) return -1;
    if (p->warning && dsvl_record_set(r, DSVL_KEY_WARNING, p->warning, err)) return -1;
    if (p->mirrored && dsvl_record_set(r, DSVL_KEY_MIRRORED, "1", err)) return -1;
    if (dsvl_record_setf(r, DSVL_KEY_WIDTH_PT, err, "%.10g", p->width_pt) ||
        dsvl_record_setf(r, DSVL_KEY_HEIGHT_PT, err, "%.10g", p->height_pt) ||
        dsvl_record_setf(r, DSVL_KEY_DPI, err, "%.10g", 72 * p->scale_x) ||
        dsvl_record_setf(r, DSVL_KEY_ROTATION, err, "%d", p->rotation) ||
        dsvl_record_setf(r, DSVL_KEY_CROP, err, "%.10g %.10g %.10g %.10g", b[0], b[1], b[2], b[3])) {
        return -1;
    }
    return dsvl_record_setf(r, DSVL_KEY_TO_POINTS, err, "%.10g 0 0 %.10g %.10g %.10g", 1 / p->scale_x,
                            1 / p->scale_y, b[0], b[1]);
}

/* Move a block into a tensor of the record; *block is NULL afterwards. */
static int put_block(dsvl_record *record, const char *name, dsvl_dtype dtype, int rank, const int64_t *shape,
                     void *block, dsvl_error *err)
{
    dsvl_tensor tensor = {.dtype = dtype, .rank = rank, .data = block};
    size_t elements;
    memcpy(tensor.shape, shape, (size_t)rank * sizeof *shape);
    if (!dsvl_shape_bytes(dtype, rank, shape, &elements, &tensor.nbytes)) {
        dsvl_tensor_free(&tensor);
        return dsvl_fail(err, DSVL_E_INTERNAL, "tensor %s has no valid shape", name);
    }
    return dsvl_record_put_take(record, name, &tensor, err);
}

#define PUT(name, dtype, rank, shape, field)                                                                 \
    (block = (field), (field) = NULL, put_block(record, name, dtype, rank, shape, block, err))

int dsvl_words_put_take(dsvl_record *record, dsvl_words *w, dsvl_error *err)
{
    if (!w->offsets && !(w->offsets = dsvl_alloc_zero(1, sizeof *w->offsets))) /* no words at all */
        return dsvl_fail_memory(err, sizeof *w->offsets);
    int64_t n = (int64_t)w->count, n1 = n + 1, bytes = (int64_t)w->bytes, boxes[2] = {n, 4};
    void *block;
    if (PUT(DSVL_WORDS_BOXES, DSVL_F32, 2, boxes, w->boxes)) return -1;
    if (PUT(DSVL_WORDS_FONT_SIZE, DSVL_F32, 1, &n, w->font_size)) return -1;
    if (PUT(DSVL_WORDS_OFFSETS, DSVL_I32, 1, &n1, w->offsets)) return -1;
    if (PUT(DSVL_WORDS_FLAGS, DSVL_U8, 1, &n, w->flags)) return -1;
    if (w->logprob && PUT(DSVL_WORDS_LOGPROB, DSVL_F32, 1, &n, w->logprob)) return -1;
    return PUT(DSVL_WORDS_TEXT, DSVL_U8, 1, &bytes, w->text);
}

dsvl_record *dsvl_page_record_new_take(const dsvl_page_origin *origin, dsvl_page *page, dsvl_error *err)
{
    dsvl_record *record = dsvl_record_new("page", err);
    const int64_t shape[3] = {page->height, page->width, 3}; /* [H, W, 3] */
    void *block;
    if (!record || set_origin(record, origin, err) || set_facts(record, page, err) ||
        PUT("pixels", DSVL_U8, 3, shape, page->pixels) ||
        (page->words.count && dsvl_words_put_take(record, &page->words, err))) {
        dsvl_record_free(record);
        record = NULL;
    }
    dsvl_page_free(page);
    return record;
}

int dsvl_page_record_hash(dsvl_record *record, dsvl_error *err)
{
    const dsvl_tensor *pixels = dsvl_record_need(record, "pixels", DSVL_U8, 3, err); /* [H, W, 3] */
    char hex[65];
    if (!pixels) return -1;
    dsvl_tensor_hash(pixels, hex);
    return dsvl_record_set(record, DSVL_KEY_HASH, hex, err);
}

dsvl_record *dsvl_page_record_failed(const dsvl_page_origin *origin, const char *stage,
                                     const dsvl_error *cause, dsvl_error *err)
{
    dsvl_record *record = dsvl_record_new("page", err);
    if (record && (set_origin(record, origin, err) || dsvl_record_to_error(record, stage, cause, err))) {
        dsvl_record_free(record);
        record = NULL;
    }
    return record;
}
