/* SPDX-License-Identifier: Apache-2.0 */
/* The input of a program: record streams in files, or on standard input. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cli.h"
#include "lib/alloc.h"

struct cli_input {
    char **files; /* borrowed */
    int count, next;
    int descriptor;
    const char *name;
    dsvl_reader *reader; /* NULL: no file is open */
};

static char *standard_input[] = {(char[]){"-"}};

cli_input *cli_input_new(char **files, int count, dsvl_error *err)
{
    cli_input *input = dsvl_alloc_zero(1, sizeof *input);
    if (!input) {
        dsvl_fail_memory(err, sizeof *input);
        return NULL;
    }
    input->files = count ? files : standard_input;
    input->count = count ? count : 1;
    input->descriptor = -1;
    return input;
}

void cli_input_skip(cli_input *input)
{
    dsvl_reader_free(input->reader);
    input->reader = NULL;
    if (input->descriptor > STDIN_FILENO) close(input->descriptor);
    input->descriptor = -1;
}

void cli_input_free(cli_input *input)
{
    if (!input) return;
    cli_input_skip(input);
    dsvl_dealloc(input);
}

const char *cli_input_name(const cli_input *input)
{
    return input->name;
}

dsvl_reader *cli_input_reader(cli_input *input, dsvl_error *err)
{
    if (input->reader || input->next == input->count) return input->reader;
    const char *path = input->files[input->next++];
    bool standard = strcmp(path, "-") == 0;
    input->name = standard ? "standard input" : path;
    input->descriptor = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (input->descriptor < 0) {
        dsvl_fail(err, DSVL_E_INPUT, "%s: cannot open: %s", path, strerror(errno));
        return NULL;
    }
    if (isatty(input->descriptor)) {
        dsvl_fail(err, DSVL_E_USAGE, "standard input is a terminal; pipe a record stream in, or name files");
        return NULL;
    }
    input->reader = dsvl_reader_new(input->descriptor, input->name, err);
    return input->reader;
}

int cli_input_next(cli_input *input, dsvl_record **record, dsvl_error *err)
{
    for (;;) {
        dsvl_reader *reader = cli_input_reader(input, err);
        if (!reader)
            return input->next == input->count && input->descriptor < 0 && (!err || !err->code) ? 0 : -1;
        int status = dsvl_reader_next(reader, record, err);
        if (status) return status;
        cli_input_skip(input);
    }
}

bool cli_input_ready(const cli_input *input)
{
    return input->reader ? dsvl_reader_ready(input->reader) : true;
}
