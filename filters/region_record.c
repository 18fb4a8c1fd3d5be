/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/region_record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters/page_record.h"
#include "lib/alloc.h"

/* ---- from a page ---- */

/* The six numbers of pixel_to_point; a page record is never turned or sheared. */
static int read_mapping(dsvl_page_view *view, const dsvl_record *page, dsvl_error *err)
{
    const char *text = dsvl_record_get(page, DSVL_KEY_TO_POINTS);
    double v[6] = {1, 0, 0, 1, 0, 0}; /* a picture without a scale: a pixel is a point */
    for (int i = 0; text && i < 6; i++) {
        char *end;
        v[i] = strtod(text, &end);
        if (end == text || !isfinite(v[i]))
            return dsvl_fail(err, DSVL_E_INPUT, "%s is not six numbers", DSVL_KEY_TO_POINTS);
        text = end;
    }
    if (!(v[0] > 1e-4 && v[0] < 1e4 && v[3] > 1e-4 && v[3] < 1e4 && v[1] == 0 && v[2] == 0))
        return dsvl_fail(err, DSVL_E_INPUT, "%s of a page must be \"x 0 0 y tx ty\" with positive x and y",
                         DSVL_KEY_TO_POINTS);
    view->scale[0] = v[0], view->scale[1] = v[3];
    view->origin[0] = v[4], view->origin[1] = v[5];
    return 0;
}

static int read_words(dsvl_words *words, const dsvl_record *page, dsvl_error *err)
{
    memset(words, 0, sizeof *words);
    if (!dsvl_record_tensor(page, DSVL_WORDS_BOXES)) return 0;
    const dsvl_tensor *boxes = dsvl_record_need(page, DSVL_WORDS_BOXES, DSVL_F32, 2, err);
    const dsvl_tensor *offsets = dsvl_record_need(page, DSVL_WORDS_OFFSETS, DSVL_I32, 1, err);
    const dsvl_tensor *sizes = dsvl_record_need(page, DSVL_WORDS_FONT_SIZE, DSVL_F32, 1, err);
    const dsvl_tensor *flags = dsvl_record_need(page, DSVL_WORDS_FLAGS, DSVL_U8, 1, err);
    const dsvl_tensor *text = dsvl_record_need(page, DSVL_WORDS_TEXT, DSVL_U8, 1, err);
    if (!boxes || !offsets || !sizes || !flags || !text) return -1;
    int64_t n = boxes->shape[0];
    if (boxes->shape[1] != 4 || offsets->shape[0] != n + 1 || sizes->shape[0] != n || flags->shape[0] != n)
        return dsvl_fail(err, DSVL_E_INPUT,
                         "the tensors of the text layer disagree about how many words there are");
    *words = (dsvl_words){.count = (size_t)n,
                          .boxes = boxes->data,
                          .offsets = offsets->data,
                          .font_size = sizes->data,
                          .flags = flags->data,
                          .text = text->data,
                          .bytes = text->nbytes};
    for (int64_t i = 0; i <= n; i++) {
        int32_t at = words->offsets[i];
        if (at < 0 || (size_t)at > words->bytes || (i > 0 && at < words->offsets[i - 1]))
            return dsvl_fail(err, DSVL_E_INPUT, "%s is not ascending within the text", DSVL_WORDS_OFFSETS);
    }
    for (int64_t i = 0; i < 4 * n; i++) {
        if (!(fabsf(words->boxes[i]) < 1e7f))
            return dsvl_fail(err, DSVL_E_INPUT, "%s holds no place on a page", DSVL_WORDS_BOXES);
    }
    return 0;
}

int dsvl_page_view_of(dsvl_page_view *view, const dsvl_record *page, dsvl_error *err)
{
    const dsvl_tensor *pixels = dsvl_record_need(page, "pixels", DSVL_U8, 3, err); /* [H, W, 3] */
    memset(view, 0, sizeof *view);
    if (!pixels) return -1;
    if (pixels->shape[2] != 3 || pixels->shape[0] < 1 || pixels->shape[1] < 1 ||
        pixels->shape[0] > DSVL_RESIZE_MAX_SIDE || pixels->shape[1] > DSVL_RESIZE_MAX_SIDE)
        return dsvl_fail(err, DSVL_E_INPUT, "pixels of shape [%lld, %lld, %lld] are no RGB page",
                         (long long)pixels->shape[0], (long long)pixels->shape[1],
                         (long long)pixels->shape[2]);
    view->picture = (dsvl_picture){pixels->data, (size_t)pixels->shape[1] * 3, (int)pixels->shape[1],
                                   (int)pixels->shape[0], 3};
    return read_mapping(view, page, err) || read_words(&view->words, page, err) ? -1 : 0;
}

/* ---- to a region ---- */

static dsvl_record *copy_facts(const dsvl_record *page, dsvl_error *err)
{
    dsvl_record *record = dsvl_record_new("region", err);
    const char *key;
    json_t *value;
    if (!record) return NULL;
    json_object_foreach(page->metadata, key, value)
    {
        if (strcmp(key, DSVL_KEY_KIND) == 0 || !json_is_string(value)) continue;
        if (dsvl_record_set(record, key, json_string_value(value), err)) {
            dsvl_record_free(record);
            return NULL;
        }
    }
    return record;
}

static int put_words(dsvl_record *record, const dsvl_words *from, const double box[4], dsvl_error *err)
{
    dsvl_words words = {0};
    int status = -1;
    for (size_t i = 0; i < from->count; i++) {
        const float *b = from->boxes + 4 * i;
        double word[4] = {(double)b[0], (double)b[1], (double)b[2], (double)b[3]};
        if (dsvl_words_add(&words, word, from->text + from->offsets[i],
                           (size_t)(from->offsets[i + 1] - from->offsets[i]), (double)from->font_size[i],
                           from->flags[i], err))
            goto out;
    }
    dsvl_words_keep(&words, box);
    status = dsvl_words_put_take(record, &words, err);
out:
    dsvl_words_free(&words);
    return status;
}

/* Facts of where the region is: box of the page's pixels, zoom from them, place of the box on the canvas. */
static int set_place(dsvl_record *r, const dsvl_page_view *view, const double box[4], double zoom, int margin,
                     dsvl_error *err)
{
    const double sx = view->scale[0], sy = view->scale[1], ox = view->origin[0], oy = view->origin[1];
    if (dsvl_record_setf(r, DSVL_KEY_CROP, err, "%.10g %.10g %.10g %.10g", sx * box[0] + ox, sy * box[1] + oy,
                         sx * box[2] + ox, sy * box[3] + oy) ||
        dsvl_record_setf(r, DSVL_KEY_TO_POINTS, err, "%.10g 0 0 %.10g %.10g %.10g", sx / zoom, sy / zoom,
                         ox + sx * (box[0] - margin / zoom), oy + sy * (box[1] - margin / zoom)) ||
        dsvl_record_setf(r, DSVL_KEY_DPI, err, "%.10g", 72 * zoom / sx))
        return -1;
    return dsvl_record_setf(r, DSVL_KEY_ZOOM, err, "%.6g", zoom);
}

static int set_kind(dsvl_record *r, const dsvl_region *region, const dsvl_region_place *place,
                    dsvl_error *err)
{
    if (dsvl_record_setf(r, DSVL_KEY_REGION, err, "%zu", place->number) ||
        dsvl_record_setf(r, DSVL_KEY_REGIONS, err, "%zu", place->count) ||
        dsvl_record_set(r, DSVL_KEY_REGION_KIND, region ? dsvl_part_kind_name(region->kind) : "blank", err))
        return -1;
    if (!region) return 0;
    if (dsvl_record_setf(r, DSVL_KEY_EM, err, "%.4g", region->em)) return -1;
    if (region->parts > 1 &&
        dsvl_record_setf(r, DSVL_KEY_REGION_PART, err, "%d/%d", region->part, region->parts))
        return -1;
    if (region->overlap && dsvl_record_setf(r, DSVL_KEY_REGION_OVERLAP, err, "%d", region->overlap))
        return -1;
    return 0;
}

/* A blank page shrinks into the canvas, which shows its paper only. */
static int draw_blank(dsvl_tensor *pixels, const dsvl_region_place *place, dsvl_error *err)
{
    const dsvl_region none = {.width = place->blank_width, .height = place->blank_height};
    return dsvl_region_draw(pixels, &none, NULL, place->paper, err);
}

dsvl_record *dsvl_region_record_new(const dsvl_record *page, const dsvl_page_view *view,
                                    const dsvl_region *region, const dsvl_region_place *place,
                                    dsvl_error *err)
{
    dsvl_record *record = copy_facts(page, err);
    const int w = view->picture.width, h = view->picture.height;
    double box[4] = {0, 0, w, h}, points[4];
    double zoom = fmin((double)place->blank_width / w, (double)place->blank_height / h);
    dsvl_tensor pixels = {0};
    if (!record) return NULL;
    if (region) memcpy(box, region->box, sizeof box), zoom = region->zoom;
    if (set_kind(record, region, place, err) ||
        set_place(record, view, box, zoom, region ? region->margin : 0, err))
        goto fail;
    for (int k = 0; k < 4; k++) points[k] = box[k] * view->scale[k & 1] + view->origin[k & 1];
    if (view->words.count && put_words(record, &view->words, points, err)) goto fail;
    if (region ? dsvl_region_draw(&pixels, region, &view->picture, place->paper, err)
               : draw_blank(&pixels, place, err))
        goto fail;
    if (dsvl_record_put_take(record, "pixels", &pixels, err) || dsvl_page_record_hash(record, err)) goto fail;
    return record;
fail:
    dsvl_record_free(record);
    return NULL;
}
