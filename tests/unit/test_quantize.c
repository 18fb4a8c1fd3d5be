/* SPDX-License-Identifier: Apache-2.0 */
/* Making, quantizing, looking into and verifying folders with memory running out at one place after another:
 * an error that says so, nothing left behind, nothing leaked. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/inspect.h"
#include "lib/quantize.h"
#include "lib/synth.h"
#include "lib/verify.h"
#include "tests/unit/check.h"

#define SOURCE "tests/reference/fixtures/vl2-small"
static char scratch[] = "/tmp/dsvl-quantize-XXXXXX";
static char out[64];

static void remove_out(void)
{
    DIR *folder = opendir(out);
    for (struct dirent *e; folder && (e = readdir(folder));) unlinkat(dirfd(folder), e->d_name, 0);
    if (folder) closedir(folder);
    rmdir(out);
}

static int entries(void)
{
    int n = 0;
    DIR *folder = opendir(scratch);
    for (struct dirent *e; folder && (e = readdir(folder));) n += e->d_name[0] != '.';
    if (folder) closedir(folder);
    return n;
}

static int quantize(dsvl_error *err)
{
    const dsvl_quantize_options o = {.quantization = {4, 32}, .threads = 1};
    return dsvl_quantize(SOURCE, out, &o, err);
}

static int synth(dsvl_error *err)
{
    const dsvl_synth_options o = {.release = dsvl_release_find("deepseek-vl2"), .tiny = true};
    return dsvl_synth(out, &o, err);
}

static int verify(dsvl_error *err)
{
    size_t files;
    return dsvl_verify_hashes(SOURCE "/../quantized-4", NULL, NULL, &files, err);
}

static int inspect(dsvl_error *err)
{
    json_t *report = dsvl_inspect(SOURCE, err);
    json_decref(report);
    return report ? 0 : -1;
}

static void runs_out(const char *what, int (*run)(dsvl_error *err), bool writes)
{
    int failed = 0;
    for (long n = 1;; n += 1 + n / 8) {
        dsvl_error err = {0};
        dsvl_alloc_fail_at(n);
        const int status = run(&err);
        dsvl_alloc_fail_at(0);
        if (writes && status == 0) CHECK(entries() == 1);
        if (status == 0) break;
        failed++;
        CHECK_MSG(err.code == DSVL_E_MEMORY, "%s: %ld: %s", what, n, err.message);
        CHECK_MSG(entries() == 0, "%s: %ld: a folder is left", what, n);
        if (n > 1000000) break;
    }
    CHECK_MSG(failed > 0 || run == verify, "%s", what);
    if (writes) remove_out();
}

int main(void)
{
    CHECK(mkdtemp(scratch) != NULL);
    snprintf(out, sizeof out, "%s/out", scratch);
    runs_out("quantize", quantize, true);
    runs_out("synth", synth, true);
    runs_out("inspect", inspect, false);
    runs_out("verify", verify, false);
    rmdir(scratch);
    return CHECK_DONE();
}
