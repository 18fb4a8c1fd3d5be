/* SPDX-License-Identifier: Apache-2.0 */
/* Models from the command line: apart from the rest, so that programs which need none do not load the kernels
 * and what they stand on when they start. */
#include <string.h>

#include "cmd/cli.h"
#include "lib/alloc.h"

char *cli_model_folder(const char *given, dsvl_error *err)
{
    if (!given) return dsvl_model_default_folder(err);
    char *folder = dsvl_strdup(given);
    if (!folder) dsvl_fail_memory(err, strlen(given));
    return folder;
}

dsvl_model *cli_model_open(const char *given, unsigned parts, const dsvl_options *options, dsvl_error *err)
{
    char *folder = cli_model_folder(given, err);
    if (!folder) return NULL;
    const double begun = cli_seconds();
    dsvl_model *model = dsvl_model_open(folder, parts, options, err);
    if (model)
        cli_note("%s: opened in %.3f s, hash %.16s", folder, cli_seconds() - begun, dsvl_model_hash(model));
    dsvl_free(folder);
    return model;
}
