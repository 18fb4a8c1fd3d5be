/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/region.h"

#include <math.h>
#include <string.h>

#include "lib/alloc.h"

/* In em: paper about the content on the canvas; blocks of text further apart are not put together. */
static const double MARGIN = 0.4;
static const double TEXT_GAP = 3.0;
static const double RUNNING_GAP = 1.5; /* of running titles and page numbers */
/* Type sizes that may share a zoom. */
static const double SIZES = 1.35;

typedef struct plan {
    dsvl_regions *out;
    size_t capacity;
    const dsvl_processor_config *processor;
    int width, height; /* of the page */
    double em;
    int tiles;
} plan;

/* ---- canvas ---- */

static bool allowed(const plan *p, const int *c)
{
    return (long)(c[0] / p->processor->tile_size) * (c[1] / p->processor->tile_size) <= p->tiles;
}

/* The candidate of least area that holds so many pixels; NULL: none. */
static const int *smallest(const plan *p, double width, double height)
{
    const int *best = NULL;
    for (int i = 0; i < p->processor->candidates; i++) {
        const int *c = p->processor->candidate[i];
        if (!allowed(p, c) || c[0] < width || c[1] < height) continue;
        if (!best || (long)c[0] * c[1] < (long)best[0] * best[1]) best = c;
    }
    return best;
}

static int widest(const plan *p)
{
    int width = p->processor->candidate[0][0];
    for (int i = 0; i < p->processor->candidates; i++) {
        if (allowed(p, p->processor->candidate[i]) && p->processor->candidate[i][0] > width)
            width = p->processor->candidate[i][0];
    }
    return width;
}

/* The tallest candidate for a width. */
static int tallest(const plan *p, double width)
{
    int height = 0;
    for (int i = 0; i < p->processor->candidates; i++) {
        const int *c = p->processor->candidate[i];
        if (allowed(p, c) && c[0] >= width && c[1] > height) height = c[1];
    }
    return height;
}

static int margin_of(const plan *p)
{
    return (int)(MARGIN * p->em + 0.5);
}

static double zoom_of(const plan *p, const dsvl_part *part)
{
    double zoom = p->em / part->em, room = widest(p) - 2 * margin_of(p);
    double width = part->box[2] - part->box[0];
    if (width * zoom > room) zoom = room / width * (1 - 1e-9); /* not a hair wider than the canvas */
    return zoom;
}

static bool fits(const plan *p, const double box[4], double zoom)
{
    double m = 2 * margin_of(p);
    return smallest(p, (box[2] - box[0]) * zoom + m, (box[3] - box[1]) * zoom + m) != NULL;
}

/* Add a region; what no canvas holds is zoomed less. */
static int add(plan *p, const dsvl_part *part, const double box[4], double zoom, int number, int parts,
               int overlap, dsvl_error *err)
{
    dsvl_region r = {
        .kind = part->kind, .part = number, .parts = parts, .overlap = overlap, .margin = margin_of(p)};
    const double m = 2 * r.margin;
    const int *canvas = NULL;
    memcpy(r.box, box, sizeof r.box);
    for (; !(canvas = smallest(p, ceil((box[2] - box[0]) * zoom) + m, ceil((box[3] - box[1]) * zoom) + m));
         zoom *= 0.98) {
        if (zoom * p->height < 1 && zoom * p->width < 1)
            return dsvl_fail(err, DSVL_E_INPUT, "a region of %.0f x %.0f pixels fits no canvas",
                             box[2] - box[0], box[3] - box[1]);
    }
    r.zoom = zoom;
    r.em = part->em * zoom;
    r.width = canvas[0];
    r.height = canvas[1];
    /* Whole pixels of the canvas: the box grows by part of a pixel to the right and downwards, within the
     * page. */
    r.inner_width = (int)ceil((box[2] - box[0]) * zoom - 1e-9);
    r.inner_height = (int)ceil((box[3] - box[1]) * zoom - 1e-9);
    if (box[0] + r.inner_width / zoom > p->width) r.inner_width = (int)((p->width - box[0]) * zoom);
    if (box[1] + r.inner_height / zoom > p->height) r.inner_height = (int)((p->height - box[1]) * zoom);
    if (r.inner_width < 1) r.inner_width = 1;
    if (r.inner_height < 1) r.inner_height = 1;
    r.box[2] = fmin(box[0] + r.inner_width / zoom, p->width);
    r.box[3] = fmin(box[1] + r.inner_height / zoom, p->height);
    void *block = p->out->data;
    bool room = dsvl_grow(&block, &p->capacity, p->out->count + 1, sizeof *p->out->data);
    p->out->data = block;
    if (!room) return dsvl_fail_memory(err, p->capacity * sizeof *p->out->data);
    p->out->data[p->out->count++] = r;
    return 0;
}

/* ---- cutting ---- */

/* The bottom of the piece that begins at top: the last cut within reach, or the first one beyond. overlap: a
 * piece holds so many rows more than the one row that it repeats. */
static double piece_end(const dsvl_part *part, double top, double reach, bool overlap, size_t *cut)
{
    size_t i = 0;
    while (i < part->cut_count && part->cuts[i] <= top) i++;
    if (overlap && i < part->cut_count) i++; /* beyond the repeated row */
    size_t last = i;
    while (last + 1 < part->cut_count && part->cuts[last + 1] <= top + reach) last++;
    *cut = last;
    return last < part->cut_count ? part->cuts[last] : part->box[3];
}

/* Cut with a limit of height; the number of pieces. With p, they are added. */
static int cut_part(plan *p, const dsvl_part *part, double zoom, double reach, int pieces, dsvl_error *err)
{
    const bool table = part->kind == DSVL_PART_TABLE;
    double top = part->box[1];
    for (int n = 1;; n++) {
        size_t cut;
        double bottom = part->box[3];
        bool more = bottom - top > reach && part->cut_count;
        if (more) {
            bottom = piece_end(part, top, reach, table && n > 1, &cut);
            more = bottom < part->box[3];
        }
        const double box[4] = {part->box[0], top, part->box[2], bottom};
        if (pieces && add(p, part, box, zoom, n, pieces, table && n > 1, err)) return -1;
        if (!more) return n;
        top = bottom;
        if (table && cut > 0 && part->cuts[cut - 1] > box[1])
            top = part->cuts[cut - 1];
        else if (table && n == 1)
            top = bottom; /* a single tall row is not repeated */
    }
}

static int add_part(plan *p, const dsvl_part *part, dsvl_error *err)
{
    double zoom = zoom_of(p, part), m = 2 * margin_of(p);
    if (fits(p, part->box, zoom) || part->kind == DSVL_PART_FIGURE)
        return add(p, part, part->box, zoom, 1, 1, 0, err);
    double reach = (tallest(p, (part->box[2] - part->box[0]) * zoom + m) - m) / zoom;
    int pieces = cut_part(p, part, zoom, reach, 0, err);
    /* Pieces of like height: the smallest reach that makes no more of them. */
    double low = (part->box[3] - part->box[1]) / pieces * 0.9, high = reach;
    for (int i = 0; i < 12 && low < high; i++) {
        double middle = (low + high) / 2;
        if (cut_part(p, part, zoom, middle, 0, err) > pieces)
            low = middle;
        else
            high = middle;
    }
    return cut_part(p, part, zoom, high, pieces, err) < 0 ? -1 : 0;
}

/* ---- text put together ---- */

static bool cross(const double a[4], const double b[4])
{
    return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

/* A line alone above or below everything else: a page number, a running title. */
static bool is_running(const dsvl_layout *layout, size_t which)
{
    const dsvl_part *p = &layout->parts[which];
    double above = 1e9, below = 1e9;
    if (p->box[3] - p->box[1] > 1.7 * p->em) return false;
    for (size_t i = 0; i < layout->count; i++) {
        if (i == which) continue;
        below = fmin(below, layout->parts[i].box[1] - p->box[3]);
        above = fmin(above, p->box[1] - layout->parts[i].box[3]);
    }
    return above > RUNNING_GAP * p->em || below > RUNNING_GAP * p->em;
}

/* Whether part j can be read in one with the parts from i on that are joined in *whole. */
static bool may_join(const plan *p, const dsvl_layout *layout, size_t i, size_t j, const dsvl_part *whole)
{
    const dsvl_part *next = &layout->parts[j];
    if (next->kind != DSVL_PART_TEXT || whole->kind != DSVL_PART_TEXT || next->column != whole->column)
        return false;
    if (next->em > SIZES * whole->em || whole->em > SIZES * next->em) return false;
    if (next->box[1] - whole->box[3] > TEXT_GAP * whole->em) return false;
    if (is_running(layout, i) || is_running(layout, j)) return false;
    double box[4] = {fmin(whole->box[0], next->box[0]), fmin(whole->box[1], next->box[1]),
                     fmax(whole->box[2], next->box[2]), fmax(whole->box[3], next->box[3])};
    for (size_t k = 0; k < layout->count; k++) {
        if ((k < i || k > j) && cross(box, layout->parts[k].box)) return false;
    }
    dsvl_part joined = *whole;
    memcpy(joined.box, box, sizeof box);
    return fits(p, box, zoom_of(p, &joined));
}

/* Text parts i to j as one: of the type size of the tallest, with the cuts of both and between them. */
static int join(dsvl_part *whole, const dsvl_part *next, size_t *capacity, dsvl_error *err)
{
    void *block = whole->cuts;
    bool room = dsvl_grow(&block, capacity, whole->cut_count + next->cut_count + 1, sizeof *whole->cuts);
    whole->cuts = block;
    if (!room) return dsvl_fail_memory(err, *capacity * sizeof *whole->cuts);
    whole->cuts[whole->cut_count++] = (whole->box[3] + next->box[1]) / 2;
    for (size_t i = 0; i < next->cut_count; i++) whole->cuts[whole->cut_count++] = next->cuts[i];
    if (next->box[3] - next->box[1] > whole->box[3] - whole->box[1]) whole->em = next->em;
    whole->box[0] = fmin(whole->box[0], next->box[0]);
    whole->box[1] = fmin(whole->box[1], next->box[1]);
    whole->box[2] = fmax(whole->box[2], next->box[2]);
    whole->box[3] = fmax(whole->box[3], next->box[3]);
    return 0;
}

int dsvl_regions_plan(dsvl_regions *regions, const dsvl_layout *layout, int width, int height,
                      const dsvl_processor_config *processor, double em, int tiles, dsvl_error *err)
{
    plan p = {regions, 0, processor, width, height, em, tiles};
    memset(regions, 0, sizeof *regions);
    for (size_t i = 0, j; i < layout->count; i = j) {
        dsvl_part whole = layout->parts[i];
        size_t capacity = 0;
        whole.cuts = NULL;
        whole.cut_count = 0;
        int status = 0;
        for (j = i + 1; j < layout->count && !status && may_join(&p, layout, i, j, &whole); j++)
            status = join(&whole, &layout->parts[j], &capacity, err);
        /* What is joined fits as it is, so only a part that stands alone needs its cuts. */
        if (!status) status = add_part(&p, j > i + 1 ? &whole : &layout->parts[i], err);
        dsvl_dealloc(whole.cuts);
        if (status) {
            dsvl_regions_free(regions);
            return -1;
        }
    }
    return 0;
}

void dsvl_regions_free(dsvl_regions *regions)
{
    dsvl_dealloc(regions->data);
    memset(regions, 0, sizeof *regions);
}

int dsvl_region_draw(dsvl_tensor *pixels, const dsvl_region *r, const dsvl_picture *source,
                     const uint8_t paper[3], dsvl_error *err)
{
    const int64_t shape[3] = {r->height, r->width, 3}; /* [H, W, 3] */
    if (dsvl_tensor_new(pixels, DSVL_U8, 3, shape, err)) return -1;
    uint8_t *data = pixels->data;
    for (size_t i = 0; i < pixels->nbytes; i += 3) memcpy(data + i, paper, 3);
    if (r->inner_width == 0 || r->inner_height == 0) return 0;
    const float box[4] = {(float)r->box[0], (float)r->box[1], fminf((float)r->box[2], (float)source->width),
                          fminf((float)r->box[3], (float)source->height)};
    const size_t stride = (size_t)r->width * 3;
    uint8_t *inner = data + (size_t)r->margin * stride + (size_t)r->margin * 3;
    if (dsvl_resize(inner, stride, r->inner_width, r->inner_height, source, box, DSVL_RESIZE_BICUBIC, err)) {
        dsvl_tensor_free(pixels);
        return -1;
    }
    return 0;
}
