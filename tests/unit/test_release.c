/* SPDX-License-Identifier: Apache-2.0 */
/* The table of releases against what is known of the released files: parameters, bytes, the size of
 * config.json. */
#include <math.h>
#include <string.h>

#include "lib/model.h"
#include "lib/release.h"
#include "tests/unit/check.h"

static const struct known {
    const char *name;
    double parameters; /* in all, the unused ones among them */
    double config; /* kB of config.json, as the page of the release says; keys without effect may be missing
                      here; 0: not known */
    int layers, experts;
} known[] = {
    {"deepseek-vl-1.3b", 1.9752e9, 1.03, 24, 0},
    {"deepseek-vl-7b", 7.3440e9, 1.55, 30, 0},
    {"deepseek-vl2-tiny", 3.3705e9, 2.29, 12, 64},
    {"deepseek-vl2-small", 16.148e9, 2.07, 27, 64},
    {"deepseek-vl2", 27.480e9, 2.17, 30, 72},
    /* Without the attention pool: 12.6 million. */
    {"deepseek-vl-1.3b-transformers", 1.9626e9, 0, 24, 0},
    {"deepseek-vl-7b-transformers", 7.3314e9, 0, 30, 0},
};

static double unused_parameters(const dsvl_release *release, const dsvl_config *config)
{
    double all = 0;
    const dsvl_unused_tensor *list = release->unused;
    for (size_t i = 0; list[i].name; i++) {
        double n = 1;
        for (int d = 0; d < list[i].rank; d++) {
            const int dim = list[i].dim[d];
            n *= dim == DSVL_DIM_WIDTH ? config->vision.width
                 : dim == DSVL_DIM_KV  ? 2 * config->vision.width
                 : dim == DSVL_DIM_MLP ? config->vision.mlp
                                       : dim;
        }
        all += n;
    }
    return all;
}

int main(void)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const dsvl_release *release = dsvl_release_find(known[i].name);
        dsvl_error err = {0};
        dsvl_config config;
        CHECK(release);
        if (!release) continue;
        json_t *json = dsvl_release_config(release, false);
        char *text = json_dumps(json, JSON_INDENT(2));
        CHECK_MSG(known[i].config == 0 || fabs((double)strlen(text) / 1000 - known[i].config) < 0.12,
                  "%s: config.json has %zu bytes", release->name, strlen(text));
        CHECK_MSG(dsvl_config_parse(&config, text, strlen(text), release->name, &err) == 0, "%s",
                  err.message);
        CHECK(config.decoder.layers == known[i].layers && config.decoder.experts == known[i].experts);
        dsvl_model *plan = dsvl_model_plan(&config, DSVL_PART_VISION | DSVL_PART_DECODER, &err);
        CHECK_MSG(plan, "%s", err.message);
        const dsvl_quantization none = {0};
        const double parameters =
            plan ? (double)dsvl_weight_bytes(plan, &none) / 2 + unused_parameters(release, &config) : 0;
        CHECK_MSG(fabs(parameters / known[i].parameters - 1) < 5e-5, "%s: %.0f parameters", release->name,
                  parameters);
        dsvl_model_close(plan);
        free(text);
        json_decref(json);
    }
    CHECK(!dsvl_release_find("deepseek-vl3") && dsvl_release_at(0) && !dsvl_release_at(100));
    return CHECK_DONE();
}
