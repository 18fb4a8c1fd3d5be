/* SPDX-License-Identifier: Apache-2.0 */
/* A nondeterministic automaton over bytes. Its states are places: between spans, or inside a spelling of a
 * word with the chain of words that came before it in the span. Few are alive at a time: at the start of a
 * span all words that begin with the byte, after three or four bytes usually one. */
#include "lib/grounding.h"

#include <math.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/spelling.h"

/* ---- the page ---- */

enum { FOLLOWERS = 5 };

typedef struct word {
    dsvl_spelling spell[DSVL_SPELLINGS];
    int spellings;
    int32_t follower[FOLLOWERS]; /* words that may come next within a span, -1: none */
    int32_t rest;                /* the other piece of a word that the text layer split, -1: none */
    int32_t rank;                /* in the order of the places */
    bool used;
} word;

/* ---- the automaton ---- */

typedef enum place {
    OUTSIDE, /* between spans */
    RULE,    /* in a Markdown rule, |---|:--|: after a bar, a dash or a colon */
    INSIDE,  /* `at` bytes into a spelling */
    SPACED,  /* after a whole word and a space: a follower must begin */
    QUOTE,   /* inside, after the first of two double quotes that stand for one */
    CLOSED,  /* after the quote that closes a cell: structure must come */
} place;

typedef struct state {
    place place;
    int32_t word, at; /* between spans `at` counts the bytes since the last one */
    int8_t spell;
    bool quoted;
    int32_t link;   /* chain of words of the open span, newest first; -1: none */
    int32_t closed; /* spans closed on the way here that are not settled yet, newest first; -1: none */
    int32_t begin;  /* byte of the answer where the open span began */
} state;

/* A word in a chain. Links are kept for one answer. */
typedef struct link {
    int32_t word, before;
} link;

/* A span that was closed on the way to a state. It is settled once all states that are alive agree on it:
 * after "1," either 1 was closed or 1,234 goes on. */
typedef struct closure {
    int32_t link, before, begin, end;
    size_t distance; /* in words, from the span settled last: of equal cells the next one is meant */
} closure;

typedef struct states {
    state *data;
    size_t count, capacity;
} states;

typedef struct span {
    size_t begin, end, first, count; /* words are span_words[first .. first + count) */
} span;

struct dsvl_grounding {
    word *words;
    size_t count;
    char *arena; /* all spellings */
    dsvl_guide guide;
    states now, next;
    states trial[2]; /* scratch of dsvl_grounding_allows */
    link *links;
    size_t link_count, link_capacity;
    closure *closures;
    size_t closure_count, closure_capacity;
    span *spans;
    size_t span_count, span_capacity;
    int32_t *span_words;
    size_t span_word_count, span_word_capacity;
    size_t position; /* bytes of the answer */
    int preferred;   /* which of a word's followers is that of the format expected */
    bool out_of_memory;
};

/* ---- followers ---- */

static float height(const float *box)
{
    return box[3] - box[1];
}

/* Whether b stands on the same line as a, to its right. */
static bool right_of(const float *a, const float *b)
{
    float middle = (b[1] + b[3]) / 2;
    return middle > a[1] && middle < a[3] && b[0] >= a[0] + 0.5f * (a[2] - a[0]);
}

/* The first word of the run of words, close together on one line, that word i ends or is part of. */
static size_t run_begin(const float *boxes, size_t i)
{
    while (i > 0 && right_of(boxes + 4 * (i - 1), boxes + 4 * i) &&
           boxes[4 * i] - boxes[4 * (i - 1) + 2] < height(boxes + 4 * i)) {
        i--;
    }
    return i;
}

/* Words that may follow word i: the next in the order of the text layer; where a run of words ends, the
 * beginning of the nearest run below that overlaps it horizontally (a cell of several lines). */
static void find_followers(dsvl_grounding *g, const float *boxes)
{
    for (size_t i = 0; i < g->count; i++) {
        word *w = &g->words[i];
        if (i + 1 < g->count) w->follower[0] = (int32_t)(i + 1);
        const float *box = boxes + 4 * i;
        bool in_run = i + 1 < g->count && run_begin(boxes, i + 1) != i + 1;
        if (in_run) continue;
        const float *begin = boxes + 4 * run_begin(boxes, i);
        float best = 1.9f * height(box);
        for (size_t j = 0; j < g->count; j++) {
            const float *below = boxes + 4 * j;
            float step = below[1] - box[1];
            if (step < 0.5f * height(box) || step >= best || j == i + 1) continue;
            if (below[0] > box[2] || below[2] < begin[0] || run_begin(boxes, j) != j) continue;
            best = step;
            w->follower[1] = (int32_t)j;
        }
    }
}

/* What else may follow is what does by the places of the words. */
static void take_order(dsvl_grounding *g)
{
    static const struct {
        dsvl_format format;
        int slot;
    } sources[] = {{DSVL_AS_TEXT, 2}, {DSVL_AS_CSV, 3}, {DSVL_AS_PAIRS, 4}};
    for (size_t k = 0; k < sizeof sources / sizeof *sources; k++) {
        const dsvl_transcript *t = &g->guide.transcripts[sources[k].format];
        for (size_t i = 0; i < t->written; i++) {
            word *w = &g->words[t->sequence[i]];
            if (sources[k].format != DSVL_AS_PAIRS || !g->guide.transcripts[DSVL_AS_CSV].written)
                w->rank = (int32_t)i;
            if (i + 1 == t->written) break;
            int32_t next = t->sequence[i + 1], gap = t->begins[next] - t->ends[t->sequence[i]];
            if (gap == 0) w->rest = next;
            if (gap == 1 && t->text[t->begins[next] - 1] == ' ') w->follower[sources[k].slot] = next;
        }
    }
}

/* ---- building ---- */

static int check_words(const dsvl_grounding_words *p, dsvl_error *err)
{
    bool good = p->count < INT32_MAX / 4 && p->offsets[0] == 0 && (size_t)p->offsets[p->count] == p->bytes;
    for (size_t i = 0; good && i < p->count; i++) {
        good = p->offsets[i] <= p->offsets[i + 1] && (!p->sizes || isfinite(p->sizes[i]));
        for (int k = 0; k < 4; k++) good = good && isfinite(p->boxes[4 * i + (size_t)k]);
    }
    for (size_t i = 0; good && i < p->passage_count; i++)
        good = p->passages[i].first <= p->count && p->passages[i].count <= p->count - p->passages[i].first;
    if (good) return 0;
    return dsvl_fail(err, DSVL_E_INPUT,
                     "the text layer is inconsistent: words.offsets or words.boxes are not in order");
}

/* Order the words by their places, in their first spellings. */
static int find_order(dsvl_grounding *g, const dsvl_grounding_words *p, dsvl_error *err)
{
    const dsvl_passage whole = {0, p->count, DSVL_PASSAGE_PAGE};
    dsvl_scribe_word *words = dsvl_alloc_zero(p->count, sizeof *words);
    if (!words) return dsvl_fail_memory(err, p->count * sizeof *words);
    for (size_t i = 0; i < p->count; i++) {
        const dsvl_spelling *s = &g->words[i].spell[0];
        const float *box = p->boxes + 4 * i;
        float em = p->sizes ? p->sizes[i] : 0;
        words[i] = (dsvl_scribe_word){.text = s->text,
                                      .length = g->words[i].spellings ? s->length : 0,
                                      .box = box,
                                      .em = em > 0 ? em : fmaxf(height(box) / 1.15f, 1e-3f),
                                      .ends_line = (p->flags[i] & 2) != 0};
    }
    int status = dsvl_guide_open(&g->guide, words, p->count, p->passage_count ? p->passages : &whole,
                                 p->passage_count ? p->passage_count : 1, err);
    dsvl_dealloc(words);
    return status;
}

dsvl_grounding *dsvl_grounding_new(const dsvl_grounding_words *p, dsvl_error *err)
{
    if (check_words(p, err)) return NULL;
    dsvl_grounding *g = dsvl_alloc_zero(1, sizeof *g);
    if (g) {
        g->count = p->count;
        g->words = dsvl_alloc_zero(p->count, sizeof *g->words);
        g->arena =
            dsvl_alloc(3 * p->bytes + 1, 1); /* at most three spellings, none longer than the word in UTF-8 */
    }
    if (!g || !g->words || !g->arena) {
        dsvl_fail_memory(err, p->count * sizeof(word));
        goto failed;
    }
    char *room = g->arena;
    for (size_t i = 0; i < p->count; i++) {
        word *w = &g->words[i];
        w->spellings = dsvl_spell(w->spell, &room, p->text + p->offsets[i], p->offsets[i + 1] - p->offsets[i],
                                  (p->flags[i] & 2) != 0);
        for (int k = 0; k < FOLLOWERS; k++) w->follower[k] = -1;
        w->rest = -1;
    }
    if (find_order(g, p, err)) goto failed;
    find_followers(g, p->boxes);
    take_order(g);
    dsvl_grounding_reset(g);
    if (!g->out_of_memory) return g;
    dsvl_fail_memory(err, sizeof(state));
failed:
    dsvl_grounding_free(g);
    return NULL;
}

void dsvl_grounding_free(dsvl_grounding *g)
{
    if (!g) return;
    dsvl_guide_close(&g->guide);
    dsvl_dealloc(g->words);
    dsvl_dealloc(g->arena);
    dsvl_dealloc(g->now.data);
    dsvl_dealloc(g->next.data);
    dsvl_dealloc(g->trial[0].data);
    dsvl_dealloc(g->trial[1].data);
    dsvl_dealloc(g->links);
    dsvl_dealloc(g->closures);
    dsvl_dealloc(g->spans);
    dsvl_dealloc(g->span_words);
    dsvl_dealloc(g);
}

/* ---- stepping ---- */

static void push(dsvl_grounding *g, states *set, state s)
{
    for (size_t i = 0; i < set->count; i++) { /* the same place by another way: the nearer words are kept */
        state *o = &set->data[i];
        if (o->place != s.place || o->word != s.word || o->at != s.at || o->spell != s.spell ||
            o->quoted != s.quoted)
            continue;
        if (o->closed >= 0 && s.closed >= 0 &&
            g->closures[s.closed].distance < g->closures[o->closed].distance)
            *o = s;
        return;
    }
    void *block = set->data;
    if (!dsvl_grow(&block, &set->capacity, set->count + 1, sizeof s)) {
        g->out_of_memory = true;
        return;
    }
    set->data = block;
    set->data[set->count++] = s;
}

/* A state without an open span that keeps what was closed on the way. */
static state between(place where, bool quoted, int32_t closed)
{
    return (state){where, -1, 0, 0, quoted, -1, closed, 0};
}

/* A new link when the step is real; trials do not need chains. */
static int32_t chain(dsvl_grounding *g, bool real, int32_t w, int32_t before)
{
    if (!real) return -1;
    void *block = g->links;
    if (!dsvl_grow(&block, &g->link_capacity, g->link_count + 1, sizeof *g->links)) {
        g->out_of_memory = true;
        return -1;
    }
    g->links = block;
    g->links[g->link_count] = (link){w, before};
    return (int32_t)g->link_count++;
}

/* Enter word w with byte c, at its beginning or, for a span's first word, behind its opening punctuation. */
static void enter(dsvl_grounding *g, states *to, bool real, int32_t index, char c, bool first,
                  const state *from)
{
    const word *w = &g->words[index];
    if (w->used) return;
    int32_t begin = first ? (int32_t)g->position : from->begin;
    int32_t mine = -2; /* one link for all spellings */
    for (int k = 0; k < w->spellings; k++) {
        const dsvl_spelling *s = &w->spell[k];
        for (int32_t at = 0;; at = s->open) {
            if (s->text[at] == c) {
                if (mine == -2) mine = chain(g, real, index, from->link);
                bool doubled = c == '"' && from->quoted;
                push(g, to,
                     (state){doubled ? QUOTE : INSIDE, index, at + !doubled, (int8_t)k, from->quoted, mine,
                             from->closed, begin});
            }
            if (at == s->open || !first) break;
        }
    }
}

static bool structure(char c)
{
    return c == ',' || c == '\n' || c == '\t' || c == '|';
}

/* Structure without a span between, in bytes: what empty cells and the rule of a wide table take. It ends an
 * answer that has gone astray in commas. */
enum { EMPTY_LIMIT = 64, RULE_LIMIT = 1024 };

static place after(char c)
{
    return c == '|' ? RULE : OUTSIDE;
}

/* From between spans: structure, the start of a quoted cell, or the first word of a span. */
static void step_outside(dsvl_grounding *g, states *to, bool real, const state *s, char c)
{
    bool rule = s->place == RULE && (c == '-' || c == ':' || c == ' ');
    if (!s->quoted && (structure(c) || c == ' ' || rule) && s->at < (rule ? RULE_LIMIT : EMPTY_LIMIT)) {
        state next = between(rule ? RULE : after(c), false, s->closed);
        next.at = s->at + 1;
        push(g, to, next);
    }
    if (!s->quoted && c == '"') {
        push(g, to, between(OUTSIDE, true, s->closed));
    } else if (s->quoted && c == '"') { /* an empty quoted cell */
        push(g, to, between(CLOSED, false, s->closed));
    }
    for (size_t w = 0; w < g->count; w++) enter(g, to, real, (int32_t)w, c, true, s);
}

static bool may_close(const dsvl_grounding *g, const state *s)
{
    if (s->place != INSIDE) return false;
    const dsvl_spelling *p = &g->words[s->word].spell[s->spell];
    return s->at >= p->close && !p->joins;
}

/* The list of closed spans with that of state s in front. */
static int32_t close_span(dsvl_grounding *g, bool real, const state *s)
{
    if (!real) return -1;
    void *block = g->closures;
    if (!dsvl_grow(&block, &g->closure_capacity, g->closure_count + 1, sizeof *g->closures)) {
        g->out_of_memory = true;
        return s->closed;
    }
    g->closures = block;
    int32_t first = s->word;
    for (int32_t l = s->link; l >= 0; l = g->links[l].before) first = g->links[l].word;
    int64_t step = g->words[first].rank;
    step -= g->span_word_count ? g->words[g->span_words[g->span_word_count - 1]].rank : -1;
    size_t distance = step > 0 ? (size_t)step : (size_t)-step + g->count;
    g->closures[g->closure_count] = (closure){s->link, s->closed, s->begin, (int32_t)g->position, distance};
    return (int32_t)g->closure_count++;
}

/* Whether some word may follow word w in a span. */
static bool has_follower(const dsvl_grounding *g, const word *w)
{
    for (int k = 0; k < FOLLOWERS; k++) {
        const word *next = w->follower[k] >= 0 ? &g->words[w->follower[k]] : NULL;
        if (next && !next->used && next->spellings) return true;
    }
    return false;
}

/* Words that follow a word: the one of the format expected, or any other. */
static void step_followers(dsvl_grounding *g, states *to, bool real, const state *s, char c, bool expected)
{
    const word *w = &g->words[s->word];
    for (int k = 0; k < FOLLOWERS; k++) {
        if ((k == g->preferred) == expected && w->follower[k] >= 0)
            enter(g, to, real, w->follower[k], c, false, s);
    }
}

static void step_inside(dsvl_grounding *g, states *to, bool real, const state *s, char c)
{
    const dsvl_spelling *p = &g->words[s->word].spell[s->spell];
    if (s->at < p->length && p->text[s->at] == c) {
        state next = *s;
        next.place = c == '"' && s->quoted ? QUOTE : INSIDE;
        next.at += next.place == INSIDE;
        push(g, to, next);
    }
    if (s->at == p->length && p->joins) {
        step_followers(g, to, real, s, c, true);
        step_followers(g, to, real, s, c, false);
    }
    int32_t rest = g->words[s->word].rest;
    if (s->at == p->length && rest >= 0) enter(g, to, real, rest, c, false, s);
    if (s->at == p->length && c == ' ' && !p->joins && has_follower(g, &g->words[s->word])) {
        state next = *s;
        next.place = SPACED;
        next.at = 0;
        push(g, to, next);
    }
    bool closes = s->quoted ? c == '"' : structure(c) || c == ' '; /* a space: before a bar */
    if (!may_close(g, s) || !closes) return;
    push(g, to, between(structure(c) ? after(c) : CLOSED, false, close_span(g, real, s)));
}

static void step(dsvl_grounding *g, states *to, bool real, const states *from, char c)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        const state *s = &from->data[i];
        state next;
        switch (s->place) {
        case OUTSIDE:
        case RULE:
            step_outside(g, to, real, s, c);
            break;
        case INSIDE:
            step_inside(g, to, real, s, c);
            break;
        case SPACED:
            step_followers(g, to, real, s, c, true);
            break;
        case QUOTE:
            next = *s;
            next.place = INSIDE;
            next.at++;
            if (c == '"') push(g, to, next);
            break;
        case CLOSED:
            if (c == ' ') push(g, to, *s);
            if (structure(c)) push(g, to, between(after(c), false, s->closed));
            break;
        }
    }
    /* Of two ways to one word the first is kept: unexpected ones come last. */
    for (size_t i = 0; i < from->count; i++) {
        if (from->data[i].place == SPACED) step_followers(g, to, real, &from->data[i], c, false);
    }
}

void dsvl_grounding_reset(dsvl_grounding *g)
{
    for (size_t i = 0; i < g->count; i++) g->words[i].used = false;
    g->now.count = g->link_count = g->closure_count = g->span_count = g->span_word_count = g->position = 0;
    g->out_of_memory = false;
    dsvl_guide_reset(&g->guide);
    push(g, &g->now, between(OUTSIDE, false, -1));
}

bool dsvl_grounding_allows(dsvl_grounding *g, const char *bytes, size_t length)
{
    const states *from = &g->now;
    for (size_t i = 0; i < length; i++) {
        states *to = &g->trial[i & 1];
        step(g, to, false, from, bytes[i]);
        if (to->count == 0) return false;
        from = to;
    }
    return length > 0 && !g->out_of_memory;
}

bool dsvl_grounding_may_end(const dsvl_grounding *g)
{
    for (size_t i = 0; i < g->now.count; i++) {
        const state *s = &g->now.data[i];
        if (s->place == CLOSED || (s->place <= RULE && !s->quoted) || (!s->quoted && may_close(g, s)))
            return true;
    }
    return false;
}

/* Make the closures of list `c` final, oldest first: their spans are recorded and their words used. */
static void settle(dsvl_grounding *g, int32_t c)
{
    int32_t reversed = -1;
    while (c >= 0) {
        int32_t before = g->closures[c].before;
        g->closures[c].before = reversed;
        reversed = c;
        c = before;
    }
    for (c = reversed; c >= 0; c = g->closures[c].before) {
        const closure *k = &g->closures[c];
        size_t count = 0;
        for (int32_t l = k->link; l >= 0; l = g->links[l].before) count++;
        void *words = g->span_words, *spans = g->spans;
        bool room =
            dsvl_grow(&words, &g->span_word_capacity, g->span_word_count + count, sizeof *g->span_words);
        g->span_words = words;
        room = room && dsvl_grow(&spans, &g->span_capacity, g->span_count + 1, sizeof *g->spans);
        g->spans = spans;
        if (!room) {
            g->out_of_memory = true;
            return;
        }
        g->spans[g->span_count++] = (span){(size_t)k->begin, (size_t)k->end, g->span_word_count, count};
        size_t at = g->span_word_count += count;
        for (int32_t l = k->link; l >= 0; l = g->links[l].before) {
            g->span_words[--at] = g->links[l].word;
            g->words[g->links[l].word].used = true;
        }
    }
}

/* When all states that are alive came by the same closed spans, those are certain. */
static void settle_agreed(dsvl_grounding *g)
{
    int32_t closed = g->now.data[0].closed;
    for (size_t i = 1; i < g->now.count; i++) {
        if (g->now.data[i].closed != closed) return;
    }
    if (closed < 0) return;
    settle(g, closed);
    for (size_t i = 0; i < g->now.count; i++) g->now.data[i].closed = -1;
}

/* Let the guide see a byte of the answer, and where the answer has departed from it, the words just spelt. */
static void guide(dsvl_grounding *g, char c)
{
    if (dsvl_guide_follow(&g->guide, c)) return;
    for (size_t i = 0; i < g->now.count; i++) {
        const state *s = &g->now.data[i];
        if (s->place == INSIDE && s->at == g->words[s->word].spell[s->spell].length)
            dsvl_guide_return(&g->guide, s->word);
    }
}

void dsvl_grounding_expect(dsvl_grounding *g, dsvl_format format)
{
    static const int slots[DSVL_FORMATS + 1] = {
        [DSVL_AS_TEXT] = 2, [DSVL_AS_CSV] = 3, [DSVL_AS_MARKDOWN] = 3, [DSVL_AS_PAIRS] = 4};
    g->preferred = slots[format];
    for (size_t i = 0; format < DSVL_FORMATS && i < g->guide.transcripts[format].written; i++)
        g->words[g->guide.transcripts[format].sequence[i]].rank = (int32_t)i;
    dsvl_guide_expect(&g->guide, format);
}

const dsvl_guide *dsvl_grounding_guide(const dsvl_grounding *g)
{
    return &g->guide;
}

int dsvl_grounding_accept(dsvl_grounding *g, const char *bytes, size_t length, dsvl_error *err)
{
    for (size_t i = 0; i < length; i++) {
        step(g, &g->next, true, &g->now, bytes[i]);
        if (g->next.count == 0) {
            return dsvl_fail(err, DSVL_E_INTERNAL, "grounding: byte %zu of the answer is not on the page",
                             g->position);
        }
        states swap = g->now;
        g->now = g->next;
        g->next = swap;
        g->position++;
        guide(g, bytes[i]);
        settle_agreed(g);
    }
    return g->out_of_memory ? dsvl_fail_memory(err, sizeof(state)) : 0;
}

int dsvl_grounding_finish(dsvl_grounding *g, dsvl_error *err)
{
    int32_t best = -1;
    for (size_t i = 0; i < g->now.count; i++) {
        const state *s = &g->now.data[i];
        int32_t closed = may_close(g, s)                          ? close_span(g, true, s)
                         : s->place <= RULE || s->place == CLOSED ? s->closed
                                                                  : -1;
        if (closed >= 0 && (best < 0 || g->closures[closed].distance < g->closures[best].distance))
            best = closed;
    }
    settle(g, best);
    return g->out_of_memory ? dsvl_fail_memory(err, sizeof(state)) : 0;
}

size_t dsvl_grounding_spans(const dsvl_grounding *g)
{
    return g->span_count;
}

dsvl_span dsvl_grounding_span(const dsvl_grounding *g, size_t i)
{
    const span *s = &g->spans[i];
    return (dsvl_span){s->begin, s->end, g->span_words + s->first, s->count};
}
