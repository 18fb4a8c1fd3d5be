/* SPDX-License-Identifier: Apache-2.0 */
/* Pages in, tiles out: a model's choice of mosaic, padding and cutting. Reads record streams and pictures,
 * and of a model its processor_config.json and preprocessor_config.json alone. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cli.h"
#include "cmd/cli_cache.h"
#include "filters/page_record.h"
#include "filters/source.h"
#include "filters/tiling.h"
#include "lib/alloc.h"

static struct {
    const char *model, *per, *cropping, *pillow;
    uint64_t max_pixels;
} options = {.per = "page", .cropping = "auto", .pillow = "9.3", .max_pixels = 200 * 1000 * 1000};

static const cli_option option_table[] = {
    {"model", 'm', CLI_STRING, &options.model, "DIR", "model folder (default: the embedded model)", 0, 0},
    {"per", 0, CLI_STRING, &options.per, "UNIT", "what is asked about together: page (default) or document",
     0, 0},
    {"cropping", 0, CLI_STRING, &options.cropping, "WHEN",
     "local tiles: auto (default; not for more than two images), on or off", 0, 0},
    {"pillow", 0, CLI_STRING, &options.pillow, "VERSION",
     "equal this Pillow: 9.3 (default; to 12.1), 12.2 or 13.0", 0, 0},
    {"max-pixels", 0, CLI_SIZE, &options.max_pixels, "N", "refuse larger pictures (default 200000000)", 1, 0},
    CLI_CACHE,
    CLI_MEMORY,
    CLI_COMMON,
};
static const cli_program program = {
    "dsvl-tile",
    "[OPTION...] [FILE...]",
    "Turn page records, or PNG, JPEG, TIFF and PNM pictures, into the tiles that a model's vision tower "
    "takes.",
    option_table,
    sizeof option_table / sizeof *option_table,
};

typedef enum cropping { CROPPING_AUTO, CROPPING_ON, CROPPING_OFF } cropping;
static const char *const cropping_names[] = {"auto", "on", "off", NULL};
static const char *const pillow_names[] = {"9.3", "12.2", "13.0", NULL};
static const char *const per_names[] = {"page", "document", NULL};

typedef struct tiler {
    dsvl_processor_config processor;
    cropping cropping;
    dsvl_pillow pillow;
    bool per_document;
    char settings[96];

    cli_input *input;
    dsvl_render_options render;
    unsigned char *bytes; /* of the pictures now open */
    dsvl_source *source;
    dsvl_page_origin origin;
    dsvl_error loss; /* what to report behind the page that was read last */
    bool stream;     /* the file now open holds records */

    dsvl_store *store; /* --cache; NULL: none */
    dsvl_writer *writer;
    /* With --per=document, the first images of a document wait until it is known whether more than two come.
     */
    dsvl_record *held[DSVL_TILING_MAX_CROPPED];
    int holding;
    bool many;      /* the current document has more */
    char *document; /* which that is; NULL: none yet */
    size_t done;
} tiler;

/* ---- input: records, and pages of pictures as records ------------------------------------------------- */

static void close_pictures(tiler *t)
{
    dsvl_source_close(t->source);
    t->source = NULL;
    dsvl_dealloc(t->bytes);
    t->bytes = NULL;
}

/* An error record for the document or page at hand. */
static int failed(tiler *t, dsvl_error *cause, dsvl_record **record, dsvl_error *err)
{
    char place[256];
    if (cause->code == DSVL_E_MEMORY) {
        *err = *cause;
        return -1;
    }
    dsvl_error_prefix(cause, "%s: ", dsvl_page_origin_place(&t->origin, place));
    cli_page_failed("%s", cause->message);
    *record = dsvl_page_record_failed(&t->origin, "tile", cause, err);
    return *record ? 1 : -1;
}

/* The next page of the pictures that are open. A damaged one is passed on, and reported behind it. */
static int next_page(tiler *t, dsvl_record **record, dsvl_error *err)
{
    dsvl_error cause = {0};
    dsvl_page page;
    if (dsvl_source_render(t->source, (int)t->origin.page++, &page, &cause))
        return failed(t, &cause, record, err);
    if (page.damaged)
        dsvl_fail(&t->loss, DSVL_E_INPUT, "a part of the page may be missing: %s", page.warning);
    *record = dsvl_page_record_new_take(&t->origin, &page, err);
    return *record && dsvl_page_record_hash(*record, err) == 0 ? 1 : -1;
}

/* Behind the last page: what is wrong with the pictures as a whole, 1; or nothing, 0. */
static int end_pictures(tiler *t, dsvl_record **record, dsvl_error *err)
{
    dsvl_error cause = {0};
    const char *damage = t->source ? dsvl_source_damage(t->source) : NULL;
    if (damage) dsvl_fail(&cause, DSVL_E_INPUT, "%s", damage);
    close_pictures(t);
    t->origin.page = 0;
    return cause.code ? failed(t, &cause, record, err) : 0;
}

/* 1: *record is an error record. 0: pictures are open. */
static int open_pictures(tiler *t, dsvl_reader *reader, dsvl_record **record, dsvl_error *err)
{
    dsvl_error cause = {0};
    size_t length;
    if (dsvl_reader_slurp(reader, DSVL_DOCUMENT_LIMIT, &t->bytes, &length, &cause) == 0)
        t->source = dsvl_source_open(t->bytes, length, NULL, &t->render, &cause);
    if (!t->source) return failed(t, &cause, record, err);
    t->origin.pages = dsvl_source_pages(t->source);
    return 0;
}

/* A record is told from a picture by the brace behind its length word, which is far below 2^32. */
static bool is_stream(const unsigned char *head, long n, bool standard)
{
    if (n < 9) return standard;
    return head[8] == '{' && head[4] == 0 && head[5] == 0 && head[6] == 0 && head[7] == 0;
}

/* Open the next file. 1: *record is an error record for it. 0: it is open. 2: there is none. */
static int next_file(tiler *t, dsvl_record **record, dsvl_error *err)
{
    unsigned char head[9];
    dsvl_error cause = {0};
    dsvl_reader *reader = cli_input_reader(t->input, &cause);
    if (!reader && !cause.code) return 2;
    bool standard = strcmp(cli_input_name(t->input), "standard input") == 0;
    t->origin = (dsvl_page_origin){.document = standard ? "-" : cli_input_name(t->input)};
    long n = reader ? dsvl_reader_peek(reader, head, sizeof head, &cause) : -1;
    if (cause.code == DSVL_E_USAGE || cause.code == DSVL_E_MEMORY) {
        *err = cause;
        return -1;
    }
    if (n < 0) { /* it cannot be read: the other files can */
        cli_input_skip(t->input);
        cli_page_failed("%s", cause.message);
        *record = dsvl_page_record_failed(&t->origin, "tile", &cause, err);
        return *record ? 1 : -1;
    }
    t->stream = is_stream(head, n, standard);
    return t->stream ? 0 : open_pictures(t, reader, record, err);
}

/* 1: *record is a new record. 0: the end. -1: the input cannot be read on. */
static int next_record(tiler *t, dsvl_record **record, dsvl_error *err)
{
    for (;;) {
        int status = 0;
        if (t->loss.code) {
            dsvl_error loss = t->loss;
            t->loss = (dsvl_error){0};
            return failed(t, &loss, record, err);
        }
        if (t->source && t->origin.page < t->origin.pages) return next_page(t, record, err);
        if (t->stream) status = dsvl_reader_next(cli_input_reader(t->input, err), record, err);
        if (t->bytes) status = end_pictures(t, record, err);
        if (status) return status;
        cli_input_skip(t->input);
        t->stream = false;
        if ((status = next_file(t, record, err)) != 0) return status == 2 ? 0 : status;
    }
}

/* ---- tiles ------------------------------------------------------------------------------------------- */

static int set_facts(dsvl_record *r, const dsvl_tile_plan *plan, const dsvl_tensor *pixels, dsvl_error *err)
{
    const dsvl_box *b = &plan->content;
    if (dsvl_record_set(r, DSVL_KEY_KIND, "tiles", err) ||
        dsvl_record_setf(r, DSVL_KEY_TILES_COLS, err, "%d", plan->cols) ||
        dsvl_record_setf(r, DSVL_KEY_TILES_ROWS, err, "%d", plan->rows) ||
        dsvl_record_setf(r, DSVL_KEY_TILE_SIZE, err, "%d", plan->tile_size) ||
        dsvl_record_setf(r, DSVL_KEY_CONTENT_BOX, err, "%d %d %d %d", b->x, b->y, b->width, b->height) ||
        dsvl_record_setf(r, DSVL_KEY_IMAGE_WIDTH, err, "%lld", (long long)pixels->shape[1]))
        return -1;
    return dsvl_record_setf(r, DSVL_KEY_IMAGE_HEIGHT, err, "%lld", (long long)pixels->shape[0]);
}

static void hash_of(const char *facts, const void *data, size_t length, char hex[65])
{
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    dsvl_hash_add(&hash, facts, strlen(facts));
    dsvl_hash_add(&hash, data, length);
    dsvl_hash_hex(&hash, hex);
}

static int set_hash(dsvl_record *r, const dsvl_tensor *tiles, dsvl_error *err)
{
    char hex[65];
    dsvl_tensor_hash(tiles, hex);
    return dsvl_record_set(r, DSVL_KEY_TILES_HASH, hex, err);
}

/* The tiles of a plan, from the cache or cut anew. */
static int find_tiles(tiler *t, const dsvl_tile_plan *plan, const dsvl_picture *picture, dsvl_tensor *tiles,
                      dsvl_error *err)
{
    char facts[512], key[65];
    void *kept = NULL;
    size_t length = 0;
    dsvl_error trouble = {0};
    if (!t->store) return dsvl_tiling_cut(tiles, plan, &t->processor, picture, t->pillow, err);
    const dsvl_box *b = &plan->content;
    snprintf(facts, sizeof facts,
             "tiles 1 %s %s %dx%d of %dx%d, grid %dx%d of %d, content %d %d %d %d, %d %d %d %d\n",
             DSVL_VERSION, t->settings, picture->width, picture->height, (int)picture->stride,
             picture->channels, plan->cols, plan->rows, plan->tile_size, b->x, b->y, b->width, b->height,
             t->processor.pad_color[0], t->processor.pad_color[1], t->processor.pad_color[2],
             t->processor.filter);
    hash_of(facts, picture->pixels, (size_t)picture->width * (size_t)picture->height * 3, key);
    int found = dsvl_store_get(t->store, key, &kept, &length, err);
    if (found < 0) return -1;
    const int64_t shape[4] = {1 + (int64_t)plan->cols * plan->rows, plan->tile_size, plan->tile_size, 3};
    const bool fits = found && length == (uint64_t)(shape[0] * shape[1] * shape[2] * shape[3]);
    int status = fits ? dsvl_tensor_new(tiles, DSVL_U8, 4, shape, err) : 0;
    if (fits && status == 0) memcpy(tiles->data, kept, length);
    dsvl_dealloc(kept);
    if (fits) return status;
    if (dsvl_tiling_cut(tiles, plan, &t->processor, picture, t->pillow, err)) return -1;
    const dsvl_bytes_part part = {tiles->data, tiles->nbytes};
    if (dsvl_store_put(t->store, key, &part, 1, &trouble)) cli_cache_give_up(&t->store, &trouble);
    return 0;
}

/* A page record becomes a tiles record, in place. */
static int cut(tiler *t, dsvl_record *record, bool crop, dsvl_error *err)
{
    const double begun = cli_seconds();
    const dsvl_tensor *pixels = dsvl_record_need(record, "pixels", DSVL_U8, 3, err); /* [H, W, 3] */
    dsvl_tile_plan plan;
    dsvl_tensor tiles;
    if (!pixels) return -1;
    if (pixels->shape[2] != 3 || pixels->shape[0] > DSVL_RESIZE_MAX_SIDE ||
        pixels->shape[1] > DSVL_RESIZE_MAX_SIDE)
        return dsvl_fail(err, DSVL_E_INPUT, "pixels of shape [%lld, %lld, %lld] are no RGB page",
                         (long long)pixels->shape[0], (long long)pixels->shape[1],
                         (long long)pixels->shape[2]);
    dsvl_picture picture = {pixels->data, (size_t)pixels->shape[1] * 3, (int)pixels->shape[1],
                            (int)pixels->shape[0], 3};
    if (dsvl_tiling_plan(&plan, &t->processor, picture.width, picture.height, crop, err) ||
        find_tiles(t, &plan, &picture, &tiles, err))
        return -1;
    dsvl_tensor low = {0};
    if (set_facts(record, &plan, pixels, err) || set_hash(record, &tiles, err) ||
        (t->processor.low_size && dsvl_tiling_low(&low, &tiles, &t->processor, err))) {
        dsvl_tensor_free(&tiles);
        return -1;
    }
    dsvl_record_drop(record, "pixels");
    if (dsvl_record_put_take(record, "tiles", &tiles, err) ||
        (low.data && dsvl_record_put_take(record, "tiles_low", &low, err)))
        return -1;
    return cli_stamp(&program, record, t->settings, cli_seconds() - begun, err);
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

static bool is_image(const dsvl_record *record)
{
    return dsvl_record_is(record, "page") || dsvl_record_is(record, "region");
}

/* Write a record and free it; an image is cut first, and one that fails becomes an error record. */
static int put_take(tiler *t, dsvl_record *record, bool crop, dsvl_error *err)
{
    dsvl_error page = {0};
    char place[256];
    int status = 0;
    if (is_image(record) && cut(t, record, crop, &page)) {
        dsvl_error_prefix(&page, "%s: ", dsvl_record_place(record, place));
        cli_page_failed("%s", page.message);
        status = dsvl_record_to_error(record, "tile", &page, err);
    }
    if (!status) status = dsvl_writer_put(t->writer, record, err);
    dsvl_record_free(record);
    cli_progress("pages", ++t->done, 0);
    return status;
}

static int put_held(tiler *t, bool crop, dsvl_error *err)
{
    int status = 0;
    for (int i = 0; i < t->holding; i++) {
        if (status == 0)
            status = put_take(t, t->held[i], crop, err);
        else
            dsvl_record_free(t->held[i]);
    }
    t->holding = 0;
    return status;
}

/* An image with --per=document --cropping=auto. Mirrors `cropping=len(pil_images) <= 2`. */
static int count_take(tiler *t, dsvl_record *record, dsvl_error *err)
{
    const char *document = dsvl_record_get(record, DSVL_KEY_DOCUMENT);
    if (!document) document = "";
    if (!t->document || strcmp(document, t->document) != 0) {
        dsvl_dealloc(t->document);
        t->document = dsvl_strdup(document);
        if (!t->document) dsvl_fail_memory(err, strlen(document));
        if (!t->document || put_held(t, true, err)) {
            dsvl_record_free(record);
            return -1;
        }
        t->many = false;
    }
    if (!t->many && t->holding < DSVL_TILING_MAX_CROPPED) {
        t->held[t->holding++] = record;
        return 0;
    }
    t->many = true;
    if (put_held(t, false, err)) {
        dsvl_record_free(record);
        return -1;
    }
    return put_take(t, record, false, err);
}

static int run(tiler *t, dsvl_error *err)
{
    const bool counting = t->per_document && t->cropping == CROPPING_AUTO;
    dsvl_record *record = NULL;
    int more;
    while ((more = next_record(t, &record, err)) == 1) {
        /* Records that are no images overtake those that wait: what is held stays bounded. */
        int status = counting && is_image(record) ? count_take(t, record, err)
                                                  : put_take(t, record, t->cropping != CROPPING_OFF, err);
        if (status) return -1;
    }
    if (more < 0) { /* what came before the damage is whole: let it through, without an end record */
        dsvl_error ignored = {0};
        put_held(t, true, &ignored);
        return -1;
    }
    return put_held(t, true, err) || dsvl_writer_end(t->writer, err) ? -1 : 0;
}

/* ---- setting up -------------------------------------------------------------------------------------- */

static int choose(const char *option, const char *text, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(text, names[i]) == 0) return i;
    char all[64] = "";
    for (int i = 0; names[i]; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", !i ? "" : names[i + 1] ? ", " : " or ", names[i]);
    }
    exit(cli_usage("--%s takes %s, not \"%s\"", option, all, text));
}

static void set_up(tiler *t)
{
    t->per_document = choose("per", options.per, per_names) == 1;
    t->cropping = (cropping)choose("cropping", options.cropping, cropping_names);
    t->pillow = (dsvl_pillow)choose("pillow", options.pillow, pillow_names);
    t->render = dsvl_render_defaults();
    t->render.max_pixels = options.max_pixels;
    snprintf(t->settings, sizeof t->settings, "--per=%s --cropping=%s --pillow=%s", options.per,
             options.cropping, options.pillow);
}

static int read_model(tiler *t, dsvl_error *err)
{
    char *folder = cli_model_folder(options.model, err);
    if (!folder) return -1;
    int status = dsvl_processor_config_read(&t->processor, folder, err);
    dsvl_free(folder);
    return status;
}

int main(int argc, char **argv)
{
    static tiler t;
    dsvl_error err = {0};
    const int files = cli_parse(&program, argc, argv);
    set_up(&t);
    if (cli_check_output("dsvl-encode")) return CLI_USAGE;
    t.input = cli_input_new(argv, files, &err);
    t.writer = dsvl_writer_new(STDOUT_FILENO, "standard output", &err);
    int status = t.input && t.writer ? read_model(&t, &err) : -1;
    t.store = cli_cache_open();
    if (!status) status = run(&t, &err);
    cli_progress_end();
    if (status)
        status = cli_fail(&err);
    else
        status = dsvl_writer_count(t.writer, "error") ? CLI_PARTIAL : CLI_OK;
    for (int i = 0; i < t.holding; i++) dsvl_record_free(t.held[i]);
    close_pictures(&t);
    dsvl_dealloc(t.document);
    cli_input_free(t.input);
    dsvl_writer_free(t.writer);
    dsvl_store_close(t.store);
    return status;
}
