/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction set serves: the best that the CPU has, or what DSVL_ISA or kern_isa_force says. */
#include <stdlib.h>
#include <string.h>

#include "kernels/internal.h"

static const kern_table *active = &kern_table_scalar;

static const kern_table *const tables[] = {&kern_table_scalar};

const kern_table *kern_active(void)
{
    return active;
}

const char *kern_isa(void)
{
    return active->name;
}

bool kern_isa_force(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i]->name, name) == 0) {
            active = tables[i];
            return true;
        }
    return false;
}

__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("DSVL_ISA");
    if (name && kern_isa_force(name)) return;
    active = tables[0];
}
