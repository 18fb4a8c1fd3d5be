/* SPDX-License-Identifier: Apache-2.0 */
/* Pages in, reading regions out: tables, figures and blocks of text in reading order, zoomed so that their
 * type has the size that the model reads best. Of a model it reads the configuration alone. */
#include <stdlib.h>
#include <string.h>

#include "cmd/cli.h"
#include "filters/region_record.h"
#include "lib/alloc.h"
#include "lib/dsvl.h"
#include "lib/folder.h"

static struct {
    const char *model, *kinds;
    double em;
    long tiles;
} options;

static const cli_option option_table[] = {
    {"model", 'm', CLI_STRING, &options.model, "DIR", "model folder (default: the embedded model)", 0, 0},
    {"em", 0, CLI_REAL, &options.em, "PX", "type size to reach, pixels (default: the model's, else 20)", 4,
     400},
    {"max-tiles", 0, CLI_INT, &options.tiles, "N",
     "the most tiles in a region (default: the model's, else 24)", 1, 4096},
    {"kinds", 0, CLI_STRING, &options.kinds, "LIST", "only these, separated by commas: text, table, figure",
     0, 0},
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
    double em;
    int tiles;
    bool wanted[DSVL_PART_KINDS];
    bool all; /* blank pages too */
    char settings[128];
} cutter;

static size_t count_wanted(const cutter *c, const dsvl_regions *regions)
{
    size_t n = 0;
    for (size_t i = 0; i < regions->count; i++) n += c->wanted[regions->data[i].kind];
    return n;
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
    char name[256];
    int status = -1;
    if (dsvl_page_view_open(&view, page, err) ||
        dsvl_layout_find(&layout, view.picture.pixels, view.picture.width, view.picture.height,
                         1 / view.scale[1], &view.words, view.origin, err) ||
        dsvl_regions_plan(&regions, &layout, view.picture.width, view.picture.height, &c->processor, c->em,
                          c->tiles, err))
        goto out;
    dsvl_region_place place = {.count = count_wanted(c, &regions), .paper = layout.paper};
    cli_note("%s: %zu region%s", dsvl_record_place(page, name), place.count, place.count == 1 ? "" : "s");
    if (regions.count == 0 && c->all) {
        smallest_canvas(&c->processor, &place);
        place.number = place.count = 1;
        status = emit(c, page, &view, NULL, &place, cli_seconds() - begun, sink, err);
        goto out;
    }
    const double share = place.count ? (cli_seconds() - begun) / (double)place.count : 0;
    for (size_t i = 0; i < regions.count; i++) {
        if (!c->wanted[regions.data[i].kind]) continue;
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

/* "text,table"; NULL: all, blank pages included. */
static void choose_kinds(cutter *c, const char *list)
{
    c->all = list == NULL;
    for (int k = 0; k < DSVL_PART_KINDS; k++) c->wanted[k] = c->all;
    for (const char *p = list; p;) {
        size_t n = strcspn(p, ",");
        int k = 0;
        for (; k < DSVL_PART_KINDS; k++) {
            const char *kind = dsvl_part_kind_name((dsvl_part_kind)k);
            if (strlen(kind) == n && strncmp(p, kind, n) == 0) break;
        }
        if (k == DSVL_PART_KINDS)
            exit(cli_usage("--kinds takes text, table and figure, not \"%.*s\"", (int)n, p));
        c->wanted[k] = true;
        p = p[n] ? p + n + 1 : NULL;
    }
}

static int read_model(cutter *c, dsvl_error *err)
{
    char *folder = options.model ? dsvl_strdup(options.model) : dsvl_model_default_folder(err);
    dsvl_config config = {0};
    if (!folder) return options.model ? dsvl_fail_memory(err, strlen(options.model)) : -1;
    int status = dsvl_processor_config_read(&c->processor, folder, err);
    if (!status && dsvl_folder_has(folder, "config.json")) status = dsvl_config_read(&config, folder, err);
    dsvl_dealloc(folder);
    c->em = options.em > 0 ? options.em : config.preferred_em_px ? config.preferred_em_px : 20;
    c->tiles = options.tiles ? (int)options.tiles : config.region_tiles ? config.region_tiles : 24;
    snprintf(c->settings, sizeof c->settings, "--em=%g --max-tiles=%d%s%s", c->em, c->tiles,
             options.kinds ? " --kinds=" : "", options.kinds ? options.kinds : "");
    return status;
}

int main(int argc, char **argv)
{
    static cutter c;
    dsvl_error err = {0};
    const int files = cli_parse(&program, argc, argv);
    choose_kinds(&c, options.kinds);
    cli_input *input = cli_input_new(argv, files, &err);
    int status = input ? read_model(&c, &err) : -1;
    status = status ? cli_fail(&err) : cli_expand(&program, input, "page", cut, &c);
    cli_input_free(input);
    return status;
}
