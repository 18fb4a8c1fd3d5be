/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cli_cache.h"

const char *cli_cache_folder;
uint64_t cli_cache_size = (uint64_t)4 << 30;

dsvl_store *cli_cache_open(void)
{
    dsvl_error err = {0};
    if (!cli_cache_folder) return NULL;
    dsvl_store *store = dsvl_store_open(cli_cache_folder, cli_cache_size, &err);
    if (!store) cli_cache_give_up(&store, &err);
    return store;
}

void cli_cache_give_up(dsvl_store **store, const dsvl_error *err)
{
    cli_warn("%s; going on without it", err->message);
    dsvl_store_close(*store);
    *store = NULL;
}
