/* SPDX-License-Identifier: Apache-2.0 */
/* Model folders: what is in one (inspect), random ones of a released shape (synth), quantized ones
 * (quantize), and whether one is whole and computes what it should (verify). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cli.h"
#include "filters/tiling.h"
#include "lib/inspect.h"
#include "lib/quantize.h"
#include "lib/synth.h"
#include "lib/verify.h"

static struct {
    bool json, force;
    const char *release, *scale, *fixture;
    long seed, bits, group, threads;
    double tolerance;
} options = {.scale = "full", .group = 128, .tolerance = 2e-4};

#define GROUP_OPTION                                                                                         \
    {                                                                                                        \
        "group", 0, CLI_INT, &options.group, "N", "inputs that share a scale: 32, 64 or 128 (default)", 32,  \
            128                                                                                              \
    }
#define THREADS_OPTION                                                                                       \
    {                                                                                                        \
        "threads", 0, CLI_INT, &options.threads, "N", "threads; 0: one per processor (default)", 0, 4096     \
    }
#define FORCE_OPTION                                                                                         \
    {                                                                                                        \
        "force", 0, CLI_FLAG, &options.force, NULL, "replace the folder when it exists", 0, 0                \
    }

static void told(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    cli_progress("MB", (size_t)(done >> 20), (size_t)(total >> 20));
}

static dsvl_quantization quantization(void)
{
    return (dsvl_quantization){(int)options.bits, (int)options.group};
}

/* --bits and --group as their kernels have them; `none` allows no --bits. */
static int check_quantization(bool none)
{
    if (options.bits != 4 && options.bits != 8 && !(none && options.bits == 0))
        return cli_usage("--bits takes 8 or 4, not %ld", options.bits);
    if (options.group != 32 && options.group != 64 && options.group != 128)
        return cli_usage("--group takes 32, 64 or 128, not %ld", options.group);
    return CLI_OK;
}

static int finish_stdout(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_OK;
    cli_error("standard output: cannot write");
    return CLI_OUTPUT;
}

/* ---- inspect ----------------------------------------------------------------------------------------- */

static const cli_option inspect_options[] = {
    {"json", 0, CLI_FLAG, &options.json, NULL, "print one JSON object", 0, 0},
    CLI_COMMON,
};

/* "3.37 G", "940.2 M": of parameters or bytes. */
static const char *amount(const json_t *object, const char *key, char text[24])
{
    const double n = (double)json_integer_value(json_object_get(object, key));
    snprintf(text, 24, n >= 1e9 ? "%.2f G" : "%.1f M", n / (n >= 1e9 ? 1e9 : 1e6));
    return text;
}

/* The first few names of a list. */
static void print_names(const char *what, const json_t *list)
{
    enum { SHOWN = 10 };
    const size_t count = json_array_size(list);
    for (size_t i = 0; i < count && i < SHOWN; i++) {
        const json_t *one = json_array_get(list, i), *name = json_object_get(one, "name");
        printf("  %s: %s\n", what, json_string_value(name ? name : one));
    }
    if (count > SHOWN) printf("  %s: %zu more (--json has them all)\n", what, count - SHOWN);
}

static void print_report(const json_t *r)
{
    const json_t *parameters = json_object_get(r, "parameters"), *tensors = json_object_get(r, "tensors");
    const json_t *working = json_object_get(r, "working"), *memory = json_object_get(r, "memory");
    const json_t *q = json_object_get(r, "quantization");
    printf("%s, %s", json_string_value(json_object_get(r, "architecture")),
           json_string_value(json_object_get(r, "precision")));
    if (json_is_object(q))
        printf(", groups of %lld", (long long)json_integer_value(json_object_get(q, "group_size")));
    char a[24], b[24], c[24];
    printf("\nparameters: vision %s, language %s, of which each token reads %s\n",
           amount(parameters, "vision", a), amount(parameters, "language", b),
           amount(parameters, "language_per_token", c));
    printf("context: %lld tokens\n", (long long)json_integer_value(json_object_get(r, "context")));
    printf("tensors: %lld of %lld\n", (long long)json_integer_value(json_object_get(tensors, "present")),
           (long long)json_integer_value(json_object_get(tensors, "expected")));
    print_names("missing", json_object_get(tensors, "missing"));
    print_names("of another shape or type", json_object_get(tensors, "misshapen"));
    print_names("surplus", json_object_get(tensors, "surplus"));
    printf("memory to work in: %sB to encode, %sB to answer with a full context\n",
           amount(working, "encode", a), amount(working, "answer", b));
    const json_t *weights = json_object_get(memory, "weights");
    for (size_t i = 0; i < json_array_size(weights); i++) {
        const json_t *one = json_array_get(weights, i);
        printf("weights in %s: %sB, %s\n", json_string_value(json_object_get(one, "precision")),
               amount(one, "weights", a),
               json_is_true(json_object_get(one, "fits")) ? "fits" : "does not fit");
    }
    printf("memory there is: %sB\n", amount(memory, "there", a));
}

static int inspect(char **operands, dsvl_error *err)
{
    json_t *report = dsvl_inspect(operands[0], err);
    if (!report) return cli_fail(err);
    if (options.json) {
        json_dumpf(report, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        print_report(report);
    }
    const json_t *tensors = json_object_get(report, "tensors"),
                 *problem = json_object_get(report, "weights_unreadable");
    const bool whole = json_array_size(json_object_get(tensors, "missing")) == 0 &&
                       json_array_size(json_object_get(tensors, "misshapen")) == 0 &&
                       json_array_size(json_object_get(tensors, "surplus")) == 0;
    if (problem)
        cli_error("%s", json_string_value(problem));
    else if (!whole)
        cli_error("%s: not the tensors that its config.json describes", operands[0]);
    json_decref(report);
    const int status = finish_stdout();
    return status ? status : whole && !problem ? CLI_OK : CLI_MODEL;
}

/* ---- synth ------------------------------------------------------------------------------------------- */

static const cli_option synth_options[] = {
    {"release", 0, CLI_STRING, &options.release, "NAME",
     "deepseek-vl-1.3b or -7b (and -transformers), deepseek-vl2-tiny, ...-small or deepseek-vl2", 0, 0},
    {"scale", 0, CLI_STRING, &options.scale, "SIZE", "full (default), or tiny: the same parts, scaled down",
     0, 0},
    {"seed", 0, CLI_INT, &options.seed, "N", "of the random weights (default 0)", 0, 0x1p53},
    {"bits", 0, CLI_INT, &options.bits, "N", "write it quantized to 8 or 4 bits at once", 4, 8},
    GROUP_OPTION,
    FORCE_OPTION,
    CLI_COMMON,
};

static int synth(char **operands, dsvl_error *err)
{
    const bool tiny = strcmp(options.scale, "tiny") == 0;
    if (!options.release) return cli_usage("synth needs --release NAME");
    if (!tiny && strcmp(options.scale, "full") != 0)
        return cli_usage("--scale takes full or tiny, not \"%s\"", options.scale);
    const int wrong = check_quantization(true);
    if (wrong) return wrong;
    const dsvl_synth_options o = {.release = dsvl_release_find(options.release),
                                  .tiny = tiny,
                                  .seed = (uint64_t)options.seed,
                                  .quantization = options.bits ? quantization() : (dsvl_quantization){0},
                                  .replace = options.force,
                                  .progress = told};
    if (!o.release) {
        char names[512] = "";
        for (size_t i = 0; dsvl_release_at(i); i++) {
            const size_t n = strlen(names);
            snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", dsvl_release_at(i)->name);
        }
        return cli_usage("--release takes %s, not \"%s\"", names, options.release);
    }
    int status = dsvl_synth(operands[0], &o, err);
    cli_progress_end();
    return status ? cli_fail(err) : CLI_OK;
}

/* ---- quantize ---------------------------------------------------------------------------------------- */

static const cli_option quantize_options[] = {
    {"bits", 0, CLI_INT, &options.bits, "N", "8 or 4 (must be given)", 4, 8},
    GROUP_OPTION,
    THREADS_OPTION,
    FORCE_OPTION,
    CLI_COMMON,
};

static int quantize(char **operands, dsvl_error *err)
{
    const int wrong = check_quantization(false);
    if (wrong) return wrong;
    const dsvl_quantize_options o = {.quantization = quantization(),
                                     .threads = (int)options.threads,
                                     .replace = options.force,
                                     .progress = told};
    int status = dsvl_quantize(operands[0], operands[1], &o, err);
    cli_progress_end();
    return status ? cli_fail(err) : CLI_OK;
}

/* ---- verify ------------------------------------------------------------------------------------------ */

static const cli_option verify_options[] = {
    {"fixture", 0, CLI_STRING, &options.fixture, "FILE", "compare every stage with a fixture file", 0, 0},
    {"tolerance", 0, CLI_REAL, &options.tolerance, "X",
     "deviation allowed, of the largest value (default 2e-4)", 0, 1},
    THREADS_OPTION,
    CLI_COMMON,
};

/* Tiles as dsvl-tile cuts them where it is not told otherwise. */
static int cut(const dsvl_processor_config *processor, const dsvl_tensor *image, bool crop,
               dsvl_tensor *tiles, dsvl_error *err)
{
    const int width = (int)image->shape[1], height = (int)image->shape[0];
    const dsvl_picture picture = {image->data, (size_t)width * 3, width, height, 3};
    dsvl_tile_plan plan;
    if (dsvl_tiling_plan(&plan, processor, width, height, crop, err)) return -1;
    return dsvl_tiling_cut(tiles, &plan, processor, &picture, DSVL_PILLOW_9_3, err);
}

static void print_stage(void *user, const dsvl_stage *stage)
{
    *(dsvl_stage *)user = *stage;
    printf("%-14s %-8s %.3g\n", stage->name, stage->departs ? "DEPARTS" : "agrees", stage->deviation);
}

static int verify_stages(const char *folder, dsvl_error *err)
{
    const dsvl_options o = {.threads = (int)options.threads};
    dsvl_stage last = {0};
    dsvl_model *model =
        dsvl_model_open(folder, DSVL_PART_VISION | DSVL_PART_DECODER | DSVL_PART_TOKENIZER, &o, err);
    if (!model) return cli_fail(err);
    int status = dsvl_verify_stages(model, options.fixture, options.tolerance, cut, print_stage, &last, err);
    dsvl_model_close(model);
    if (status) return cli_fail(err);
    if (!last.departs) return CLI_OK;
    if (last.deviation <= 1e30)
        cli_error("%s departs from %s first at stage %s, by %.3g of its largest value", folder,
                  options.fixture, last.name, last.deviation);
    else
        cli_error("%s departs from %s first at stage %s, which is another one altogether", folder,
                  options.fixture, last.name);
    return CLI_PARTIAL;
}

static int verify(char **operands, dsvl_error *err)
{
    size_t files = 0;
    dsvl_model *model = NULL;
    int status = dsvl_verify_hashes(operands[0], told, NULL, &files, err);
    if (status == 0) {
        cli_progress_end();
        if (files)
            printf("%zu files have the hashes that were written with them\n", files);
        else
            printf("no list of hashes came with the folder\n");
        model = dsvl_model_open(operands[0], DSVL_PART_VISION | DSVL_PART_DECODER | DSVL_PART_STREAMED, NULL,
                                err);
        status = model ? dsvl_checkpoint_scan(model->checkpoint, told, NULL, err) : -1;
        cli_progress_end();
    }
    dsvl_model_close(model);
    if (status) return cli_fail(err);
    printf("every tensor has its shape and finite values\n");
    status = options.fixture ? verify_stages(operands[0], err) : CLI_OK;
    const int written = finish_stdout();
    return written ? written : status;
}

/* ---- the verbs --------------------------------------------------------------------------------------- */

#define COUNT(table) (int)(sizeof table / sizeof *table)
static const struct verb {
    const char *name;
    int operands;
    cli_program program;
    int (*run)(char **operands, dsvl_error *err);
} verbs[] = {
    {"inspect",
     1,
     {"dsvl-model", "inspect [OPTION...] DIR",
      "Say what a model folder holds, what it lacks and what it needs.", inspect_options,
      COUNT(inspect_options)},
     inspect},
    {"synth",
     1,
     {"dsvl-model", "synth --release NAME [OPTION...] DIR",
      "Write a folder of a released shape with random weights.", synth_options, COUNT(synth_options)},
     synth},
    {"quantize",
     2,
     {"dsvl-model", "quantize --bits N [OPTION...] IN OUT",
      "Write a folder whose matrices take 8 or 4 bits a weight.", quantize_options, COUNT(quantize_options)},
     quantize},
    {"verify",
     1,
     {"dsvl-model", "verify [OPTION...] DIR",
      "Check hashes, shapes and values; compare stages with a fixture.", verify_options,
      COUNT(verify_options)},
     verify},
};

int main(int argc, char **argv)
{
    static const cli_option common[] = {CLI_COMMON};
    static const cli_program front = {
        "dsvl-model", "inspect|synth|quantize|verify [OPTION...] DIR...",
        "Look into, make, quantize and check model folders. Each verb has --help.", common, COUNT(common)};
    dsvl_error err = {0};
    const struct verb *verb = NULL;
    for (int i = 0; argc > 1 && i < COUNT(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0) verb = &verbs[i];
    if (!verb) {
        cli_parse(&front, argc, argv);
        return argc > 1 ? cli_usage("there is no verb %s", argv[1]) : cli_usage("a verb is missing");
    }
    const int operands = cli_parse(&verb->program, argc - 1, argv + 1);
    if (operands != verb->operands)
        return cli_usage("%s takes %d operand%s, not %d", verb->name, verb->operands,
                         verb->operands > 1 ? "s" : "", operands);
    return verb->run(argv + 1, &err);
}
