/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction set serves: the best that the CPU has, or what DSVL_ISA or kern_isa_force says. */
#include <stdlib.h>
#include <string.h>

#include "kernels/internal.h"

static const kern_table *active = &kern_table_scalar;

static bool have(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx512vnni") == 0) return have("avx512") && __builtin_cpu_supports("avx512vnni");
    if (strcmp(name, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (strcmp(name, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); /* and so f16c, always */
#endif
    return strcmp(name, "onednn") == 0 || strcmp(name, "scalar") == 0;
}

/* Best first. */
static const kern_table *const tables[] = {
#if defined(__x86_64__)
    &kern_table_vnni,   &kern_table_avx512, &kern_table_avx2,
#endif
    &kern_table_onednn, &kern_table_scalar,
};

const kern_table *kern_active(void)
{
    return active;
}

const kern_int8_table *kern_int8_active(bool exact)
{
    return exact ? active->exact : active->int8;
}

const char *kern_isa(void)
{
    return active->name;
}

bool kern_isa_force(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i]->name, name) == 0 && have(name)) {
            active = tables[i];
            return true;
        }
    return false;
}

__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("DSVL_ISA");
    if (name && kern_isa_force(name)) return;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (kern_isa_force(tables[i]->name)) return;
}
