/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/quantize.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/alloc.h"
#include "lib/folder.h"
#include "lib/folder_writer.h"
#include "lib/model.h"
#include "lib/quantized.h"

/* Values widened and quantized at a time: 16 MB as f32. Bytes copied at a time. */
enum { CHUNK = 4 << 20, COPY_BYTES = 8 << 20 };
#define COPY_LIMIT DSVL_TOKENIZER_LIMIT /* of one file beside the weights */

typedef struct job {
    const char *in;
    const dsvl_quantize_options *options;
    dsvl_model *model, *plan; /* the input; what it asks for */
    dsvl_checkpoint *files;   /* the model's */
    const dsvl_want *wants;
    size_t count;
    dsvl_st_entry *entries;
    dsvl_folder_writer *writer;
    kern_context *kern;
    float *values; /* [CHUNK] */
    void *bytes;   /* [4 * CHUNK] */
    uint64_t done, total;
} job;

static int put(job *j, const void *bytes, size_t length, dsvl_error *err)
{
    if (dsvl_folder_writer_put(j->writer, bytes, length, err)) return -1;
    j->done += length;
    if (j->options->progress) j->options->progress(j->options->user, j->done, j->total);
    return 0;
}

static int copy_tensor(job *j, const dsvl_tensor *t, dsvl_error *err)
{
    const char *from = t->data;
    for (size_t at = 0; at < t->nbytes; at += COPY_BYTES) {
        const size_t left = t->nbytes - at, now = left < COPY_BYTES ? left : COPY_BYTES;
        if (put(j, from + at, now, err)) return -1;
        dsvl_checkpoint_forget(j->files, from + at, now);
    }
    return 0;
}

/* Whole panels of rows at a time: their bytes are those of the whole (kernels.h). */
static int quantize_tensor(job *j, const dsvl_want *want, const dsvl_tensor *t, dsvl_error *err)
{
    static const kern_dtype types[DSVL_DTYPE_COUNT] = {
        [DSVL_F32] = KERN_F32, [DSVL_F16] = KERN_F16, [DSVL_BF16] = KERN_BF16};
    const dsvl_quantization *q = &j->options->quantization;
    const kern_dtype type = q->bits == 8 ? KERN_Q8 : KERN_Q4;
    const size_t size = dsvl_dtype_size(t->dtype);
    const int64_t rows = t->shape[0], cols = (int64_t)(t->nbytes / size) / rows;
    const int64_t fit = CHUNK / cols / KERN_PANEL * KERN_PANEL, step = fit ? fit : KERN_PANEL;
    if (step * cols > CHUNK)
        return dsvl_fail(err, DSVL_E_LIMIT, "%s: rows of %lld values are too long to quantize", want->name,
                         (long long)cols);
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t now = rows - row < step ? rows - row : step;
        const char *from = (const char *)t->data + (size_t)(row * cols) * size;
        kern_widen(j->kern, j->values, from, types[t->dtype], now * cols);
        if (kern_quantize(j->kern, j->bytes, j->values, type, q->group, now, cols))
            return dsvl_fail(
                err, DSVL_E_MODEL,
                "%s: tensor \"%s\" holds a value that is not finite or too large to quantize, in rows %lld "
                "to %lld",
                j->in, want->name, (long long)row, (long long)(row + now - 1));
        if (put(j, j->bytes, (size_t)kern_quantized_size(type, q->group, now, cols), err)) return -1;
        dsvl_checkpoint_forget(j->files, from, (size_t)(now * cols) * size);
    }
    return 0;
}

/* ---- the other files --------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Settings, tokenizer, chat template, licence and model card; not weights in whatever format, and not what is
 * written anew. */
static bool to_copy(const char *name)
{
    static const char *const kinds[] = {".json", ".jinja", ".txt", ".md", ".model", "LICENSE", "NOTICE"};
    if (strcmp(name, "config.json") == 0 || strcmp(name, DSVL_SUMS) == 0 || ends_with(name, ".index.json"))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ends_with(name, kinds[i])) return true;
    return false;
}

static int copy_file(job *j, const char *name, dsvl_error *err)
{
    char *bytes = NULL;
    size_t length;
    if (dsvl_folder_read(j->in, name, COPY_LIMIT, &bytes, &length, err)) return -1;
    int status = dsvl_folder_writer_file(j->writer, name, bytes, length, err);
    dsvl_dealloc(bytes);
    return status;
}

static int copy_files(job *j, dsvl_error *err)
{
    struct dirent **list = NULL;
    const int count = scandir(j->in, &list, NULL, alphasort);
    int status =
        count < 0 ? dsvl_fail(err, DSVL_E_IO, "%s: cannot be listed: %s", j->in, strerror(errno)) : 0;
    for (int i = 0; i < count; i++) {
        struct stat about;
        char *path = dsvl_folder_path(j->in, list[i]->d_name);
        if (!path) status = dsvl_fail_memory(err, strlen(j->in));
        if (status == 0 && to_copy(list[i]->d_name) && stat(path, &about) == 0 && S_ISREG(about.st_mode))
            status = copy_file(j, list[i]->d_name, err);
        dsvl_dealloc(path);
        free(list[i]);
    }
    free(list);
    return status;
}

/* config.json as it is, and how it is quantized. */
static int write_config(job *j, dsvl_error *err)
{
    char *bytes = NULL;
    size_t length;
    if (dsvl_folder_read(j->in, "config.json", DSVL_CONFIG_LIMIT, &bytes, &length, err)) return -1;
    json_t *config = json_loadb(bytes, length, 0, NULL);
    dsvl_dealloc(bytes);
    json_object_set_new(config, DSVL_QUANTIZATION_KEY, dsvl_quantization_json(&j->options->quantization));
    char *text = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
    json_decref(config);
    int status = text ? dsvl_folder_writer_file(j->writer, "config.json", text, strlen(text), err)
                      : dsvl_fail_memory(err, length);
    free(text);
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static dsvl_dtype type_in_file(const void *user, const char *name)
{
    const dsvl_tensor *t = dsvl_checkpoint_find(user, name);
    return t ? t->dtype : DSVL_F32; /* opening has found every one of them */
}

static int prepare(job *j, const char *out, dsvl_error *err)
{
    const dsvl_options all = {.threads = j->options->threads};
    j->model = dsvl_model_open(j->in, DSVL_PART_VISION | DSVL_PART_DECODER | DSVL_PART_STREAMED, &all, err);
    if (!j->model) return -1;
    if (j->model->config.quantization.bits)
        return dsvl_fail(err, DSVL_E_USAGE, "%s: is quantized already; start from the original weights",
                         j->in);
    j->files = j->model->checkpoint;
    j->plan = dsvl_model_plan(&j->model->config, DSVL_PART_VISION | DSVL_PART_DECODER, err);
    if (!j->plan) return -1;
    j->wants = dsvl_checkpoint_wants(j->plan->checkpoint, &j->count);
    if (dsvl_quantized_entries(&j->options->quantization, j->wants, j->count, type_in_file, j->files,
                               &j->entries, err))
        return -1;
    for (size_t i = 0; i < j->count; i++) j->total += j->entries[i].tensor.nbytes;
    j->kern = kern_context_new(j->options->threads);
    j->values = dsvl_alloc(CHUNK, sizeof *j->values);
    j->bytes = dsvl_alloc(CHUNK, 4);
    if (!j->kern || !j->values || !j->bytes) return dsvl_fail_memory(err, (size_t)CHUNK * 8);
    j->writer = dsvl_folder_writer_new(out, j->options->replace, err);
    return j->writer ? 0 : -1;
}

int dsvl_quantize(const char *in, const char *out, const dsvl_quantize_options *options, dsvl_error *err)
{
    job j = {.in = in, .options = options};
    const dsvl_shards single = {0};
    int status = prepare(&j, out, err);
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    if (status == 0)
        status = dsvl_folder_writer_tensors(j.writer, j.entries, j.count, &single, metadata, err);
    for (size_t i = 0; status == 0 && i < j.count; i++) {
        const dsvl_want *want = &j.wants[j.entries[i].begin];
        const dsvl_tensor *t = dsvl_checkpoint_find(j.files, want->name);
        status = j.entries[i].tensor.dtype == DSVL_U8 ? quantize_tensor(&j, want, t, err)
                                                      : copy_tensor(&j, t, err);
    }
    if (status == 0) status = copy_files(&j, err);
    if (status == 0) status = write_config(&j, err);
    if (status == 0) status = dsvl_folder_writer_commit(j.writer, err);
    dsvl_folder_writer_free(j.writer);
    json_decref(metadata);
    dsvl_dealloc(j.entries);
    dsvl_dealloc(j.values);
    dsvl_dealloc(j.bytes);
    kern_context_free(j.kern);
    dsvl_model_close(j.plan);
    dsvl_model_close(j.model);
    return status;
}
