/* SPDX-License-Identifier: Apache-2.0 */
/* Pages in, reading regions out: tables, figures and blocks of text in reading order, zoomed so that their
 * type has the size that the model reads best. Of a model it reads the configuration alone. */
#include <math.h>
#include <string.h>

#include "cmd/cli.h"
#include "filters/region_record.h"
#include "filters/tiling.h"
#include "lib/alloc.h"
#include "lib/dsvl.h"
#include "lib/folder.h"
#include "lib/task.h"

static struct {
    const char *model, *kinds;
    double em;
    long tiles;
    bool if_needed;
} options;

static const cli_option option_table[] = {
    {"model", 'm', CLI_STRING, &options.model, "DIR", "model folder (default: the embedded model)", 0, 0},
    {"em", 0, CLI_REAL, &options.em, "PX", "type size to reach, pixels (default: the model's, else 20)", 4,
     400},
    {"max-tiles", 0, CLI_INT, &options.tiles, "N",
     "the most tiles in a region (default: the model's, else 24)", 1, 4096},
    {"kinds", 0, CLI_STRING, &options.kinds, "LIST",
     "of text, table, figure: these; all of a page that has none of them", 0, 0},
    {"if-needed", 0, CLI_FLAG, &options.if_needed, NULL,
     "pass pages whole that the model reads well as they are", 0, 0},
    CLI_MEMORY,
    CLI_COMMON,
};
static const cli_program program = {
    "dsvl-regions",
    "[OPTION...] [FILE...]",
    "Cut page records into reading regions: tables, figures and blocks of text, in reading order.",
    option_table,
    sizeof option_table / sizeof *option_table,
};

typedef struct cutter {
    dsvl_processor_config processor;
    dsvl_region_wish wish;
    char settings[160];
} cutter;

/* With --if-needed, type smaller than this fraction of the preferred size is too small. */
static const double LEGIBLE = 0.75;

static bool is_wanted(dsvl_part_kind kind)
{
    return !options.kinds || dsvl_task_lists(options.kinds, dsvl_part_kind_name(kind));
}

/* Drop regions that are not wanted, unless that left nothing. */
static void keep_wanted(dsvl_regions *regions)
{
    size_t n = 0;
    for (size_t i = 0; i < regions->count; i++) n += is_wanted(regions->data[i].kind);
    if (n == 0) return;
    for (size_t i = n = 0; i < regions->count; i++) {
        if (is_wanted(regions->data[i].kind)) regions->data[n++] = regions->data[i];
    }
    regions->count = n;
}

/* Whether a page should be cut up: its type would be too small after dsvl-tile, or its tiles too many, it has
 * parts that are wanted and others that are not, or it is blank. */
static int is_needed(const cutter *c, const dsvl_record *page, const dsvl_layout *layout,
                     const dsvl_picture *picture, bool *needed, dsvl_error *err)
{
    dsvl_tile_plan plan;
    char name[256], type[64] = "type of a size that is not known";
    double em = INFINITY, any = INFINITY;
    size_t wanted = 0;
    *needed = true; /* a blank page needs no model */
    if (layout->count == 0) return 0;
    if (dsvl_tiling_plan(&plan, &c->processor, picture->width, picture->height, true, err)) return -1;
    for (size_t i = 0; i < layout->count; i++) {
        any = fmin(any, layout->parts[i].em);
        if (!is_wanted(layout->parts[i].kind)) continue;
        em = fmin(em, layout->parts[i].em);
        wanted++;
    }
    em = (isfinite(em) ? em : any) * plan.content.width / picture->width;
    *needed = em < LEGIBLE * c->wish.em || plan.cols * plan.rows > c->wish.tiles ||
              (wanted && wanted < layout->count);
    if (em >= 0.05) snprintf(type, sizeof type, "a smallest type of %.1f pixels", em);
    cli_note("%s: whole, it takes %d tiles and has %s, where the model prefers %g pixels: %s",
             dsvl_record_place(page, name), plan.cols * plan.rows, type, c->wish.em,
             *needed ? "cut up" : "left whole");
    return 0;
}

/* "text,table": the kinds of what is kept. */
static const char *list_kinds(const dsvl_regions *regions, char list[64])
{
    bool found[DSVL_PART_KINDS] = {false};
    size_t n = 0;
    for (size_t i = 0; i < regions->count; i++) found[regions->data[i].kind] = true;
    for (int k = 0; k < DSVL_PART_KINDS; k++) {
        if (found[k])
            n += (size_t)snprintf(list + n, 64 - n, "%s%s", n ? "," : "",
                                  dsvl_part_kind_name((dsvl_part_kind)k));
    }
    return n ? list : "blank";
}

static void smallest_canvas(const dsvl_processor_config *p, dsvl_region_place *place)
{
    for (int i = 0; i < p->candidates; i++) {
        const int *c = p->candidate[i];
        if (i > 0 && (long)c[0] * c[1] >= (long)place->blank_width * place->blank_height) continue;
        place->blank_width = c[0];
        place->blank_height = c[1];
    }
}

static int emit(const cutter *c, const dsvl_record *page, const dsvl_page_view *view,
                const dsvl_region *region, const dsvl_region_place *place, double seconds, cli_sink *sink,
                dsvl_error *err)
{
    const double begun = cli_seconds();
    dsvl_record *record = dsvl_region_record_new(page, view, region, place, err);
    int status = record ? cli_stamp(&program, record, c->settings, seconds + cli_seconds() - begun, err) : -1;
    if (!status) status = cli_emit(sink, record, err);
    dsvl_record_free(record);
    return status;
}

/* One page. The time of its analysis is shared out among its regions. */
static int cut(void *user, dsvl_record *page, cli_sink *sink, dsvl_error *err)
{
    const double begun = cli_seconds();
    const cutter *c = user;
    dsvl_page_view view = {0};
    dsvl_layout layout = {0};
    dsvl_regions regions = {0};
    char name[256], kinds[64];
    int status = -1;
    if (dsvl_page_view_open(&view, page, err) ||
        dsvl_layout_find(&layout, view.picture.pixels, view.picture.width, view.picture.height,
                         1 / view.scale[1], &view.words, view.origin, err) ||
        dsvl_regions_plan(&regions, &layout, view.picture.width, view.picture.height, &c->processor, &c->wish,
                          err))
        goto out;
    bool needed = true;
    if (options.if_needed && is_needed(c, page, &layout, &view.picture, &needed, err)) goto out;
    if (!needed) {
        status = cli_emit(sink, page, err);
        goto out;
    }
    keep_wanted(&regions);
    dsvl_region_place place = {
        .count = regions.count, .kinds = list_kinds(&regions, kinds), .paper = layout.paper};
    cli_note("%s: %zu region%s (%s)", dsvl_record_place(page, name), place.count, place.count == 1 ? "" : "s",
             place.kinds);
    if (regions.count == 0) {
        smallest_canvas(&c->processor, &place);
        place.number = place.count = 1;
        status = emit(c, page, &view, NULL, &place, cli_seconds() - begun, sink, err);
        goto out;
    }
    const double share = (cli_seconds() - begun) / (double)place.count;
    for (size_t i = 0; i < regions.count; i++) {
        place.number++;
        if (emit(c, page, &view, &regions.data[i], &place, share, sink, err)) goto out;
    }
    status = 0;
out:
    if (status) dsvl_error_prefix(err, "%s: ", dsvl_record_place(page, name));
    dsvl_layout_free(&layout);
    dsvl_page_view_close(&view);
    dsvl_regions_free(&regions);
    return status;
}

static int check_kinds(void)
{
    for (const char *p = options.kinds; p; p = strchr(p, ','), p += !!p) {
        const int n = (int)strcspn(p, ",");
        int k = 0;
        for (; k < DSVL_PART_KINDS; k++) {
            const char *kind = dsvl_part_kind_name((dsvl_part_kind)k);
            if ((int)strlen(kind) == n && strncmp(p, kind, (size_t)n) == 0) break;
        }
        if (k == DSVL_PART_KINDS)
            return cli_usage("--kinds takes text, table and figure, not \"%.*s\"", n, p);
    }
    return 0;
}

static int read_model(cutter *c, dsvl_error *err)
{
    char *folder = cli_model_folder(options.model, err);
    dsvl_config config = {0};
    if (!folder) return -1;
    int status = dsvl_processor_config_read(&c->processor, folder, err);
    if (!status && dsvl_folder_has(folder, "config.json")) status = dsvl_config_read(&config, folder, err);
    dsvl_free(folder);
    c->wish.em = options.em > 0 ? options.em : config.preferred_em_px ? config.preferred_em_px : 20;
    c->wish.tiles = options.tiles ? (int)options.tiles : config.region_tiles ? config.region_tiles : 24;
    snprintf(c->settings, sizeof c->settings, "--em=%g --max-tiles=%d%s%s%s", c->wish.em, c->wish.tiles,
             options.kinds ? " --kinds=" : "", options.kinds ? options.kinds : "",
             options.if_needed ? " --if-needed" : "");
    return status;
}

int main(int argc, char **argv)
{
    static cutter c;
    dsvl_error err = {0};
    const int files = cli_parse(&program, argc, argv);
    int status = check_kinds();
    if (!status) status = cli_check_output("dsvl-tile");
    if (status) return status;
    cli_input *input = cli_input_new(argv, files, &err);
    status = input ? read_model(&c, &err) : -1;
    status = status ? cli_fail(&err) : cli_expand(&program, input, "page", cut, &c);
    cli_input_free(input);
    return status;
}
