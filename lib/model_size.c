/* SPDX-License-Identifier: Apache-2.0 */
/* What a model takes, and what there is. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/model.h"
#include "lib/quantized.h"

uint64_t dsvl_weight_bytes(const dsvl_model *plan, const dsvl_quantization *q)
{
    size_t count;
    const dsvl_want *wants = dsvl_checkpoint_wants(plan->checkpoint, &count);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t shape[3], rest = 1;
        for (int d = 1; d < wants[i].rank; d++) rest *= wants[i].shape[d];
        if (q->bits && wants[i].type == DSVL_BIND_MATRIX &&
            dsvl_quantized_shape(q, wants[i].shape[0], rest, shape) == 0)
            bytes += (uint64_t)(shape[0] * shape[1] * shape[2]);
        else
            bytes += 2 * (uint64_t)(wants[i].shape[0] * rest);
    }
    return bytes;
}

/* A number in a file such as /sys/fs/cgroup/memory.max; UINT64_MAX when there is none. */
static uint64_t number_in(const char *path)
{
    char text[32];
    FILE *file = fopen(path, "re");
    char *end = NULL;
    unsigned long long n = file && fgets(text, sizeof text, file) ? strtoull(text, &end, 10) : 0;
    if (file) fclose(file);
    return end && end != text && n ? n : UINT64_MAX;
}

uint64_t dsvl_memory_there(void)
{
    struct rlimit space;
    uint64_t there = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t limits[] = {
        number_in("/sys/fs/cgroup/memory.max"), number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        getrlimit(RLIMIT_AS, &space) || space.rlim_cur == RLIM_INFINITY ? UINT64_MAX : space.rlim_cur};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i] < there) there = limits[i];
    return there;
}

const char *dsvl_precision_that_fits(const dsvl_model *plan, uint64_t working, uint64_t there)
{
    static const struct {
        const char *name;
        dsvl_quantization quantization;
    } precisions[] = {{"16 bits", {0, 0}}, {"8 bits", {8, 128}}, {"4 bits", {4, 128}}};
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++)
        if (dsvl_weight_bytes(plan, &precisions[i].quantization) + working <= there)
            return precisions[i].name;
    return NULL;
}
