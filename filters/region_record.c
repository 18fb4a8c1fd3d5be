/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/region_record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters/page_record.h"
#include "filters/skew.h"
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
    const dsvl_tensor *logprob = NULL;
    if (dsvl_record_tensor(page, DSVL_WORDS_LOGPROB)) {
        logprob = dsvl_record_need(page, DSVL_WORDS_LOGPROB, DSVL_F32, 1, err);
        if (!logprob) return -1;
    }
    int64_t n = boxes->shape[0];
    if (boxes->shape[1] != 4 || offsets->shape[0] != n + 1 || sizes->shape[0] != n || flags->shape[0] != n ||
        (logprob && logprob->shape[0] != n))
        return dsvl_fail(err, DSVL_E_INPUT,
                         "the tensors of the text layer disagree about how many words there are");
    *words = (dsvl_words){.count = (size_t)n,
                          .boxes = boxes->data,
                          .offsets = offsets->data,
                          .font_size = sizes->data,
                          .flags = flags->data,
                          .logprob = logprob ? logprob->data : NULL,
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

static int read_page(dsvl_page_view *view, const dsvl_record *page, dsvl_error *err)
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

/* A word keeps its size; its middle moves. turn has determinant 1. */
static void place_word(float out[4], const float in[4], const dsvl_page_view *v)
{
    const double *m = v->turn, w = (in[2] - in[0]) / 2.0, h = (in[3] - in[1]) / 2.0;
    double x = ((in[0] + in[2]) / 2.0 - v->origin[0]) / v->scale[0] - m[4];
    double y = ((in[1] + in[3]) / 2.0 - v->origin[1]) / v->scale[1] - m[5];
    double px = (m[3] * x - m[2] * y) * v->scale[0] + v->origin[0];
    double py = (m[0] * y - m[1] * x) * v->scale[1] + v->origin[1];
    out[0] = (float)(px - w), out[1] = (float)(py - h), out[2] = (float)(px + w), out[3] = (float)(py + h);
}

void dsvl_page_view_place(const dsvl_page_view *v, const double box[4], double points[4])
{
    const double *m = v->turn, x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
    for (int axis = 0; axis < 2; axis++) {
        const double middle =
                         (m[axis] * x + m[axis + 2] * y + m[axis + 4]) * v->scale[axis] + v->origin[axis],
                     half = (box[axis + 2] - box[axis]) / 2 * v->scale[axis];
        points[axis] = middle - half;
        points[axis + 2] = middle + half;
    }
}

static int straighten(dsvl_page_view *view, double slope, dsvl_error *err)
{
    dsvl_picture *p = &view->picture;
    const size_t n = (size_t)p->width * (size_t)p->height;
    uint8_t paper[3], *pixels = dsvl_alloc(n, 3);
    float *boxes = dsvl_alloc(view->words.count, 4 * sizeof *boxes);
    view->straight_pixels = pixels;
    view->straight_boxes = boxes;
    if (!pixels || !boxes) return dsvl_fail_memory(err, n * 3);
    if (dsvl_ink_paper(paper, p->pixels, n, err) || dsvl_skew_straighten(pixels, p, slope, paper, err))
        return -1;
    dsvl_skew_matrix(view->turn, slope, p->width, p->height);
    p->pixels = pixels;
    for (size_t i = 0; i < view->words.count; i++) place_word(boxes + 4 * i, view->boxes + 4 * i, view);
    view->words.boxes = boxes;
    return 0;
}

int dsvl_page_view_open(dsvl_page_view *view, const dsvl_record *page, dsvl_error *err)
{
    if (read_page(view, page, err)) return -1;
    view->boxes = view->words.boxes;
    view->has_words = dsvl_record_tensor(page, DSVL_WORDS_BOXES) != NULL;
    view->turn[0] = view->turn[3] = 1;
    double slope = dsvl_skew_find(&view->picture);
    if (slope == 0 || straighten(view, slope, err) == 0) return 0;
    dsvl_page_view_close(view);
    return -1;
}

void dsvl_page_view_close(dsvl_page_view *view)
{
    dsvl_dealloc(view->straight_pixels);
    dsvl_dealloc(view->straight_boxes);
    memset(view, 0, sizeof *view);
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

/* What earlier stages took for the page is shared out among its regions, so that sums stay right. */
static int share_seconds(dsvl_record *record, size_t count, dsvl_error *err)
{
    const char *p = dsvl_record_get(record, DSVL_KEY_SECONDS);
    char shared[1024] = "";
    size_t n = 0;
    while (p && *p && n < sizeof shared - 96) {
        const size_t name = strcspn(p, "= "), whole = strcspn(p, " ");
        if (name < 64 && p[name] == '=')
            n += (size_t)snprintf(shared + n, sizeof shared - n, "%s%.*s=%.5f", n ? " " : "", (int)name, p,
                                  strtod(p + name + 1, NULL) / (double)count);
        p += whole + (p[whole] == ' ');
    }
    return n ? dsvl_record_set(record, DSVL_KEY_SECONDS, shared, err) : 0;
}

static bool same_box(const float a[4], const float b[4])
{
    return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static int put_words(dsvl_record *record, const dsvl_page_view *view, const double box[4], dsvl_error *err)
{
    const dsvl_words *from = &view->words;
    dsvl_words words = {0};
    int status = -1;
    for (size_t i = 0; i < from->count; i++) {
        const float *b = from->boxes + 4 * i;
        double word[4] = {(double)b[0], (double)b[1], (double)b[2], (double)b[3]};
        if (dsvl_words_add(&words, word, from->text + from->offsets[i],
                           (size_t)(from->offsets[i + 1] - from->offsets[i]), (double)from->font_size[i],
                           from->flags[i], err) ||
            (from->logprob && dsvl_words_doubt(&words, (double)from->logprob[i], err)))
            goto out;
    }
    dsvl_words_keep(&words, box);
    /* Places are the page's own. */
    for (size_t i = 0, kept = 0; view->straight_boxes && kept < words.count; i++) {
        if (!same_box(words.boxes + 4 * kept, from->boxes + 4 * i)) continue;
        memcpy(words.boxes + 4 * kept++, view->boxes + 4 * i, 4 * sizeof(float));
    }
    status = dsvl_words_put_take(record, &words, err);
out:
    dsvl_words_free(&words);
    return status;
}

/* The smallest box on the page that holds one of the view. Points. */
static void crop_of(double out[4], const dsvl_page_view *v, const double box[4])
{
    out[0] = out[1] = INFINITY, out[2] = out[3] = -INFINITY;
    for (int corner = 0; corner < 4; corner++) {
        double x = box[corner & 1 ? 2 : 0], y = box[corner & 2 ? 3 : 1];
        double px = (v->turn[0] * x + v->turn[2] * y + v->turn[4]) * v->scale[0] + v->origin[0];
        double py = (v->turn[1] * x + v->turn[3] * y + v->turn[5]) * v->scale[1] + v->origin[1];
        out[0] = fmin(out[0], px), out[1] = fmin(out[1], py), out[2] = fmax(out[2], px),
        out[3] = fmax(out[3], py);
    }
}

/* Facts of where the region is: its box in the view, zooms, place of the box on the canvas. */
static int set_place(dsvl_record *r, const dsvl_page_view *v, const double box[4], double zoom, int margin,
                     dsvl_error *err)
{
    const double sx = v->scale[0], sy = v->scale[1], *m = v->turn;
    const double x = box[0] - margin / zoom, y = box[1] - margin / zoom; /* of the canvas's corner */
    const char *page = dsvl_record_get(r, DSVL_KEY_CROP);
    double crop[4];
    crop_of(crop, v, box);
    if (page && dsvl_record_set(r, DSVL_KEY_PAGE_CROP, page, err)) return -1;
    if (dsvl_record_setf(r, DSVL_KEY_CROP, err, "%.10g %.10g %.10g %.10g", crop[0], crop[1], crop[2],
                         crop[3]) ||
        dsvl_record_setf(r, DSVL_KEY_TO_POINTS, err, "%.10g %.10g %.10g %.10g %.10g %.10g", sx * m[0] / zoom,
                         sy * m[1] / zoom, sx * m[2] / zoom, sy * m[3] / zoom,
                         v->origin[0] + sx * (m[0] * x + m[2] * y + m[4]),
                         v->origin[1] + sy * (m[1] * x + m[3] * y + m[5])) ||
        dsvl_record_setf(r, DSVL_KEY_DPI, err, "%.10g", 72 * zoom / sx))
        return -1;
    return dsvl_record_setf(r, DSVL_KEY_ZOOM, err, "%.6g", zoom);
}

static int set_kind(dsvl_record *r, const dsvl_region *region, const dsvl_region_place *place,
                    dsvl_error *err)
{
    if (dsvl_record_setf(r, DSVL_KEY_REGION, err, "%zu", place->number) ||
        dsvl_record_setf(r, DSVL_KEY_REGIONS, err, "%zu", place->count) ||
        dsvl_record_set(r, DSVL_KEY_PAGE_KINDS, place->kinds, err) ||
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
    int margin = 0;
    dsvl_tensor pixels = {0};
    if (!record) return NULL;
    if (region) {
        memcpy(box, region->box, sizeof box);
        zoom = region->zoom;
        margin = region->margin;
    }
    if (share_seconds(record, place->count, err) || set_kind(record, region, place, err) ||
        set_place(record, view, box, zoom, margin, err))
        goto fail;
    for (int k = 0; k < 4; k++) points[k] = box[k] * view->scale[k & 1] + view->origin[k & 1];
    if (view->has_words && put_words(record, view, points, err)) goto fail;
    if (region ? dsvl_region_draw(&pixels, region, &view->picture, place->paper, err)
               : draw_blank(&pixels, place, err))
        goto fail;
    if (dsvl_record_put_take(record, "pixels", &pixels, err) || dsvl_page_record_hash(record, err)) goto fail;
    return record;
fail:
    dsvl_record_free(record);
    return NULL;
}
