/* SPDX-License-Identifier: Apache-2.0 */
/* Areas of one colour: bars, slices, the grounds of headers and of every other row. White print on a dark
 * ground is ink on that ground, and a pale bar is something although no pixel of it is as dark as ink. */
#include <stdlib.h>
#include <string.h>

#include "filters/ink_private.h"
#include "lib/alloc.h"

enum {
    TINT = 14, /* levels from the paper that make a colour of its own */
    EVEN = 20, /* levels between neighbours within one area, noise included */
    DARK = 40, /* from here on, print on the area is looked for against the area's colour */
    CORE = 1,  /* an area's cells have even neighbours so far away: thin strokes have not */
};

typedef struct field {
    int width, height;
    const uint8_t *colour; /* [height, width, 3]: mean of each cell */
    uint8_t *core;         /* [height, width]: 1 inside an even tinted area, 2 once an area has taken it */
    int32_t *stack;        /* [height * width] */
} field;

static int levels(const uint8_t *a, const uint8_t *b)
{
    int d0 = abs(a[0] - b[0]), d1 = abs(a[1] - b[1]), d2 = abs(a[2] - b[2]);
    d0 = d0 > d1 ? d0 : d1;
    return d0 > d2 ? d0 : d2;
}

/* Cells whose neighbours at a distance of CORE, straight and diagonal, have their colour. */
static void find_cores(field *f, const uint8_t paper[3])
{
    const int w = f->width;
    const ptrdiff_t reach[8] = {-CORE,
                                CORE,
                                -CORE * (ptrdiff_t)w,
                                CORE * (ptrdiff_t)w,
                                -CORE * ((ptrdiff_t)w + 1),
                                CORE * ((ptrdiff_t)w + 1),
                                -CORE * ((ptrdiff_t)w - 1),
                                CORE * ((ptrdiff_t)w - 1)};
    for (int y = CORE; y < f->height - CORE; y++) {
        for (int x = CORE; x < w - CORE; x++) {
            size_t i = (size_t)y * (size_t)w + (size_t)x;
            const uint8_t *c = f->colour + 3 * i;
            if (levels(c, paper) < TINT) continue;
            bool even = true;
            for (int k = 0; k < 8 && even; k++) even = levels(c, c + 3 * reach[k]) <= EVEN;
            f->core[i] = even;
        }
    }
}

/* The cores connected to one of them through small steps of colour. */
static dsvl_shade flood(field *f, int32_t start, const uint8_t paper[3], uint8_t colour[3])
{
    const int w = f->width;
    dsvl_shade s = {.box = {w, f->height, 0, 0}};
    size_t depth = 0;
    uint64_t sum[3] = {0, 0, 0};
    f->stack[depth++] = start;
    f->core[start] = 2;
    while (depth) {
        int32_t i = f->stack[--depth];
        int x = i % w, y = i / w;
        const uint8_t *c = f->colour + 3 * (size_t)i;
        dsvl_cells_join(&s.box, &(dsvl_cells){x, y, x + 1, y + 1});
        s.area++;
        for (int k = 0; k < 3; k++) sum[k] += c[k];
        const int32_t next[4] = {i - 1, i + 1, i - w, i + w}; /* cores are never at the border */
        for (int k = 0; k < 4; k++) {
            if (f->core[next[k]] != 1 || levels(c, f->colour + 3 * (size_t)next[k]) > EVEN / 2) continue;
            f->core[next[k]] = 2;
            f->stack[depth++] = next[k];
        }
    }
    for (int k = 0; k < 3; k++) colour[k] = (uint8_t)(sum[k] / (uint64_t)s.area);
    s.contrast = levels(colour, paper);
    return s;
}

/* Whether the area reaches its box along most of each side: print on it may hide some of its cores. */
static bool is_straight(const field *f, const dsvl_shade *s)
{
    const dsvl_cells *b = &s->box;
    int w = b->x1 - b->x0, h = b->y1 - b->y0, sides[4] = {0, 0, 0, 0}, inset = 1;
    if (w <= 2 * inset || h <= 2 * inset) inset = 0;
    for (int x = b->x0; x < b->x1; x++) {
        sides[0] += f->core[(size_t)(b->y0 + inset) * (size_t)f->width + (size_t)x] == 2;
        sides[1] += f->core[(size_t)(b->y1 - 1 - inset) * (size_t)f->width + (size_t)x] == 2;
    }
    for (int y = b->y0; y < b->y1; y++) {
        sides[2] += f->core[(size_t)y * (size_t)f->width + (size_t)(b->x0 + inset)] == 2;
        sides[3] += f->core[(size_t)y * (size_t)f->width + (size_t)(b->x1 - 1 - inset)] == 2;
    }
    /* Print on it may stand right at a side. */
    const double most = 0.35;
    return sides[0] >= most * w && sides[1] >= most * w && sides[2] >= most * h && sides[3] >= most * h &&
           sides[0] + sides[1] + sides[2] + sides[3] >= 1.4 * (w + h);
}

/* Whether the colour changes at once along most of one side of a box; step: outwards. */
static bool is_edge(const field *f, int x, int y, int dx, int dy, int length, int step_x, int step_y)
{
    int sharp = 0;
    for (int i = 0; i < length; i++, x += dx, y += dy) {
        int ix = x - 2 * step_x, iy = y - 2 * step_y, ox = x + 2 * step_x, oy = y + 2 * step_y;
        if (ox < 0 || oy < 0 || ox >= f->width || oy >= f->height) return false;
        sharp += levels(f->colour + 3 * ((size_t)iy * (size_t)f->width + (size_t)ix),
                        f->colour + 3 * ((size_t)oy * (size_t)f->width + (size_t)ox)) >= TINT / 2;
    }
    return sharp * 10 >= length * 7;
}

/* Uneven light makes pale areas without edges. */
static bool has_edges(const field *f, const dsvl_cells *b)
{
    int w = b->x1 - b->x0, h = b->y1 - b->y0;
    if (w < 5 || h < 5) return false;
    return (is_edge(f, b->x0, b->y0, 1, 0, w, 0, -1) && is_edge(f, b->x0, b->y1 - 1, 1, 0, w, 0, 1)) ||
           (is_edge(f, b->x0, b->y0, 0, 1, h, -1, 0) && is_edge(f, b->x1 - 1, b->y0, 0, 1, h, 1, 0));
}

/* Take the area itself out of the mask, with its soft border, and keep what is printed on it. */
static void unmask(dsvl_ink *ink, const dsvl_page_pixels *page, const field *f, const dsvl_shade *s,
                   const uint8_t colour[3])
{
    const dsvl_cells *b = &s->box;
    dsvl_cells wide = {b->x0 > 1 ? b->x0 - 1 : 0, b->y0 > 1 ? b->y0 - 1 : 0,
                       b->x1 < ink->width ? b->x1 + 1 : ink->width,
                       b->y1 < ink->height ? b->y1 + 1 : ink->height};
    if (s->straight) {
        if (s->contrast >= DARK) dsvl_ink_mark(ink, page, b, colour);
        for (int y = wide.y0; y < wide.y1; y++) {
            uint8_t *row = ink->mask + (size_t)y * (size_t)ink->width;
            if (y < b->y0 || y >= b->y1)
                memset(row + wide.x0, 0, (size_t)(wide.x1 - wide.x0));
            else
                memset(row + wide.x0, 0, (size_t)(b->x0 - wide.x0)),
                    memset(row + b->x1, 0, (size_t)(wide.x1 - b->x1));
        }
        return;
    }
    for (int y = b->y0; y < b->y1; y++) {
        for (int x = b->x0; x < b->x1; x++) {
            size_t i = (size_t)y * (size_t)f->width + (size_t)x;
            if (f->core[i] == 2) ink->mask[i] = 0;
        }
    }
}

/* ---- photographs ---- */

enum {
    TONES = 6,      /* of the 16 greys that an area has, so many make it a photograph */
    BLOCK = 4,      /* cells a side */
    LEAST_SIDE = 7, /* blocks */
};

typedef struct blocks {
    int width, height;
    uint8_t *filled; /* [height, width]: 1 where nearly all cells are tinted, 2 once an area has taken it */
    int32_t *stack;
} blocks;

static int tone_of(const uint8_t *c)
{
    return (2 * c[0] + 5 * c[1] + c[2]) >> 7;
}

/* Blocks that are tinted throughout. */
static void fill_blocks(blocks *g, const field *f, const uint8_t paper[3])
{
    for (int by = 0; by < g->height; by++) {
        for (int bx = 0; bx < g->width; bx++) {
            int tinted = 0;
            for (int i = 0; i < BLOCK * BLOCK; i++) {
                const size_t at =
                    (size_t)(by * BLOCK + i / BLOCK) * (size_t)f->width + (size_t)(bx * BLOCK + i % BLOCK);
                tinted += levels(f->colour + 3 * at, paper) >= TINT;
            }
            g->filled[by * g->width + bx] = tinted >= BLOCK * BLOCK - 1;
        }
    }
}

/* The blocks connected to one, as a box of blocks and their number. */
static dsvl_cells flood_blocks(blocks *g, int start, int *area)
{
    dsvl_cells box = {g->width, g->height, 0, 0};
    size_t depth = 0;
    g->stack[depth++] = start;
    g->filled[start] = 2;
    for (*area = 0; depth; ++*area) {
        const int i = g->stack[--depth], x = i % g->width, y = i / g->width;
        dsvl_cells_join(&box, &(dsvl_cells){x, y, x + 1, y + 1});
        const int next[4] = {x > 0 ? i - 1 : i, x + 1 < g->width ? i + 1 : i, y > 0 ? i - g->width : i,
                             y + 1 < g->height ? i + g->width : i};
        for (int k = 0; k < 4; k++) {
            if (g->filled[next[k]] != 1) continue;
            g->filled[next[k]] = 2;
            g->stack[depth++] = next[k];
        }
    }
    return box;
}

/* Whether an area has many tones, none of which has most of it: then it is no ground for print. */
static bool is_toned(const field *f, const dsvl_cells *b)
{
    int counts[16] = {0}, all = 0, tones = 0, most = 0;
    for (int y = b->y0; y < b->y1; y++) {
        for (int x = b->x0; x < b->x1; x++, all++)
            counts[tone_of(f->colour + 3 * ((size_t)y * (size_t)f->width + (size_t)x)) & 15]++;
    }
    for (int i = 0; i < 16; i++) {
        tones += counts[i] * 25 > all;
        if (counts[i] > most) most = counts[i];
    }
    return tones >= TONES && most * 2 < all;
}

/* Whether most cells of a line of them are tinted. */
static bool is_tinted(const field *f, const uint8_t paper[3], int x0, int y0, int x1, int y1)
{
    int tinted = 0;
    if (x0 < 0 || y0 < 0 || x1 > f->width || y1 > f->height) return false;
    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++)
            tinted += levels(f->colour + 3 * ((size_t)y * (size_t)f->width + (size_t)x), paper) >= TINT;
    }
    return tinted * 5 > (x1 - x0) * (y1 - y0) * 4;
}

/* An area that is a photograph becomes a shade; it leaves the mask and the search for even areas. */
static int take_photograph(dsvl_ink *ink, field *f, const dsvl_cells *at, size_t *capacity, dsvl_error *err)
{
    dsvl_cells b = {at->x0 * BLOCK, at->y0 * BLOCK, at->x1 * BLOCK, at->y1 * BLOCK};
    const uint8_t *paper = ink->paper;
    if (!is_toned(f, &b)) return 0;
    for (int i = 0; i < BLOCK; i++) { /* its border runs through blocks */
        b.x0 -= is_tinted(f, paper, b.x0 - 1, b.y0, b.x0, b.y1);
        b.x1 += is_tinted(f, paper, b.x1, b.y0, b.x1 + 1, b.y1);
        b.y0 -= is_tinted(f, paper, b.x0, b.y0 - 1, b.x1, b.y0);
        b.y1 += is_tinted(f, paper, b.x0, b.y1, b.x1, b.y1 + 1);
    }
    const int x0 = b.x0 > 0 ? b.x0 - 1 : 0, x1 = b.x1 < f->width ? b.x1 + 1 : f->width;
    for (int y = b.y0 > 0 ? b.y0 - 1 : 0; y <= b.y1 && y < f->height; y++) {
        memset(ink->mask + (size_t)y * (size_t)f->width + x0, 0, (size_t)(x1 - x0));
        memset(f->core + (size_t)y * (size_t)f->width + x0, 0, (size_t)(x1 - x0));
    }
    void *block = ink->shades;
    const bool room = dsvl_grow(&block, capacity, ink->shade_count + 1, sizeof *ink->shades);
    ink->shades = block;
    if (!room) return dsvl_fail_memory(err, *capacity * sizeof *ink->shades);
    ink->shades[ink->shade_count++] =
        (dsvl_shade){.box = b, .area = (b.x1 - b.x0) * (b.y1 - b.y0), .contrast = 255, .straight = false};
    return 0;
}

/* Photographs are rectangles of many tones. */
static int find_photographs(dsvl_ink *ink, field *f, size_t *capacity, dsvl_error *err)
{
    blocks g = {.width = f->width / BLOCK, .height = f->height / BLOCK};
    const size_t n = (size_t)g.width * (size_t)g.height;
    int status = -1;
    g.filled = dsvl_alloc_zero(n, 1);
    g.stack = dsvl_alloc(n, sizeof *g.stack);
    if (!g.filled || !g.stack) {
        dsvl_fail_memory(err, n * 5);
        goto out;
    }
    status = 0;
    fill_blocks(&g, f, ink->paper);
    for (size_t i = 0; i < n && !status; i++) {
        int area;
        if (g.filled[i] != 1) continue;
        const dsvl_cells at = flood_blocks(&g, (int)i, &area);
        const int w = at.x1 - at.x0, h = at.y1 - at.y0;
        if (w >= LEAST_SIDE && h >= LEAST_SIDE && area * 10 >= w * h * 9)
            status = take_photograph(ink, f, &at, capacity, err);
    }
out:
    dsvl_dealloc(g.filled);
    dsvl_dealloc(g.stack);
    return status;
}

/* ---- all ---- */

int dsvl_ink_find_shades(dsvl_ink *ink, const dsvl_page_pixels *page, const uint8_t *colour,
                         double cells_per_point, dsvl_error *err)
{
    const size_t n = (size_t)ink->width * (size_t)ink->height;
    /* Points. Dark areas thinner than this may be strokes of large letters: they stay in the mask. */
    const double pale_least = 3, dark_least = 8;
    field f = {.width = ink->width, .height = ink->height, .colour = colour};
    size_t capacity = 0;
    int status = -1;
    f.core = dsvl_alloc_zero(n, 1);
    f.stack = dsvl_alloc(n, sizeof *f.stack);
    if (!f.core || !f.stack) {
        dsvl_fail_memory(err, n * 8);
        goto out;
    }
    find_cores(&f, ink->paper);
    if (find_photographs(ink, &f, &capacity, err)) goto out;
    for (size_t i = 0; i < n; i++) {
        uint8_t own[3];
        if (f.core[i] != 1) continue;
        dsvl_shade s = flood(&f, (int32_t)i, ink->paper, own);
        dsvl_cells *b = &s.box;
        int w = b->x1 - b->x0 + 2 * CORE, h = b->y1 - b->y0 + 2 * CORE;
        double least = (s.contrast < DSVL_INK_CONTRAST ? pale_least : dark_least) * cells_per_point;
        if (w < least || h < least) continue;
        s.straight = is_straight(&f, &s);
        /* Its border is CORE cells wide. */
        b->x0 -= CORE, b->y0 -= CORE, b->x1 += CORE, b->y1 += CORE;
        if (s.contrast < DARK && !has_edges(&f, b)) continue;
        unmask(ink, page, &f, &s, own);
        void *block = ink->shades;
        bool room = dsvl_grow(&block, &capacity, ink->shade_count + 1, sizeof *ink->shades);
        ink->shades = block;
        if (!room) {
            dsvl_fail_memory(err, capacity * sizeof *ink->shades);
            goto out;
        }
        ink->shades[ink->shade_count++] = s;
    }
    status = 0;
out:
    dsvl_dealloc(f.core);
    dsvl_dealloc(f.stack);
    return status;
}
