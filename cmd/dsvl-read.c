/* SPDX-License-Identifier: Apache-2.0 */
/* Pages in, pages out: one that has no text layer gets one, read from its pixels by a model. The print is
 * found by its ink, set anew line by line on tiles, and read tile by tile. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cli.h"
#include "cmd/cli_cache.h"
#include "filters/page_record.h"
#include "filters/print_words.h"
#include "lib/alloc.h"
#include "lib/model.h"
#include "lib/reading.h"

enum { MOST_THREADS = 64 };
/* A text layer with words in less than one in so many lines of a page, of so many at least, is none. */
enum { STAMP_LINES = 10, STAMP_SHARE = 5 };
/* Type size, of the height of a row: accents and tails have room. */
static const double ROW_EM = 0.86;

static struct {
    const char *model;
    long threads;
} options;

static const cli_option option_table[] = {
    {"model", 'm', CLI_STRING, &options.model, "DIR", "model folder (default: the embedded model)", 0, 0},
    {"threads", 0, CLI_INT, &options.threads, "N", "threads; 0: one per processor (default)", 0,
     MOST_THREADS},
    CLI_MEMORY,
    CLI_CACHE,
    CLI_COMMON,
};
static const cli_program program = {
    "dsvl-read",
    "[OPTION...] [FILE...]",
    "Give page records that have no text layer one, read from their pixels by a model.",
    option_table,
    sizeof option_table / sizeof *option_table,
};

typedef struct desk {
    dsvl_model *model;
    dsvl_print_rows rows;
    size_t rows_a_tile;
    dsvl_print_reader *readers[MOST_THREADS];
    long threads;
    dsvl_store *store; /* --cache; NULL: none */
} desk;

/* A page that the readers share: each takes the next tile's pieces until there are none. */
typedef struct job {
    desk *desk;
    const dsvl_print *print;
    dsvl_print_text *texts; /* [pieces] */
    atomic_size_t next;
    atomic_int failed;
    dsvl_error error; /* of the first that failed */
} job;

typedef struct reader {
    job *job;
    dsvl_print_reader *reader;
    uint8_t *tile; /* [S, S, 3] */
} reader;

/* ---- reading ----------------------------------------------------------------------------------------- */

static int keep(dsvl_print_text *t, const dsvl_reading *from, size_t begin, size_t end, dsvl_error *err)
{
    t->length = end - begin;
    t->bytes = dsvl_alloc(t->length, 1);
    t->logprobs = dsvl_alloc(t->length, sizeof *t->logprobs);
    if (!t->bytes || !t->logprobs) return dsvl_fail_memory(err, t->length * sizeof *t->logprobs);
    memcpy(t->bytes, from->text + begin, t->length);
    memcpy(t->logprobs, from->logprobs + begin, t->length * sizeof *t->logprobs);
    return 0;
}

/* Lines of an answer to the texts of the rows they were read from; of a single row all are its own. */
static int share_out(const dsvl_reading *from, dsvl_print_text *texts, size_t count, dsvl_error *err)
{
    size_t begin = 0;
    for (size_t i = 0; i < count; i++) {
        size_t end = begin;
        while (end < from->length && (count == 1 || from->text[end] != '\n')) end++;
        if (keep(&texts[i], from, begin, end, err)) return -1;
        begin = end + 1;
    }
    for (size_t k = 0; count == 1 && k < texts->length; k++)
        if (texts->bytes[k] == '\n') texts->bytes[k] = ' ';
    return 0;
}

static size_t lines_of(const dsvl_reading *reading)
{
    size_t n = 1;
    for (size_t i = 0; i < reading->length; i++) n += reading->text[i] == '\n';
    return n;
}

/* Read pieces [first, first + count). An answer of as many lines says which is whose; another one is not
 * believed, and fewer pieces are shown at a time. */
static int read_rows(reader *r, size_t first, size_t count, dsvl_error *err)
{
    const job *j = r->job;
    const int side = j->desk->rows.width;
    dsvl_reading reading = {0};
    memset(r->tile, 255, (size_t)side * (size_t)side * 3);
    if (dsvl_print_draw(r->tile, j->print, first, count, &j->desk->rows, err) ||
        dsvl_reading_of(r->reader, r->tile, &reading, err))
        return -1;
    const bool plain = reading.whole && lines_of(&reading) == count;
    int status = plain || count == 1 ? share_out(&reading, j->texts + first, count, err) : 0;
    dsvl_reading_clear(&reading);
    if (plain || count == 1 || status) return status;
    const size_t half = count / 2;
    return read_rows(r, first, half, err) || read_rows(r, first + half, count - half, err) ? -1 : 0;
}

static void *read_tiles(void *user)
{
    reader *r = user;
    job *j = r->job;
    const size_t each = j->desk->rows_a_tile;
    dsvl_error err = {0};
    for (;;) {
        const size_t first = each * atomic_fetch_add(&j->next, 1), left = j->print->piece_count - first;
        if (first >= j->print->piece_count || atomic_load(&j->failed)) return NULL;
        if (read_rows(r, first, left < each ? left : each, &err) == 0) continue;
        if (atomic_exchange(&j->failed, 1) == 0) j->error = err;
        return NULL;
    }
}

static int read_print(desk *d, const dsvl_print *print, dsvl_print_text *texts, dsvl_error *err)
{
    const size_t side = (size_t)d->rows.width,
                 tiles = (print->piece_count + d->rows_a_tile - 1) / d->rows_a_tile;
    job j = {.desk = d, .print = print, .texts = texts};
    reader readers[MOST_THREADS] = {0};
    pthread_t threads[MOST_THREADS];
    long n = 0, begun = 0;
    for (; n < d->threads && (n == 0 || (size_t)n < tiles); n++) {
        readers[n] = (reader){&j, d->readers[n], dsvl_alloc(side * side, 3)};
        if (!readers[n].tile) break;
        if (n > 0 && pthread_create(&threads[n], NULL, read_tiles, &readers[n])) break;
        begun = n;
    }
    if (readers[0].tile) read_tiles(&readers[0]);
    for (long i = 1; i <= begun; i++) pthread_join(threads[i], NULL);
    for (long i = 0; i <= n && i < MOST_THREADS; i++) dsvl_dealloc(readers[i].tile);
    if (n == 0) return dsvl_fail_memory(err, side * side * 3);
    if (j.failed) *err = j.error;
    cli_count("tiles_total", "result=\"read\"", tiles);
    return j.failed ? -1 : 0;
}

/* ---- what was read before ---------------------------------------------------------------------------- */

/* Everything that the texts of a page's pieces depend on. */
static void make_key(const desk *d, const dsvl_record *record, const dsvl_page_view *view, char key[65])
{
    char pixels[65], facts[320];
    dsvl_hash hash;
    dsvl_tensor_hash(dsvl_record_tensor(record, "pixels"), pixels);
    const int n =
        snprintf(facts, sizeof facts, "reading 1 %s %s %s %.17g %.17g %d %d\n", DSVL_VERSION,
                 dsvl_model_hash(d->model), pixels, view->scale[1], d->rows.em, d->rows.pitch, d->rows.width);
    dsvl_hash_init(&hash);
    dsvl_hash_add(&hash, facts, (size_t)n);
    dsvl_hash_hex(&hash, key);
}

/* The entry: of each piece the length of its text, its bytes and their log-probabilities. */
static int keep_texts(const desk *d, const char *key, const dsvl_print_text *texts, size_t count,
                      dsvl_error *err)
{
    dsvl_bytes_part *parts = dsvl_alloc(3 * count, sizeof *parts);
    if (!parts) return dsvl_fail_memory(err, 3 * count * sizeof *parts);
    for (size_t i = 0; i < count; i++) {
        parts[3 * i] = (dsvl_bytes_part){&texts[i].length, sizeof texts[i].length};
        parts[3 * i + 1] = (dsvl_bytes_part){texts[i].bytes, texts[i].length};
        parts[3 * i + 2] = (dsvl_bytes_part){texts[i].logprobs, texts[i].length * sizeof *texts[i].logprobs};
    }
    int status = dsvl_store_put(d->store, key, parts, 3 * count, err);
    dsvl_dealloc(parts);
    return status;
}

/* 1: the texts are those of an entry; 0: there is none that fits; -1: memory. */
static int take_texts(const desk *d, const char *key, dsvl_print_text *texts, size_t count, dsvl_error *err)
{
    void *data = NULL;
    size_t left, length;
    int found = dsvl_store_get(d->store, key, &data, &left, err);
    const char *at = data;
    for (size_t i = 0; i < count && found == 1; i++) {
        const size_t each = 1 + sizeof *texts->logprobs;
        dsvl_print_text *t = &texts[i];
        found = 0;
        if (left < sizeof length) break;
        memcpy(&length, at, sizeof length);
        at += sizeof length, left -= sizeof length;
        if (length > left / each) break;
        found = -1;
        t->bytes = dsvl_alloc(length, 1);
        t->logprobs = dsvl_alloc(length, sizeof *t->logprobs);
        if (!t->bytes || !t->logprobs) {
            dsvl_fail_memory(err, length * each);
            break;
        }
        found = 1;
        t->length = length;
        memcpy(t->bytes, at, length);
        memcpy(t->logprobs, at + length, length * sizeof *t->logprobs);
        at += length * each, left -= length * each;
    }
    if (found == 1 && left) found = 0;
    dsvl_dealloc(data);
    return found;
}

/* The texts of a page's pieces, from the cache or from the model. */
static int find_texts(desk *d, const dsvl_record *record, const dsvl_page_view *view, const dsvl_print *print,
                      dsvl_print_text *texts, dsvl_error *err)
{
    char key[65];
    int found = 0;
    if (d->store && print->piece_count) {
        make_key(d, record, view, key);
        found = take_texts(d, key, texts, print->piece_count, err);
        if (found) return found < 0 ? -1 : 0;
        for (size_t i = 0; i < print->piece_count; i++) dsvl_print_text_clear(&texts[i]);
    }
    if (read_print(d, print, texts, err)) return -1;
    dsvl_error trouble = {0};
    if (d->store && print->piece_count && keep_texts(d, key, texts, print->piece_count, &trouble))
        cli_cache_give_up(&d->store, &trouble);
    return 0;
}

/* ---- program ----------------------------------------------------------------------------------------- */

static int put_words(dsvl_record *record, const dsvl_print *print, const dsvl_print_text *texts,
                     const dsvl_page_view *view, dsvl_error *err)
{
    dsvl_words words = {0};
    int status = dsvl_print_words(&words, print, texts, view, err);
    if (!status) status = dsvl_words_put_take(record, &words, err);
    if (!status) status = dsvl_record_set(record, DSVL_KEY_TEXT_LAYER, "read", err);
    dsvl_words_free(&words);
    return status;
}

/* A text layer that says next to nothing of the page: of a scan that somebody printed a line on. */
static bool is_stamp(const dsvl_print *print, const dsvl_page_view *view)
{
    return print->line_count >= STAMP_LINES &&
           dsvl_print_covered(print, view) * STAMP_SHARE < print->line_count;
}

static int read_page(void *user, dsvl_record *record, dsvl_error *err)
{
    desk *d = user;
    dsvl_page_view view = {0};
    dsvl_print print = {0};
    dsvl_print_text *texts = NULL;
    char place[256];
    const double begun = cli_seconds();
    int status = -1;
    if (dsvl_page_view_open(&view, record, err) ||
        dsvl_print_find(&print, &view.picture, 1 / view.scale[1], &d->rows, err))
        goto out;
    if (view.has_words && !is_stamp(&print, &view)) {
        cli_note("%s: has a text layer of its own", dsvl_record_place(record, place));
        status = 0;
        goto out;
    }
    texts = dsvl_alloc_zero(print.piece_count, sizeof *texts);
    if (!texts) {
        dsvl_fail_memory(err, print.piece_count * sizeof *texts);
        goto out;
    }
    if (find_texts(d, record, &view, &print, texts, err) || put_words(record, &print, texts, &view, err))
        goto out;
    cli_note("%s: %zu lines in %zu pieces", dsvl_record_place(record, place), print.line_count,
             print.piece_count);
    status = cli_stamp(&program, record, dsvl_model_name(d->model), cli_seconds() - begun, err);
out:
    if (status) dsvl_error_prefix(err, "%s: ", dsvl_record_place(record, place));
    for (size_t i = 0; texts && i < print.piece_count; i++) dsvl_print_text_clear(&texts[i]);
    dsvl_dealloc(texts);
    dsvl_print_free(&print);
    dsvl_page_view_close(&view);
    return status;
}

/* Each reader has a thread, and its products one. */
static int open_model(desk *d, dsvl_error *err)
{
    d->threads = options.threads ? options.threads : sysconf(_SC_NPROCESSORS_ONLN);
    if (d->threads < 1) d->threads = 1;
    if (d->threads > MOST_THREADS) d->threads = MOST_THREADS;
    const dsvl_options model_options = {.threads = 1,
                                        .max_memory = cli_max_memory / 2 / (uint64_t)d->threads};
    d->model = cli_model_open(options.model, DSVL_PART_VISION | DSVL_PART_DECODER | DSVL_PART_TOKENIZER,
                              &model_options, err);
    if (!d->model) return -1;
    const dsvl_config *c = &d->model->config;
    const int side = dsvl_model_tile_size(d->model);
    d->rows = (dsvl_print_rows){ROW_EM * c->line_pitch_px, c->line_pitch_px, side};
    if (c->line_pitch_px < 1 || c->line_pitch_px > side)
        return dsvl_fail(err, DSVL_E_MODEL,
                         "model %s does not read lines set anew (there is no dsvl_line_pitch_px in its "
                         "config.json): leave out -m for the embedded model, which does",
                         dsvl_model_name(d->model));
    d->rows_a_tile = (size_t)(side / c->line_pitch_px);
    for (long i = 0; i < d->threads; i++) {
        d->readers[i] = dsvl_print_reader_new(d->model, err);
        if (!d->readers[i]) return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static desk d;
    dsvl_error err = {0};
    const int files = cli_parse(&program, argc, argv);
    if (cli_check_output("dsvl-regions")) return CLI_USAGE;
    cli_input *input = cli_input_new(argv, files, &err);
    int status = input ? open_model(&d, &err) : -1;
    if (!status) d.store = cli_cache_open();
    status = status ? cli_fail(&err) : cli_filter(&program, input, "page", read_page, &d);
    for (long i = 0; i < MOST_THREADS; i++) dsvl_print_reader_free(d.readers[i]);
    dsvl_store_close(d.store);
    dsvl_model_close(d.model);
    cli_input_free(input);
    return status;
}
