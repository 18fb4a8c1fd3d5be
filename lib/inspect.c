/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/inspect.h"

#include <string.h>

#include "lib/model.h"
#include "lib/quantized.h"

static int64_t elements(const dsvl_want *want)
{
    int64_t n = 1;
    for (int d = 0; d < want->rank; d++) n *= want->shape[d];
    return n;
}

static json_t *shape_json(int rank, const int64_t *shape)
{
    json_t *list = json_array();
    for (int d = 0; d < rank; d++) json_array_append_new(list, json_integer(shape[d]));
    return list;
}

static json_t *bytes_json(uint64_t bytes)
{
    return json_integer((json_int_t)bytes);
}

/* ---- tensors ----------------------------------------------------------------------------------------- */

/* Whether a tensor of the file is what the model asks for; wanted [3 or more] and *rank say what that is. */
static bool fits(const dsvl_tensor *t, const dsvl_want *want, const dsvl_quantization *q, int64_t *wanted,
                 int *rank)
{
    int64_t n = 1;
    *rank = want->rank;
    memcpy(wanted, want->shape, sizeof want->shape);
    if (q->bits && want->type == DSVL_BIND_MATRIX) {
        *rank = 3;
        return dsvl_quantized_shape(q, want->shape[0], elements(want) / want->shape[0], wanted) == 0 && t &&
               t->dtype == DSVL_U8 && t->rank == 3 && memcmp(t->shape, wanted, 3 * sizeof *wanted) == 0;
    }
    for (int d = 0; t && d < t->rank; d++) n *= t->shape[d];
    return t && t->rank > 0 && t->shape[0] == want->shape[0] && n == elements(want) &&
           (t->dtype == DSVL_F32 || t->dtype == DSVL_F16 || t->dtype == DSVL_BF16);
}

static json_t *tensors_json(const dsvl_model *plan, const dsvl_checkpoint *files)
{
    size_t count, present = 0, named = files ? dsvl_checkpoint_count(files) : 0;
    const dsvl_want *wants = dsvl_checkpoint_wants(plan->checkpoint, &count);
    json_t *missing = json_array(), *misshapen = json_array(), *surplus = json_array(),
           *known = json_object();
    for (size_t i = 0; i < count; i++) {
        int64_t wanted[DSVL_MAX_RANK];
        int rank;
        const dsvl_tensor *t = files ? dsvl_checkpoint_find(files, wants[i].name) : NULL;
        json_object_set_new(known, wants[i].name, json_true());
        if (fits(t, &wants[i], &plan->config.quantization, wanted, &rank)) {
            present++;
            continue;
        }
        json_t *one = json_pack("{s:s, s:o}", "name", wants[i].name, "shape", shape_json(rank, wanted));
        if (t) {
            json_object_set_new(one, "found", shape_json(t->rank, t->shape));
            json_object_set_new(one, "type", json_string(dsvl_dtype_name(t->dtype)));
        }
        json_array_append_new(t ? misshapen : missing, one);
    }
    for (size_t i = 0; i < named; i++) {
        const char *name = dsvl_checkpoint_name(files, i);
        if (!json_object_get(known, name) && !dsvl_checkpoint_ignored(plan->checkpoint, name))
            json_array_append_new(surplus, json_string(name));
    }
    json_decref(known);
    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "expected", (json_int_t)count, "present",
                     (json_int_t)present, "missing", missing, "misshapen", misshapen, "surplus", surplus);
}

/* ---- numbers ----------------------------------------------------------------------------------------- */

static int64_t parameters(const dsvl_model *plan)
{
    size_t count;
    int64_t n = 0;
    const dsvl_want *wants = dsvl_checkpoint_wants(plan->checkpoint, &count);
    for (size_t i = 0; i < count; i++) n += elements(&wants[i]);
    return n;
}

/* Parameters of the language model that each new token reads: not the embeddings, and of experts those it is
 * sent to. */
static int64_t per_token(const dsvl_model *decoder)
{
    size_t count;
    int64_t n = 0, routed = 0;
    const dsvl_decoder_config *c = &decoder->config.decoder;
    const dsvl_want *wants = dsvl_checkpoint_wants(decoder->checkpoint, &count);
    for (size_t i = 0; i < count; i++) {
        if (strstr(wants[i].name, ".experts."))
            routed += elements(&wants[i]);
        else if (c->tied || !strstr(wants[i].name, "embed_tokens"))
            n += elements(&wants[i]);
    }
    return c->experts ? n + routed / c->experts * c->experts_per_token : n;
}

static json_t *memory_json(const dsvl_model *plan, uint64_t working)
{
    static const struct {
        const char *name;
        dsvl_quantization quantization;
    } precisions[] = {{"16 bits", {0, 0}}, {"8 bits", {8, 128}}, {"4 bits", {4, 128}}};
    const uint64_t there = dsvl_memory_there();
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
        const uint64_t weights = dsvl_weight_bytes(plan, &precisions[i].quantization);
        json_array_append_new(list, json_pack("{s:s, s:o, s:b}", "precision", precisions[i].name, "weights",
                                              bytes_json(weights), "fits", weights + working <= there));
    }
    return json_pack("{s:o, s:o}", "there", bytes_json(there), "weights", list);
}

static json_t *report(const char *folder, const dsvl_config *config, const dsvl_checkpoint *files,
                      const dsvl_error *problem, dsvl_error *err)
{
    static const char *const names[DSVL_ARCH_COUNT] = {[DSVL_ARCH_VL2] = "DeepSeek-VL2",
                                                       [DSVL_ARCH_VL] = "DeepSeek-VL",
                                                       [DSVL_ARCH_VL_HYBRID] = "DeepSeek-VL with two towers"};
    static const char *const precisions[] = {"half or single precision", "quantized to 4 bits",
                                             "quantized to 8 bits"};
    const dsvl_decoder_config *c = &config->decoder;
    json_t *root = NULL;
    dsvl_model *vision = dsvl_model_plan(config, DSVL_PART_VISION, err);
    dsvl_model *decoder = vision ? dsvl_model_plan(config, DSVL_PART_DECODER, err) : NULL;
    dsvl_model *both = decoder ? dsvl_model_plan(config, DSVL_PART_VISION | DSVL_PART_DECODER, err) : NULL;
    if (!both) goto out;
    const uint64_t encode = dsvl_encode_bytes(vision, 2),
                   answer = dsvl_session_bytes(decoder->decoder, (size_t)c->context);
    root = json_pack(
        "{s:s, s:s, s:{s:I, s:I, s:I}, s:s, s:o?, s:i, s:o, s:{s:o, s:o}, s:o}", "folder", folder,
        "architecture", names[config->arch], "parameters", "vision", (json_int_t)parameters(vision),
        "language", (json_int_t)parameters(decoder), "language_per_token", (json_int_t)per_token(decoder),
        "precision", precisions[config->quantization.bits / 4], "quantization",
        config->quantization.bits ? dsvl_quantization_json(&config->quantization) : NULL, "context",
        c->context, "tensors", tensors_json(both, files), "working", "encode", bytes_json(encode), "answer",
        bytes_json(answer), "memory", memory_json(both, answer > encode ? answer : encode));
    if (!root) dsvl_fail_memory(err, 0);
    if (root && problem->code)
        json_object_set_new(root, "weights_unreadable", json_string_nocheck(problem->message));
out:
    dsvl_model_close(vision);
    dsvl_model_close(decoder);
    dsvl_model_close(both);
    return root;
}

json_t *dsvl_inspect(const char *folder, dsvl_error *err)
{
    dsvl_config config;
    dsvl_error problem = {0};
    if (dsvl_config_read(&config, folder, err)) return NULL;
    dsvl_checkpoint *files = dsvl_checkpoint_open(folder, &problem);
    if (problem.code == DSVL_E_MEMORY) { /* says nothing of the folder */
        *err = problem;
        return NULL;
    }
    json_t *root = report(folder, &config, files, &problem, err);
    dsvl_checkpoint_close(files);
    return root;
}
