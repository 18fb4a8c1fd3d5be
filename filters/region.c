/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/region.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "lib/alloc.h"

/* In em: paper about the content on the canvas, unless tiles are small; blocks of text further apart are not
 * put together. */
static const double MARGIN = 0.4;
static const double TEXT_GAP = 3.0;
static const double RUNNING_GAP = 1.5; /* of running titles and page numbers */
/* Type sizes that may share a zoom. */
static const double SIZES = 1.35;
/* Type may be so much smaller than is preferred where that saves tiles. */
static const double SMALLER = 0.8;

typedef struct plan {
    dsvl_regions *out;
    size_t capacity;
    const dsvl_processor_config *processor;
    int width, height; /* of the page */
    double em;
    long tiles;
} plan;

/* ---- canvas ---- */

static long tiles_of(const dsvl_processor_config *processor, const int *c)
{
    return (long)(c[0] / processor->tile_size) * (c[1] / processor->tile_size);
}

static bool allowed(const plan *p, const int *c)
{
    return tiles_of(p->processor, c) <= p->tiles;
}

static int margin_of(const plan *p)
{
    return (int)(fmin(MARGIN * p->em, p->processor->tile_size / 8.0) + 0.5);
}

/* The candidate of least area that shows so much of the page at *zoom, or less but at least `least`, which
 * *zoom then is; NULL: none. */
static const int *find_canvas(const plan *p, double width, double height, double least, double *zoom)
{
    const double m = 2 * margin_of(p);
    const int *best = NULL;
    double best_zoom = 0;
    for (int i = 0; i < p->processor->candidates; i++) {
        const int *c = p->processor->candidate[i];
        const double z = fmin(*zoom, fmin((c[0] - m) / width, (c[1] - m) / height));
        if (!allowed(p, c) || z < least * (1 - 1e-9)) continue;
        const long area = (long)c[0] * c[1], best_area = best ? (long)best[0] * best[1] : LONG_MAX;
        if (area > best_area || (area == best_area && z <= best_zoom)) continue;
        best = c;
        best_zoom = z;
    }
    if (best) *zoom = best_zoom;
    return best;
}

/* The zoom that gives type the preferred size, or what the widest canvas allows. */
static double zoom_of(const plan *p, const dsvl_part *part)
{
    int width = 0;
    for (int i = 0; i < p->processor->candidates; i++) {
        if (allowed(p, p->processor->candidate[i]) && p->processor->candidate[i][0] > width)
            width = p->processor->candidate[i][0];
    }
    return fmin(p->em / part->em, (width - 2 * margin_of(p)) / (part->box[2] - part->box[0]));
}

/* The least zoom for type that may be somewhat smaller than is preferred; what no canvas is wide enough for
 * has no choice. */
static double least_of(const plan *p, const dsvl_part *part)
{
    return fmin(zoom_of(p, part), SMALLER * p->em / part->em);
}

static bool fits(const plan *p, const dsvl_part *part)
{
    double zoom = zoom_of(p, part);
    return find_canvas(p, part->box[2] - part->box[0], part->box[3] - part->box[1], least_of(p, part),
                       &zoom) != NULL;
}

static int append(plan *p, const dsvl_region *r, dsvl_error *err)
{
    void *block = p->out->data;
    bool room = dsvl_grow(&block, &p->capacity, p->out->count + 1, sizeof *p->out->data);
    p->out->data = block;
    if (!room) return dsvl_fail_memory(err, p->capacity * sizeof *p->out->data);
    p->out->data[p->out->count++] = *r;
    return 0;
}

/* Add a region; what no canvas holds is zoomed less. */
static int add(plan *p, const dsvl_part *part, const dsvl_region *piece, double least, dsvl_error *err)
{
    dsvl_region r = *piece;
    const double width = r.box[2] - r.box[0], height = r.box[3] - r.box[1];
    const int *canvas = NULL;
    r.kind = part->kind;
    r.margin = margin_of(p);
    for (; !(canvas = find_canvas(p, width, height, least, &r.zoom)); least *= 0.98) {
        if (least * p->height < 1 && least * p->width < 1)
            return dsvl_fail(err, DSVL_E_INPUT, "a region of %.0f x %.0f pixels fits no canvas", width,
                             height);
    }
    r.em = part->em * r.zoom;
    r.width = canvas[0];
    r.height = canvas[1];
    /* Whole pixels of the canvas: the box grows by part of a pixel to the right and downwards, within the
     * page. */
    r.inner_width = (int)ceil(width * r.zoom - 1e-6);
    r.inner_height = (int)ceil(height * r.zoom - 1e-6);
    if (r.box[0] + r.inner_width / r.zoom > p->width) r.inner_width = (int)((p->width - r.box[0]) * r.zoom);
    if (r.box[1] + r.inner_height / r.zoom > p->height)
        r.inner_height = (int)((p->height - r.box[1]) * r.zoom);
    if (r.inner_width < 1) r.inner_width = 1;
    if (r.inner_height < 1) r.inner_height = 1;
    r.box[2] = fmin(r.box[0] + r.inner_width / r.zoom, p->width);
    r.box[3] = fmin(r.box[1] + r.inner_height / r.zoom, p->height);
    return append(p, &r, err);
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

/* Cut with a limit of height; the number of pieces. With pieces, their number, they are added. */
static int cut_part(plan *p, const dsvl_part *part, double zoom, double reach, int pieces, dsvl_error *err)
{
    const bool table = part->kind == DSVL_PART_TABLE;
    double top = part->box[1];
    bool repeated = false; /* the piece begins with the row that the one before ends with */
    for (int n = 1;; n++) {
        size_t cut;
        double bottom = part->box[3];
        bool more = bottom - top > reach && part->cut_count;
        if (more) {
            bottom = piece_end(part, top, reach, repeated, &cut);
            more = bottom < part->box[3];
        }
        const dsvl_region piece = {.box = {part->box[0], top, part->box[2], bottom},
                                   .zoom = zoom,
                                   .part = n,
                                   .parts = pieces,
                                   .overlap = repeated};
        if (pieces && add(p, part, &piece, zoom, err)) return -1;
        if (!more) return n;
        top = bottom;
        repeated = table && cut > 0 && part->cuts[cut - 1] > piece.box[1];
        if (repeated) top = part->cuts[cut - 1]; /* a single tall row is not repeated */
    }
}

/* How a part is cut: the canvases' width and height that take the fewest tiles. */
typedef struct cutting {
    double zoom, reach;
    int pieces;
    long tiles;
} cutting;

static cutting choose_cutting(plan *p, const dsvl_part *part, double zoom)
{
    const double width = part->box[2] - part->box[0], height = part->box[3] - part->box[1];
    const double m = 2 * margin_of(p), s = p->processor->tile_size;
    cutting best = {.zoom = 0};
    for (int i = 0; i < p->processor->candidates; i++) {
        const int *c = p->processor->candidate[i];
        cutting t = {.zoom = fmin(zoom, (c[0] - m) / width)};
        if (!allowed(p, c) || t.zoom < least_of(p, part) * (1 - 1e-9) || c[1] <= m) continue;
        t.reach = (c[1] - m) / t.zoom;
        t.pieces = cut_part(p, part, t.zoom, t.reach, 0, NULL);
        /* Each has the view of its whole besides. */
        t.tiles = t.pieces * ((long)(c[0] / s) * (long)ceil((height / t.pieces * t.zoom + m) / s) + 1);
        if (!best.pieces || t.tiles < best.tiles || (t.tiles == best.tiles && t.pieces < best.pieces))
            best = t;
    }
    return best;
}

static int add_part(plan *p, const dsvl_part *part, dsvl_error *err)
{
    const double zoom = zoom_of(p, part);
    if (fits(p, part) || part->kind == DSVL_PART_FIGURE || !part->cut_count) {
        dsvl_region whole = {.zoom = zoom, .part = 1, .parts = 1};
        memcpy(whole.box, part->box, sizeof whole.box);
        return add(p, part, &whole, least_of(p, part), err);
    }
    const cutting c = choose_cutting(p, part, zoom);
    /* Pieces of like height: the smallest reach that makes no more of them. */
    double low = (part->box[3] - part->box[1]) / c.pieces * 0.9, high = c.reach;
    for (int i = 0; i < 12 && low < high; i++) {
        double middle = (low + high) / 2;
        if (cut_part(p, part, c.zoom, middle, 0, err) > c.pieces)
            low = middle;
        else
            high = middle;
    }
    return cut_part(p, part, c.zoom, high, c.pieces, err) < 0 ? -1 : 0;
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

static double joined_em(const dsvl_part *whole, const dsvl_part *next)
{
    return next->box[3] - next->box[1] > whole->box[3] - whole->box[1] ? next->em : whole->em;
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
    joined.em = joined_em(whole, next);
    return fits(p, &joined);
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
    whole->em = joined_em(whole, next);
    whole->box[0] = fmin(whole->box[0], next->box[0]);
    whole->box[1] = fmin(whole->box[1], next->box[1]);
    whole->box[2] = fmax(whole->box[2], next->box[2]);
    whole->box[3] = fmax(whole->box[3], next->box[3]);
    return 0;
}

/* Cuts of its own for a part that others are to be joined to. */
static int copy_cuts(dsvl_part *part, size_t *capacity, dsvl_error *err)
{
    const double *cuts = part->cuts;
    void *block = NULL;
    bool room = dsvl_grow(&block, capacity, part->cut_count + 1, sizeof *cuts);
    part->cuts = block;
    if (!room) return dsvl_fail_memory(err, part->cut_count * sizeof *cuts);
    if (part->cut_count) memcpy(block, cuts, part->cut_count * sizeof *cuts);
    return 0;
}

int dsvl_regions_plan(dsvl_regions *regions, const dsvl_layout *layout, int width, int height,
                      const dsvl_processor_config *processor, const dsvl_region_wish *wish, dsvl_error *err)
{
    plan p = {regions, 0, processor, width, height, wish->em, LONG_MAX};
    memset(regions, 0, sizeof *regions);
    for (int i = 0; i < processor->candidates; i++) {
        if (tiles_of(processor, processor->candidate[i]) < p.tiles)
            p.tiles = tiles_of(processor, processor->candidate[i]);
    }
    if (p.tiles < wish->tiles) p.tiles = wish->tiles; /* the smallest canvas is always there */
    for (size_t i = 0, j; i < layout->count; i = j) {
        dsvl_part whole = layout->parts[i];
        size_t capacity = 0;
        int status = copy_cuts(&whole, &capacity, err);
        for (j = i + 1; j < layout->count && !status && may_join(&p, layout, i, j, &whole); j++)
            status = join(&whole, &layout->parts[j], &capacity, err);
        if (!status) status = add_part(&p, &whole, err);
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
