/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles records in, embeddings records out: vision tower, projector, 2D mosaic. Pages wait in a queue until
 * enough tiles have come for a batch, or until no more can be read without waiting. */
#include <string.h>
#include <unistd.h>

#include "cmd/cli.h"
#include "cmd/cli_cache.h"
#include "lib/alloc.h"
#include "lib/tile_cache.h"

enum { QUEUE_PAGES = 256 };             /* pages that wait, however few tiles they add */
#define KEEP_BYTES ((uint64_t)32 << 20) /* tiles remembered for later pages */
/* Tiles that are gathered where --batch does not say how many, and the room for them and their features: a
 * square of DeepSeek-VL 7B takes thirty times as much as a tile of VL2-tiny. */
#define BATCH 32
#define BATCH_BYTES ((uint64_t)96 << 20)

static struct {
    const char *model, *dtype, *activations;
    long threads, batch;
    uint64_t max_memory;
    bool stats, int8;
} options = {.dtype = "f32", .activations = "f32"};

static const cli_option option_table[] = {
    {"model", 'm', CLI_STRING, &options.model, "DIR", "model folder (default: the embedded model)", 0, 0},
    {"threads", 0, CLI_INT, &options.threads, "N", "threads; 0: one per processor (default)", 0, 4096},
    {"batch", 0, CLI_INT, &options.batch, "TILES",
     "gather this many different tiles before encoding (default: 32, fewer if large)", 1, 65536},
    {"dtype", 0, CLI_STRING, &options.dtype, "TYPE", "type of the embeddings: f32 (default) or bf16", 0, 0},
    CLI_ACTIVATIONS(&options.activations),
    {"max-memory", 0, CLI_SIZE, &options.max_memory, "SIZE",
     "limit of the working memory, weights not counted", 0, 0},
    CLI_CACHE,
    {"stats", 0, CLI_FLAG, &options.stats, NULL, "print how many tiles came and how many were encoded", 0, 0},
    CLI_COMMON,
};
static const cli_program program = {
    "dsvl-encode",
    "[OPTION...] [FILE...]",
    "Turn tiles records into embeddings records with a model's vision tower and projector.",
    option_table,
    sizeof option_table / sizeof *option_table,
};

/* A record on its way; one that only passes through has no tiles. */
typedef struct page {
    dsvl_record *record;
    dsvl_cached_tile **tiles; /* [1 + cols*rows], global view first */
    long count, fresh, cols, rows;
    char key[65]; /* of its embeddings in the cache, "" where there is none */
} page;

typedef struct encoder {
    dsvl_model *model;
    dsvl_tile_cache *cache;
    dsvl_writer *writer;
    dsvl_store *store; /* --cache; NULL: none */
    page queue[QUEUE_PAGES];
    size_t waiting, done, batch;
    size_t tiles, fresh;
    double seconds;
} encoder;

static int fail_page(page *p, const dsvl_error *cause, dsvl_error *err)
{
    p->count = 0;
    cli_page_failed("%s", cause->message);
    return dsvl_record_to_error(p->record, "encode", cause, err);
}

/* The tiles of a record, checked against the model and its own grid. */
static const dsvl_tensor *check_tiles(const encoder *e, page *p, dsvl_error *err)
{
    char place[256];
    const char *cut_for = dsvl_record_get(p->record, DSVL_KEY_MODEL);
    const dsvl_tensor *t = dsvl_record_need(p->record, "tiles", DSVL_U8, 4, err);
    if (!t || dsvl_record_int(p->record, DSVL_KEY_TILES_COLS, 0, 4096, &p->cols, err) ||
        dsvl_record_int(p->record, DSVL_KEY_TILES_ROWS, 0, 4096, &p->rows, err)) {
        return NULL;
    }
    dsvl_record_place(p->record, place);
    const int size = dsvl_model_tile_size(e->model);
    if (t->shape[1] != size || t->shape[2] != size || t->shape[3] != 3 ||
        (cut_for && strcmp(cut_for, dsvl_model_name(e->model)) != 0)) {
        dsvl_fail(err, DSVL_E_INPUT,
                  "%s: tiles of %lld x %lld pixels%s%.100s do not fit model %.100s, which takes %d x %d; "
                  "give dsvl-tile and "
                  "dsvl-encode the same -m",
                  place, (long long)t->shape[2], (long long)t->shape[1], cut_for ? " for model " : "",
                  cut_for ? cut_for : "", dsvl_model_name(e->model), size, size);
        return NULL;
    }
    if (t->shape[0] != 1 + p->cols * p->rows || !dsvl_image_tokens(e->model, (int)p->cols, (int)p->rows)) {
        dsvl_fail(err, DSVL_E_INPUT, "%s: %lld tiles are not a global view and a grid of %ld x %ld", place,
                  (long long)t->shape[0], p->cols, p->rows);
        return NULL;
    }
    return t;
}

/* The bytes of the tiles, one after the other, as the model takes them: behind a square comes its smaller
 * picture, where the model wants one. That is put together in *joined, owned. NULL: an error. */
static const uint8_t *tile_pixels(const encoder *e, const page *p, const dsvl_tensor *tiles, uint8_t **joined,
                                  dsvl_error *err)
{
    const size_t bytes = dsvl_model_tile_bytes(e->model), one = tiles->nbytes / (size_t)tiles->shape[0];
    if (bytes == one) return tiles->data;
    const dsvl_tensor *low = dsvl_record_need(p->record, "tiles_low", DSVL_U8, 4, err);
    if (!low) return NULL;
    if (tiles->shape[0] != 1 || one + low->nbytes != bytes) {
        dsvl_fail(
            err, DSVL_E_INPUT,
            "tiles_low of %lld x %lld pixels does not fit the model: give dsvl-tile and dsvl-encode the "
            "same -m",
            (long long)low->shape[2], (long long)low->shape[1]);
        return NULL;
    }
    *joined = dsvl_alloc(bytes, 1);
    if (!*joined) {
        dsvl_fail_memory(err, bytes);
        return NULL;
    }
    memcpy(*joined, tiles->data, one);
    memcpy(*joined + one, low->data, low->nbytes);
    return *joined;
}

/* The record with its embeddings, whose data it takes over; `begun`: since when it was in the making. */
static int finish_record(const encoder *e, dsvl_record *record, dsvl_tensor *embeddings, double begun,
                         dsvl_error *err)
{
    if (dsvl_record_put_take(record, "embeddings", embeddings, err) ||
        dsvl_record_set(record, DSVL_KEY_KIND, "embeddings", err) ||
        dsvl_record_set(record, DSVL_KEY_MODEL, dsvl_model_name(e->model), err) ||
        dsvl_record_set(record, DSVL_KEY_MODEL_HASH, dsvl_model_hash(e->model), err)) {
        return -1;
    }
    const bool half = strcmp(options.dtype, "bf16") == 0;
    char settings[64];
    snprintf(settings, sizeof settings, "%s%s%s", half ? "--dtype=bf16" : "", half && options.int8 ? " " : "",
             options.int8 ? "--activations=int8" : "");
    return cli_stamp(&program, record, settings, cli_seconds() - begun, err);
}

/* Everything that a page's embeddings depend on. */
static void make_key(const encoder *e, page *p, const uint8_t *pixels, size_t length)
{
    char facts[160];
    const int n = snprintf(facts, sizeof facts, "embeddings 1 %s %s %s %s %ldx%ld\n", DSVL_VERSION,
                           dsvl_model_hash(e->model), options.dtype, options.activations, p->cols, p->rows);
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    dsvl_hash_add(&hash, facts, (size_t)n);
    dsvl_hash_add(&hash, pixels, length);
    dsvl_hash_hex(&hash, p->key);
}

/* A page whose embeddings are in the cache becomes an embeddings record. 1: it did, 0: not, -1: error. */
static int take_cached(const encoder *e, page *p, const uint8_t *pixels, size_t bytes, dsvl_error *err)
{
    void *data = NULL;
    size_t length;
    dsvl_tensor out = {0};
    const double begun = cli_seconds();
    const bool half = strcmp(options.dtype, "bf16") == 0;
    const int64_t shape[2] = {dsvl_image_tokens(e->model, (int)p->cols, (int)p->rows),
                              dsvl_model_width(e->model)};
    if (!e->store) return 0;
    make_key(e, p, pixels, bytes);
    int found = dsvl_store_get(e->store, p->key, &data, &length, err);
    if (found != 1) return found;
    int status = dsvl_tensor_new(&out, half ? DSVL_BF16 : DSVL_F32, 2, shape, err);
    found = status == 0 && out.nbytes == length;
    if (found) {
        memcpy(out.data, data, length);
        dsvl_record_drop(p->record, "tiles");
        dsvl_record_drop(p->record, "tiles_low");
        status = finish_record(e, p->record, &out, begun, err);
    }
    dsvl_tensor_free(&out);
    dsvl_dealloc(data);
    return status ? -1 : found;
}

/* The tiles into the cache of tiles, from where they are encoded. */
static int remember(encoder *e, page *p, const uint8_t *pixels, long count, dsvl_error *err)
{
    p->tiles = dsvl_alloc((size_t)count, sizeof(dsvl_cached_tile *));
    if (!p->tiles) return dsvl_fail_memory(err, (size_t)count * sizeof(dsvl_cached_tile *));
    for (long i = 0; i < count; i++) {
        bool fresh;
        p->tiles[i] =
            dsvl_tile_cache_add(e->cache, pixels + (size_t)i * dsvl_model_tile_bytes(e->model), &fresh, err);
        if (!p->tiles[i]) return -1;
        p->fresh += fresh;
    }
    p->count = count;
    e->tiles += (size_t)p->count;
    e->fresh += (size_t)p->fresh;
    cli_count("tiles_total", "result=\"encoded\"", (uint64_t)p->fresh);
    cli_count("tiles_total", "result=\"known\"", (uint64_t)(p->count - p->fresh));
    dsvl_record_drop(p->record, "tiles"); /* the cache has them */
    dsvl_record_drop(p->record, "tiles_low");
    return 0;
}

static int take_tiles(encoder *e, page *p, dsvl_error *err)
{
    uint8_t *joined = NULL;
    const dsvl_tensor *t = check_tiles(e, p, err);
    const uint8_t *pixels = t ? tile_pixels(e, p, t, &joined, err) : NULL;
    const long count = t ? (long)t->shape[0] : 0;
    int status =
        pixels ? take_cached(e, p, pixels, (size_t)count * dsvl_model_tile_bytes(e->model), err) : -1;
    if (status == 0) status = remember(e, p, pixels, count, err);
    dsvl_dealloc(joined);
    return status < 0 ? -1 : 0;
}

/* Put a record into the queue (taken over, on failure too). */
static int enqueue_take(encoder *e, dsvl_record *record, dsvl_error *err)
{
    page *p = &e->queue[e->waiting++];
    dsvl_error cause = {0};
    *p = (page){.record = record};
    if (!dsvl_record_is(record, "tiles") || take_tiles(e, p, &cause) == 0) return 0;
    return fail_page(p, &cause, err);
}

/* From f32 to bf16: half the bytes in the pipe. */
static int narrow(dsvl_tensor *wide, dsvl_error *err)
{
    dsvl_tensor out;
    if (dsvl_tensor_new(&out, DSVL_BF16, wide->rank, wide->shape, err)) return -1;
    const float *from = wide->data;
    uint16_t *to = out.data;
    for (size_t i = 0; i < out.nbytes / sizeof *to; i++) to[i] = dsvl_f32_to_bf16(from[i]);
    dsvl_tensor_free(wide);
    *wide = out;
    return 0;
}

/* [tokens, width] of an image as a tensor of the type asked for. */
static int make_embeddings(const encoder *e, const page *p, dsvl_tensor *out, dsvl_error *err)
{
    const size_t side = (size_t)dsvl_tile_tokens_side(e->model), width = (size_t)dsvl_model_width(e->model);
    const int64_t shape[2] = {dsvl_image_tokens(e->model, (int)p->cols, (int)p->rows), (int64_t)width};
    const size_t floats = side * side * width;
    float *features = dsvl_alloc((size_t)p->count, floats * sizeof *features);
    int status = features ? dsvl_tensor_new(out, DSVL_F32, 2, shape, err)
                          : dsvl_fail_memory(err, floats * sizeof *features);
    for (long i = 0; status == 0 && i < p->count; i++) {
        memcpy(features + (size_t)i * floats, dsvl_cached_tile_features(p->tiles[i]),
               floats * sizeof *features);
    }
    if (status == 0)
        status = dsvl_image_mosaic(e->model, features, (int)p->cols, (int)p->rows, out->data, err);
    dsvl_dealloc(features);
    if (status == 0 && strcmp(options.dtype, "bf16") == 0) status = narrow(out, err);
    return status;
}

static int finish_page(encoder *e, page *p, double seconds_per_tile, dsvl_error *err)
{
    dsvl_tensor embeddings = {0};
    dsvl_error trouble = {0};
    const double begun = cli_seconds() - seconds_per_tile * (double)p->fresh;
    int status = make_embeddings(e, p, &embeddings, err);
    const dsvl_bytes_part part = {embeddings.data, embeddings.nbytes};
    if (status == 0 && e->store && p->key[0] && dsvl_store_put(e->store, p->key, &part, 1, &trouble))
        cli_cache_give_up(&e->store, &trouble);
    if (status == 0) status = finish_record(e, p->record, &embeddings, begun, err);
    dsvl_tensor_free(&embeddings);
    return status;
}

static bool all_encoded(const page *p)
{
    for (long i = 0; i < p->count; i++) {
        if (!dsvl_cached_tile_features(p->tiles[i])) return false;
    }
    return true;
}

/* Encode what has been gathered and write the waiting records in their order. A page whose tiles could not be
 * encoded becomes an error record; only weights that no page can be encoded with stop the program. */
static int flush(encoder *e, dsvl_error *err)
{
    const size_t fresh = dsvl_tile_cache_pending(e->cache);
    const double begun = cli_seconds();
    dsvl_error batch = {0};
    int status = dsvl_tile_cache_encode(e->cache, &batch);
    const double seconds = cli_seconds() - begun;
    e->seconds += seconds;
    if (status && (batch.code == DSVL_E_MODEL || batch.code == DSVL_E_INTERNAL)) {
        *err = batch;
        return -1;
    }
    status = 0;
    for (size_t i = 0; status == 0 && i < e->waiting; i++) {
        page *p = &e->queue[i];
        dsvl_error cause = {0};
        if (p->count && (all_encoded(p) ? finish_page(e, p, fresh ? seconds / (double)fresh : 0, &cause)
                                        : (cause = batch, -1))) {
            char place[256];
            dsvl_error_prefix(&cause, "%s: ", dsvl_record_place(p->record, place));
            status = fail_page(p, &cause, err);
        }
        if (status == 0) status = dsvl_writer_put(e->writer, p->record, err);
        cli_progress("pages", ++e->done, 0);
    }
    for (size_t i = 0; i < e->waiting; i++) {
        dsvl_record_free(e->queue[i].record);
        dsvl_dealloc(e->queue[i].tiles);
    }
    e->waiting = 0;
    dsvl_tile_cache_trim(e->cache);
    return status;
}

static int run(encoder *e, cli_input *input, dsvl_error *err)
{
    for (;;) {
        const bool full = e->waiting == QUEUE_PAGES || dsvl_tile_cache_pending(e->cache) >= e->batch;
        if (e->waiting && (full || dsvl_tile_cache_pending(e->cache) == 0 || !cli_input_ready(input)) &&
            flush(e, err)) {
            return -1;
        }
        dsvl_record *record = NULL;
        int more = cli_input_next(input, &record, err);
        if (more < 0) { /* what came before the damage is whole: let it through, without an end record */
            dsvl_error ignored = {0};
            flush(e, &ignored);
            return -1;
        }
        if (more == 0) break;
        if (enqueue_take(e, record, err)) return -1;
    }
    return flush(e, err) || dsvl_writer_end(e->writer, err) ? -1 : 0;
}

static void print_stats(const encoder *e)
{
    const size_t known = e->tiles - e->fresh;
    cli_info(
        "%zu pages, %zu tiles, %zu encoded, %zu (%.1f %%) equal to one encoded before; %.2f s in the tower, "
        "%.2f tiles/s",
        e->done, e->tiles, e->fresh, known, e->tiles ? 100.0 * (double)known / (double)e->tiles : 0,
        e->seconds, e->seconds > 0 ? (double)e->fresh / e->seconds : 0);
}

/* --max-memory is shared out: an eighth remembers tiles, a quarter holds those that wait, the rest is the
 * tower's. */
static int open_model(encoder *e, dsvl_error *err)
{
    const uint64_t limit = options.max_memory;
    const dsvl_options model_options = {
        .threads = (int)options.threads, .max_memory = limit - limit / 8 - limit / 4, .int8 = options.int8};
    e->model = cli_model_open(options.model, DSVL_PART_VISION, &model_options, err);
    if (!e->model) return -1;
    e->cache = dsvl_tile_cache_new(e->model, limit && limit / 8 < KEEP_BYTES ? limit / 8 : KEEP_BYTES, err);
    e->writer = dsvl_writer_new(STDOUT_FILENO, "standard output", err);
    e->store = cli_cache_open();
    if (!e->cache || !e->writer) return -1;
    const uint64_t each = dsvl_tile_cache_tile_bytes(e->cache);
    uint64_t batch = options.batch ? (uint64_t)options.batch : BATCH, most = limit ? limit / 4 / each : batch;
    if (!options.batch && most > BATCH_BYTES / each) most = BATCH_BYTES / each;
    if (batch > most) batch = most ? most : 1;
    e->batch = (size_t)batch;
    return 0;
}

int main(int argc, char **argv)
{
    static encoder e;
    dsvl_error err = {0};
    const int files = cli_parse(&program, argc, argv);
    if (strcmp(options.dtype, "f32") != 0 && strcmp(options.dtype, "bf16") != 0) {
        return cli_usage("--dtype takes f32 or bf16, not \"%s\"", options.dtype);
    }
    if (!cli_activations(options.activations, &options.int8)) return CLI_USAGE;
    if (cli_check_output("dsvl-answer")) return CLI_USAGE;
    cli_input *input = cli_input_new(argv, files, &err);
    int status = -1;
    if (input && open_model(&e, &err) == 0) status = run(&e, input, &err);
    cli_progress_end();
    if (status) {
        status = cli_fail(&err);
    } else {
        status = dsvl_writer_count(e.writer, "error") ? CLI_PARTIAL : CLI_OK;
        if (options.stats) print_stats(&e);
    }
    for (size_t i = 0; i < e.waiting; i++) {
        dsvl_record_free(e.queue[i].record);
        dsvl_dealloc(e.queue[i].tiles);
    }
    cli_input_free(input);
    dsvl_writer_free(e.writer);
    dsvl_store_close(e.store);
    dsvl_tile_cache_free(e.cache);
    dsvl_model_close(e.model);
    return status;
}
