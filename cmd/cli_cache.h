/* SPDX-License-Identifier: Apache-2.0 */
/* --cache and --cache-size of the programs that keep results; trouble with the cache is told once and never
 * ends a program. */
#ifndef DSVL_CMD_CLI_CACHE_H
#define DSVL_CMD_CLI_CACHE_H

#include "cmd/cli.h"
#include "lib/store.h"

extern const char *cli_cache_folder;
extern uint64_t cli_cache_size;
#define CLI_CACHE                                                                                            \
    {"cache", 0, CLI_STRING, &cli_cache_folder, "DIR", "keep results here, and take them from here", 0, 0},  \
    {                                                                                                        \
        "cache-size", 0, CLI_SIZE, &cli_cache_size, "SIZE",                                                  \
            "limit of the cache; what is longest unused goes first (default 4G)", 0, 0                       \
    }

/* NULL: not asked for, or it cannot be used. */
dsvl_store *cli_cache_open(void);
/* A result that could not be kept: say so once, and do without from then on. *store is closed. */
void cli_cache_give_up(dsvl_store **store, const dsvl_error *err);

#endif
