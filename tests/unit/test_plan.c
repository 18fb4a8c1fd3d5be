/* SPDX-License-Identifier: Apache-2.0 */
/* What a model asks for by its configuration alone: exactly the tensors that the published code wrote. */
#include "lib/folder.h"
#include "lib/model.h"
#include "lib/stems.h"
#include "tests/unit/check.h"
#include "tests/unit/fixture.h"

static size_t plain;

static void check_case(const fixture *f)
{
    dsvl_error err = {0};
    dsvl_config config;
    size_t count = 0, unused = 0;
    CHECK_MSG(dsvl_config_read(&config, f->folder, &err) == 0, "%s", err.message);
    dsvl_model *plan = dsvl_model_plan(&config, DSVL_PART_VISION | DSVL_PART_DECODER, &err);
    dsvl_checkpoint *files = dsvl_checkpoint_open(f->folder, &err);
    CHECK_MSG(plan && files, "%s: %s", f->name, err.message);
    const dsvl_want *wants = plan ? dsvl_checkpoint_wants(plan->checkpoint, &count) : NULL;
    for (size_t i = 0; files && i < count; i++) {
        const dsvl_tensor *t = dsvl_checkpoint_find(files, wants[i].name);
        int64_t have = 1, want = 1;
        CHECK_MSG(t, "%s: %s", f->name, wants[i].name);
        for (int d = 0; t && d < t->rank; d++) have *= t->shape[d];
        for (int d = 0; d < wants[i].rank; d++) want *= wants[i].shape[d];
        if (t && t->dtype == DSVL_U8) { /* a quantized matrix: checked by whoever binds it */
            CHECK_MSG(config.quantization.bits && wants[i].type == DSVL_BIND_MATRIX, "%s", wants[i].name);
            continue;
        }
        CHECK_MSG(t && have == want && t->shape[0] == wants[i].shape[0], "%s: %s", f->name, wants[i].name);
        CHECK(wants[i].type != DSVL_BIND_VECTOR || t->rank < 4 || strstr(wants[i].name, "pos_embed"));
        plain += wants[i].type == DSVL_BIND_PLAIN;
    }
    for (size_t i = 0; files && i < dsvl_checkpoint_count(files); i++)
        for (const char *const *p = dsvl_stems_of(&config)->unused; *p; p++)
            unused += strncmp(dsvl_checkpoint_name(files, i), *p, strlen(*p)) == 0;
    CHECK_MSG(files && count + unused + config.decoder.tied == dsvl_checkpoint_count(files),
              "%s: %zu and %zu of %zu", f->name, count, unused, files ? dsvl_checkpoint_count(files) : 0);
    dsvl_checkpoint_close(files);
    dsvl_model_close(plan);
}

static void memory_runs_out(void)
{
    dsvl_config config;
    dsvl_error err = {0};
    CHECK(dsvl_config_read(&config, FIXTURES "/vl2-small", &err) == 0);
    for (long n = 1;; n++) {
        err = (dsvl_error){0};
        dsvl_alloc_fail_at(n);
        dsvl_model *plan = dsvl_model_plan(&config, DSVL_PART_VISION | DSVL_PART_DECODER, &err);
        dsvl_alloc_fail_at(0);
        dsvl_model_close(plan);
        if (plan) break;
        CHECK_MSG(err.code == DSVL_E_MEMORY && n < 2000, "%ld: %s", n, err.message);
        if (n >= 2000) break;
    }
}

int main(void)
{
    CHECK(fixture_each(check_case) >= 20);
    CHECK(plain > 40);
    memory_runs_out();
    return CHECK_DONE();
}
