/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/joined.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

enum { COMPARED = 512 }; /* bytes of a row */
/* Two readings of one row differ by less than this fraction of their letters. */
static const double SAME_ROW = 0.4;

/* ---- text -------------------------------------------------------------------------------------------- */

static int append(dsvl_joined *j, const char *text, size_t n, dsvl_error *err)
{
    void *block = j->text;
    if (!dsvl_grow(&block, &j->capacity, j->length + n + 1, 1)) return dsvl_fail_memory(err, j->length + n);
    j->text = block;
    if (n) memcpy(j->text + j->length, text, n);
    j->length += n;
    j->text[j->length] = '\0';
    return 0;
}

static int add_lines(dsvl_joined *j, const char *text, size_t n, dsvl_error *err)
{
    while (n > 0 && text[n - 1] == '\n') n--;
    if (n == 0) return 0;
    return (j->length && append(j, "\n", 1, err)) || append(j, text, n, err) ? -1 : 0;
}

/* ---- tables ------------------------------------------------------------------------------------------ */

void dsvl_table_place_seek(dsvl_table_place *p, const char *text, size_t at, bool markdown)
{
    for (; p->at < at; p->at++) {
        const char c = text[p->at];
        const bool escaped = markdown && c == '|' && p->at > 0 && text[p->at - 1] == '\\';
        if (c == '\n' && !p->quoted) {
            p->row++;
            p->column = 0;
            p->begun = p->quotes = false;
        } else if (markdown) {
            if (c != '|' || escaped) continue;
            p->column += p->begun; /* the first bar opens the row */
            p->begun = true;
        } else if (c == ',' && !p->quoted) {
            p->column++;
            p->begun = p->quotes = false;
        } else {
            if (!p->begun) p->quotes = c == '"';
            if (p->quotes && c == '"') p->quoted = !p->quoted; /* a doubled one closes and opens again */
            p->begun = true;
        }
    }
}

/* Where a row that begins at `at` ends: at its newline, or at the end. A quote that is never closed is a
 * letter. */
static size_t row_end(const char *text, size_t at, size_t n, bool markdown)
{
    dsvl_table_place p = {.at = at};
    while (p.at < n && !(text[p.at] == '\n' && !p.quoted))
        dsvl_table_place_seek(&p, text, p.at + 1, markdown);
    if (!p.quoted) return p.at;
    const char *newline = memchr(text + at, '\n', n - at);
    return newline ? (size_t)(newline - text) : n;
}

/* Edit distance of two rows, as a fraction of the longer one; what is far along is not looked at. */
static double difference(const char *a, size_t n, const char *b, size_t m)
{
    int row[COMPARED + 1];
    if (n > COMPARED) n = COMPARED;
    if (m > COMPARED) m = COMPARED;
    if (n == 0 || m == 0) return n == m ? 0 : 1;
    for (size_t k = 0; k <= m; k++) row[k] = (int)k;
    for (size_t i = 0; i < n; i++) {
        int diagonal = row[0];
        row[0] = (int)i + 1;
        for (size_t k = 0; k < m; k++) {
            const int change = diagonal + (a[i] != b[k]), above = row[k + 1] + 1, left = row[k] + 1;
            diagonal = row[k + 1];
            row[k + 1] = change < above ? change : above;
            if (left < row[k + 1]) row[k + 1] = left;
        }
    }
    return row[m] / (double)(n > m ? n : m);
}

/* |---|:--:| and the like. */
static bool is_ruler(const char *text, size_t n)
{
    size_t dashes = 0;
    for (size_t i = 0; i < n; i++) {
        if (!strchr("|-: ", text[i])) return false;
        dashes += text[i] == '-';
    }
    return dashes > 0;
}

typedef struct row {
    size_t begin, end; /* bytes */
    bool kept;
} row;

/* The rows of an answer, owned; NULL: out of memory. */
static row *split(const char *text, size_t n, bool markdown, size_t *count)
{
    void *rows = NULL;
    size_t capacity = 0;
    *count = 0;
    for (size_t at = 0; at < n || *count == 0; *count += 1) {
        if (!dsvl_grow(&rows, &capacity, *count + 1, sizeof(row))) {
            dsvl_dealloc(rows);
            return NULL;
        }
        const size_t end = row_end(text, at, n, markdown);
        ((row *)rows)[*count] = (row){at, end, true};
        at = end + 1;
    }
    return rows;
}

/* Drop what the answer about a further part of a table repeats: the header, the row that both parts show, and
 * the ruler that Markdown has below the first row. */
static void drop_repeated(const dsvl_joined *j, const char *text, row *rows, size_t count, int overlap)
{
    const bool markdown = j->how == DSVL_JOIN_MARKDOWN;
    const size_t head = row_end(j->text, j->table, j->length, markdown) - j->table;
    bool header = j->table_rows > 1, shared = overlap > 0;
    for (size_t i = 0; i < count; i++) {
        const char *here = text + rows[i].begin;
        const size_t n = rows[i].end - rows[i].begin;
        if (markdown && is_ruler(here, n)) {
            rows[i].kept = false;
        } else if (header && difference(here, n, j->text + j->table, head) < SAME_ROW / 2) {
            rows[i].kept = header = false;
        } else if (shared && difference(here, n, j->text + j->last_row, j->length - j->last_row) < SAME_ROW) {
            rows[i].kept = header = shared = false;
        } else {
            header = shared = false; /* rows of its own begin */
        }
    }
}

/* Cells of kept rows get the numbers that the rows have in the whole; those of others go. */
static int renumber(json_t *cells, const row *rows, size_t count, size_t first)
{
    for (size_t i = 0; i < json_array_size(cells);) {
        json_t *cell = json_array_get(cells, i), *number = json_object_get(cell, "row");
        const size_t old = (size_t)json_integer_value(number);
        size_t now = first;
        for (size_t k = 0; k < old && k < count; k++) now += rows[k].kept;
        const bool gone = number && (old >= count || !rows[old].kept);
        if (gone ? json_array_remove(cells, i)
                 : number && json_object_set_new(cell, "row", json_integer((json_int_t)now)))
            return -1;
        i += !gone;
    }
    return 0;
}

/* Rows of a table's next part, or another table below an empty line. */
static int add_table(dsvl_joined *j, const dsvl_source *source, const char *text, size_t n, json_t *cells,
                     dsvl_error *err)
{
    const bool more =
        source->part > 1 && source->part == j->part + 1 && source->parts == j->parts && j->table_rows > 0;
    size_t count;
    int status = -1;
    j->part = source->part;
    j->parts = source->parts;
    while (n > 0 && text[n - 1] == '\n') n--;
    if (n == 0) return 0;
    row *rows = split(text, n, j->how == DSVL_JOIN_MARKDOWN, &count);
    if (!rows) return dsvl_fail_memory(err, n);
    if (more) {
        drop_repeated(j, text, rows, count, source->overlap);
    } else {
        if (j->length && append(j, "\n", 1, err)) goto out;
        j->rows += j->length > 0;
        j->table = j->length + (j->length > 0);
        j->table_rows = 0;
    }
    if (renumber(cells, rows, count, j->rows)) {
        dsvl_fail_memory(err, n);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].kept) continue;
        if (j->length && append(j, "\n", 1, err)) goto out;
        j->last_row = j->length;
        if (append(j, text + rows[i].begin, rows[i].end - rows[i].begin, err)) goto out;
        j->rows++;
        j->table_rows++;
    }
    status = 0;
out:
    dsvl_dealloc(rows);
    return status;
}

/* ---- boxes ------------------------------------------------------------------------------------------- */

/* The smallest box on the page around a box of the part's picture; both 0 to 999. */
static void place_box(double out[4], const double in[4], const double m[6])
{
    out[0] = out[1] = 999, out[2] = out[3] = 0;
    for (int corner = 0; corner < 4; corner++) {
        const double u = in[corner & 1 ? 2 : 0], v = in[corner & 2 ? 3 : 1];
        const double x = fmin(fmax(m[0] * u + m[2] * v + m[4], 0), 999);
        const double y = fmin(fmax(m[1] * u + m[3] * v + m[5], 0), 999);
        out[0] = fmin(out[0], x), out[1] = fmin(out[1], y), out[2] = fmax(out[2], x),
        out[3] = fmax(out[3], y);
    }
}

/* "12, 3" and so on: four numbers behind a bracket. The end, or NULL. */
static const char *read_box(const char *text, double box[4])
{
    for (int k = 0; k < 4; k++) {
        char *end;
        box[k] = strtod(text, &end);
        if (end == text || !(fabs(box[k]) < 1e6)) return NULL;
        text = end + strspn(end, ", ");
    }
    return text;
}

/* Once: pieces of a table share a row. */
static int add_box(dsvl_joined *j, const dsvl_named_box *box)
{
    void *boxes = j->boxes;
    for (size_t i = 0; i < j->box_count; i++) {
        int same = 0;
        for (int k = 0; k < 4; k++) same += j->boxes[i].box[k] == box->box[k];
        if (same == 4) return 0;
    }
    if (!dsvl_grow(&boxes, &j->box_capacity, j->box_count + 1, sizeof *j->boxes)) return -1;
    j->boxes = boxes;
    j->boxes[j->box_count++] = *box;
    return 0;
}

/* Boxes of "<|ref|>TEXT<|/ref|><|det|>[[x0, y0, x1, y1], ...]<|/det|>". */
static int add_boxes(dsvl_joined *j, const dsvl_part_answer *part, dsvl_error *err)
{
    static const char ref[] = "<|ref|>", ref_end[] = "<|/ref|>", det[] = "<|det|>";
    const char *name = strstr(part->text, ref), *name_end = name ? strstr(name, ref_end) : NULL;
    const char *at = strstr(part->text, det);
    if (name_end && !j->named) {
        j->named = dsvl_strndup(name + strlen(ref), (size_t)(name_end - name) - strlen(ref));
        if (!j->named) return dsvl_fail_memory(err, part->prompt_tokens);
    }
    while (at && (at = strchr(at, '[')) != NULL) {
        double box[4];
        at += strspn(at, "[ ");
        const char *end = read_box(at, box);
        if (!end) continue;
        at = end;
        dsvl_named_box b = {.logprob = part->generation->mean_logprob, .certain = part->certain};
        if (part->on_page)
            memcpy(b.box, box, sizeof box);
        else
            place_box(b.box, box, part->source->to_page);
        if (add_box(j, &b)) return dsvl_fail_memory(err, j->box_capacity);
    }
    return 0;
}

/* Of regions that all name a place those that hold the words are right, else the surest of them. */
static int write_boxes(dsvl_joined *j, dsvl_error *err)
{
    double best = -INFINITY;
    bool certain = false, first = true;
    for (size_t i = 0; i < j->box_count; i++) {
        best = fmax(best, j->boxes[i].logprob);
        certain = certain || j->boxes[i].certain;
    }
    if (j->box_count == 0) return 0;
    if (append(j, "<|ref|>", 7, err) ||
        append(j, j->named ? j->named : "", j->named ? strlen(j->named) : 0, err) ||
        append(j, "<|/ref|><|det|>[", 16, err))
        return -1;
    for (size_t i = 0; i < j->box_count; i++) {
        const dsvl_named_box *b = &j->boxes[i];
        char text[128];
        if (certain ? !b->certain : b->logprob < best) continue;
        int n = snprintf(text, sizeof text, "%s[%.0f, %.0f, %.0f, %.0f]", first ? "" : ", ", b->box[0],
                         b->box[1], b->box[2], b->box[3]);
        if (append(j, text, (size_t)n, err)) return -1;
        first = false;
    }
    return append(j, "]<|/det|>", 9, err);
}

/* ---- all --------------------------------------------------------------------------------------------- */

/* {"region", "kind", ..., "finish_reason", "completion_tokens", "mean_logprob"} */
static int list_region(dsvl_joined *j, const dsvl_part_answer *part)
{
    json_t *region = part->source->region ? json_copy(part->source->region) : json_object();
    const dsvl_generation *g = part->generation;
    int failed = json_object_set_new(region, "finish_reason", json_string(dsvl_finish_name(g->finish)));
    failed |= json_object_set_new(region, "completion_tokens", json_integer((json_int_t)g->count));
    failed |= json_object_set_new(region, "mean_logprob", json_real(round(g->mean_logprob * 1e6) / 1e6));
    return json_array_append_new(j->regions, region) | failed;
}

/* Cells say which of the answer's regions they were read from. */
static int take_cells(dsvl_joined *j, json_t *cells)
{
    const size_t index = json_array_size(j->regions) - 1;
    size_t i;
    json_t *cell;
    json_array_foreach(cells, i, cell)
    {
        if (json_object_set_new(cell, "image", json_integer((json_int_t)index))) return -1;
    }
    return json_array_extend(j->cells, cells);
}

static int begin(dsvl_joined *j, const dsvl_part_answer *part, dsvl_error *err)
{
    const dsvl_source *s = part->source;
    j->page = (dsvl_source){.document = json_incref(s->document),
                            .page = json_incref(s->page),
                            .label = json_incref(s->label),
                            .words_read = s->words_read};
    j->regions = json_array();
    j->stages = json_object();
    if (part->cells) j->cells = json_array();
    return j->regions && j->stages && !part->cells == !j->cells ? append(j, "", 0, err)
                                                                : dsvl_fail_memory(err, sizeof *j);
}

int dsvl_joined_add(dsvl_joined *j, const dsvl_part_answer *part, dsvl_error *err)
{
    const dsvl_generation *g = part->generation;
    const size_t n = strlen(part->text), terms = g->count + (g->finish == DSVL_FINISH_STOP);
    if (!j->text && begin(j, part, err)) return -1;
    if (!part->cells && j->cells) { /* a part was answered freely, so the whole is not grounded */
        json_decref(j->cells);
        j->cells = NULL;
    }
    int status = j->how == DSVL_JOIN_LINES   ? add_lines(j, part->text, n, err)
                 : j->how == DSVL_JOIN_BOXES ? add_boxes(j, part, err)
                                             : add_table(j, part->source, part->text, n, part->cells, err);
    if (status) return -1;
    if (list_region(j, part) || dsvl_source_add_seconds(part->source, j->stages) ||
        (j->cells && take_cells(j, part->cells)))
        return dsvl_fail_memory(err, n);
    j->prompt_tokens += part->prompt_tokens;
    j->prefill += part->prefill;
    j->sum.count += g->count;
    j->sum.seconds += g->seconds;
    j->sum.retried |= g->retried;
    if (j->sum.finish == DSVL_FINISH_STOP) j->sum.finish = g->finish;
    if (terms)
        j->sum.mean_logprob +=
            (g->mean_logprob - j->sum.mean_logprob) * (double)terms / (double)(j->terms + terms);
    j->terms += terms;
    return 0;
}

int dsvl_joined_finish(dsvl_joined *j, dsvl_error *err)
{
    return j->how == DSVL_JOIN_BOXES ? write_boxes(j, err) : 0;
}

void dsvl_joined_clear(dsvl_joined *j)
{
    const dsvl_join how = j->how;
    dsvl_source_clear(&j->page);
    dsvl_dealloc(j->text);
    dsvl_dealloc(j->boxes);
    dsvl_dealloc(j->named);
    json_decref(j->regions);
    json_decref(j->cells);
    json_decref(j->stages);
    memset(j, 0, sizeof *j);
    j->how = how;
}
