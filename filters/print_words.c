/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/print_words.h"

#include <math.h>
#include <string.h>

#include "lib/alloc.h"

/* Mean log-probability of its bytes: less is no print. Of print that is misread it is -0.4 at the worst, of
 * hatched bars about -1. */
static const double DRAWING = -0.75;

void dsvl_print_text_clear(dsvl_print_text *text)
{
    dsvl_dealloc(text->bytes);
    dsvl_dealloc(text->logprobs);
    memset(text, 0, sizeof *text);
}

/* A word in the making: pieces may part it. */
typedef struct word {
    char *bytes;
    size_t length, capacity;
    double sum;    /* of its bytes' log-probabilities */
    double box[4]; /* pixels */
} word;

static void begin_word(word *w, const double box[4])
{
    w->length = 0;
    w->sum = 0;
    memcpy(w->box, box, sizeof w->box);
}

static int extend_word(word *w, const dsvl_print_text *t, size_t begin, size_t end, const double box[4],
                       dsvl_error *err)
{
    void *block = w->bytes;
    const bool room = dsvl_grow(&block, &w->capacity, w->length + end - begin, 1);
    w->bytes = block;
    if (!room) return dsvl_fail_memory(err, w->length + end - begin);
    memcpy(w->bytes + w->length, t->bytes + begin, end - begin);
    w->length += end - begin;
    for (size_t i = begin; i < end; i++) w->sum += (double)t->logprobs[i];
    w->box[2] = fmax(w->box[2], box[2]);
    return 0;
}

static int put_word(dsvl_words *words, const word *w, const dsvl_print_line *line, const dsvl_page_view *view,
                    uint8_t flags, dsvl_error *err)
{
    double points[4];
    if (w->length == 0) return 0;
    dsvl_page_view_place(view, w->box, points);
    if (dsvl_words_add(words, points, w->bytes, w->length, line->em * view->scale[1], flags, err)) return -1;
    return dsvl_words_doubt(words, w->sum / (double)w->length, err);
}

/* Bytes of the words of a text: begins and letters [room], how many. */
static size_t split(const dsvl_print_text *t, size_t *begins, size_t *letters)
{
    size_t n = 0;
    for (size_t i = 0; i < t->length;) {
        size_t end = i;
        while (end < t->length && t->bytes[end] != ' ') end++;
        if (end > i) {
            begins[n] = i;
            letters[n++] = end - i;
        }
        i = end + 1;
    }
    return n;
}

/* Hatching, a flourish, a fringe of a picture: what the reader is unsure of nearly throughout. */
static bool is_drawing(const dsvl_print_text *texts, size_t count)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < texts[i].length; k++) sum += (double)texts[i].logprobs[k];
        n += texts[i].length;
    }
    return n > 0 && sum < DRAWING * (double)n;
}

/* The words of one line's pieces [first, end). */
static int put_line(dsvl_words *words, word *w, const dsvl_print *print, const dsvl_print_text *texts,
                    size_t first, size_t end, const dsvl_page_view *view, dsvl_error *err)
{
    const dsvl_print_line *line = &print->lines[print->pieces[first].line];
    size_t *begins = NULL, *letters = NULL;
    double(*boxes)[4] = NULL;
    int status = -1;
    w->length = 0;
    if (is_drawing(texts + first, end - first)) return 0;
    for (size_t i = first; i < end; i++) {
        const dsvl_print_text *t = &texts[i];
        const size_t room = t->length / 2 + 1;
        dsvl_dealloc(begins), dsvl_dealloc(letters), dsvl_dealloc(boxes);
        begins = dsvl_alloc(room, sizeof *begins), letters = dsvl_alloc(room, sizeof *letters);
        boxes = dsvl_alloc(room, sizeof *boxes);
        if (!begins || !letters || !boxes) {
            dsvl_fail_memory(err, room * sizeof *boxes);
            goto out;
        }
        const size_t n = split(t, begins, letters);
        if (n && dsvl_print_place(print, i, letters, n, boxes, err)) goto out;
        for (size_t k = 0; k < n; k++) {
            const bool goes_on = k == 0 && i > first && print->pieces[i].joined && w->length;
            if (!goes_on) {
                if (put_word(words, w, line, view, DSVL_WORD_SPACE, err)) goto out;
                begin_word(w, boxes[k]);
            }
            if (extend_word(w, t, begins[k], begins[k] + letters[k], boxes[k], err)) goto out;
        }
    }
    status = put_word(words, w, line, view, DSVL_WORD_LINE, err);
out:
    dsvl_dealloc(begins), dsvl_dealloc(letters), dsvl_dealloc(boxes);
    return status;
}

int dsvl_print_words(dsvl_words *words, const dsvl_print *print, const dsvl_print_text *texts,
                     const dsvl_page_view *view, dsvl_error *err)
{
    word w = {0};
    int status = 0;
    for (size_t i = 0, end; i < print->piece_count && !status; i = end) {
        for (end = i + 1; end < print->piece_count && print->pieces[end].line == print->pieces[i].line;)
            end++;
        status = put_line(words, &w, print, texts, i, end, view, err);
    }
    dsvl_dealloc(w.bytes);
    return status;
}

size_t dsvl_print_covered(const dsvl_print *print, const dsvl_page_view *view)
{
    size_t covered = 0;
    for (size_t i = 0; i < print->line_count; i++) {
        const dsvl_print_line *l = &print->lines[i];
        bool found = false;
        for (size_t k = 0; k < view->words.count && !found; k++) {
            const float *b = view->words.boxes + 4 * k;
            const double x = ((b[0] + b[2]) / 2.0 - view->origin[0]) / view->scale[0] - l->x,
                         y = ((b[1] + b[3]) / 2.0 - view->origin[1]) / view->scale[1] - l->y;
            found = x >= 0 && y >= 0 && x < l->width && y < l->height;
        }
        covered += found;
    }
    return covered;
}
