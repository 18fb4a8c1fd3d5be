/* SPDX-License-Identifier: Apache-2.0 */
/* The front door: `dsvl ask FILE... PROMPT` runs the pipeline with pipes between the programs, `dsvl STAGE
 * ...` runs one of them, as git does. It computes nothing itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/run.h"
#include "lib/alloc.h"
#include "lib/config.h"
#include "lib/task.h"

/* The pipeline, left to right. */
enum { RASTERIZE = 1, READ = 2, REGIONS = 4, TILE = 8, ENCODE = 16, ANSWER = 32, ALL = 63, STAGES = 6 };
static const char *const stage_names[STAGES] = {"dsvl-rasterize", "dsvl-read",   "dsvl-regions",
                                                "dsvl-tile",      "dsvl-encode", "dsvl-answer"};

/* Options of `dsvl ask`: each goes as it is to the stages in the mask. */
static const struct option_route {
    const char *name;
    char letter;
    int stages;
    const char *argument;
    const char *help;
} routes[] = {
    {"model", 'm', READ | REGIONS | TILE | ENCODE | ANSWER, "DIR",
     "model folder (default: the embedded model)"},
    {"prompt", 'p', ANSWER, "PROMPT", "the question; all operands are then files"},
    {"prompts", 0, ANSWER, "FILE", "JSON Lines of id and prompt, all asked of every page"},
    {"pages", 0, RASTERIZE, "LIST", "pages such as 1-3,7,-1"},
    {"dpi", 0, RASTERIZE, "N", "resolution of PDF pages"},
    {"scale-to", 0, RASTERIZE, "N", "long side of a page in pixels"},
    {"crop", 0, RASTERIZE, "X0,Y0,X1,Y1", "part of the page, in points"},
    {"trim", 0, RASTERIZE, NULL, "cut to the ink"},
    {"no-text-layer", 0, RASTERIZE, NULL, "answer from the pixels alone"},
    {"password-file", 0, RASTERIZE, "FILE", "password of encrypted documents"},
    {"max-pages", 0, RASTERIZE, "N", "take no more pages of a document"},
    {"max-pixels", 0, RASTERIZE, "N", "refuse pages with more pixels"},
    {"max-page-seconds", 0, RASTERIZE, "N", "processor time that drawing a page may take"},
    {"max-document-seconds", 0, RASTERIZE, "N", "processor time that drawing a document may take"},
    {"no-jail", 0, RASTERIZE, NULL, "draw documents in a process that they can take over"},
    {"per", 0, TILE | ANSWER, "page|document", "ask of every page, or of all pages together"},
    {"threads", 0, READ | ENCODE | ANSWER, "N", "threads (default: one per processor)"},
    {"max-memory", 0, ALL, "SIZE", "working memory of each stage"},
    {"activations", 0, ENCODE | ANSWER, "TYPE",
     "f32 (default) or int8: faster on quantized models, with a loss"},
    {"batch", 0, ENCODE, "TILES", "tiles to gather before encoding"},
    {"cache", 0, READ | ENCODE | ANSWER, "DIR", "keep embeddings and answers here, and take them from here"},
    {"cache-size", 0, READ | ENCODE | ANSWER, "SIZE", "limit of the cache (default 4G)"},
    {"max-tokens", 0, ANSWER, "N", "longest answer"},
    {"temperature", 0, ANSWER, "T", "0: greedy (default)"},
    {"top-p", 0, ANSWER, "P", "keep the likeliest tokens up to this probability"},
    {"repetition-penalty", 0, ANSWER, "R", "1: none (default)"},
    {"seed", 0, ANSWER, "N", "seed of the sampling"},
    {"grounded", 0, ANSWER, NULL, "answer in words of the page's own text layer only"},
    {"timeout", 0, ANSWER, "SECONDS", "time for the answers about a page"},
    {"keep-loops", 0, ANSWER, NULL, "do not look for answers that repeat themselves"},
    {"no-times", 0, ANSWER, NULL, "leave out how long things took"},
    {"text", 0, ANSWER, NULL, "print the answers alone"},
    {"stream", 0, ANSWER, NULL, "show text as it comes"},
    {"log-format", 0, ALL, "FORMAT", "messages as text (default) or json, an object a line"},
    {"metrics", 0, ANSWER, "FILE", "keep counts and times of the last stage in FILE, for Prometheus"},
    {"quiet", 'q', ALL, NULL, "print errors only"},
    {"verbose", 'v', ALL, NULL, "say what is being done"},
};
enum { ROUTES = sizeof routes / sizeof *routes, MAX_ARGS = 4096 };
/* What dsvl itself looks at of what it passes on; NULL: the command line does not say it. */
static struct {
    const char *model, *prompt, *prompts, *per, *dpi, *scale_to;
} asked;
static const struct {
    const char *name;
    void *target;
} noticed[] = {{"model", &asked.model},
               {"prompt", &asked.prompt},
               {"prompts", &asked.prompts},
               {"per", &asked.per},
               {"dpi", &asked.dpi},
               {"scale-to", &asked.scale_to},
               {"log-format", &cli_log_format},
               {"quiet", &cli_quiet},
               {"verbose", &cli_verbose}};

/* Pages that are cut up are drawn so that print of so many points need not be enlarged, within reason. */
enum { SMALL_PRINT = 9, DPI_LEAST = 150, DPI_MOST = 400 };

typedef struct pipeline {
    char *argv[STAGES][MAX_ARGS];
    int argc[STAGES];
    int skipped; /* stages that this run does without */
    pid_t pid[STAGES];
} pipeline;

/* The folder this program stands in; the stages stand beside it. */
static int own_folder(char folder[4096])
{
    ssize_t n = readlink("/proc/self/exe", folder, 4095);
    if (n <= 0) return -1;
    folder[n] = '\0';
    char *slash = strrchr(folder, '/');
    if (!slash) return -1;
    *slash = '\0';
    return 0;
}

static int run_stage(const char *folder, const char *name, char **argv)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/dsvl-%s", folder, name);
    argv[0] = path;
    execv(path, argv);
    if (errno == ENOENT) return cli_usage("there is no stage \"%s\"", name);
    cli_error("cannot run %s: %s", path, strerror(errno));
    return CLI_INTERNAL;
}

static void give(pipeline *line, int stages, char *argument)
{
    for (int s = 0; s < STAGES; s++) {
        if (!(stages >> s & 1)) continue;
        if (line->argc[s] >= MAX_ARGS - 1) {
            cli_error("more than %d arguments; give the files with dsvl-rasterize --files-from", MAX_ARGS);
            exit(CLI_USAGE);
        }
        line->argv[s][line->argc[s]++] = argument;
    }
}

/* The options as cli_parse takes them. */
static void make_options(cli_option options[ROUTES])
{
    static const char *values[ROUTES];
    static bool flags[ROUTES];
    for (int i = 0; i < ROUTES; i++) {
        const struct option_route *r = &routes[i];
        void *target = r->argument ? (void *)&values[i] : (void *)&flags[i];
        for (size_t k = 0; k < sizeof noticed / sizeof *noticed; k++) {
            if (strcmp(r->name, noticed[k].name) == 0) target = noticed[k].target;
        }
        options[i] = (cli_option){
            r->name, r->letter, r->argument ? CLI_STRING : CLI_FLAG, target, r->argument, r->help, 0, 0};
    }
}

/* Options go on as "--name=value", so that no value can be taken for an option. */
static void give_options(pipeline *line, const cli_option options[ROUTES])
{
    for (int i = 0; i < ROUTES; i++) {
        const cli_option *o = &options[i];
        const char *value = o->argument ? *(const char **)o->target : "";
        if (o->argument ? !value : !*(const bool *)o->target) continue;
        char *argument = NULL; /* kept to the end */
        if (asprintf(&argument, "--%s%s%s", o->name, o->argument ? "=" : "", value) < 0) {
            cli_error("out of memory");
            exit(CLI_RESOURCE);
        }
        give(line, routes[i].stages, argument);
    }
}

/* Regions help where the prompt says which parts of a page it is about and the model at which size it reads
 * type best; dsvl-regions then decides for each page. The folder is read again, and its faults are told, by
 * the stages themselves. */
static const dsvl_task *find_task(int *em, int *pitch)
{
    dsvl_error err = {0};
    dsvl_config config = {0};
    const dsvl_task *task = asked.prompt && !asked.prompts ? dsvl_task_of(asked.prompt) : NULL;
    char *folder = cli_model_folder(asked.model, &err);
    if (folder && dsvl_config_read(&config, folder, &err) == 0) {
        *em = config.preferred_em_px;
        *pitch = config.line_pitch_px;
    }
    dsvl_free(folder);
    if (asked.per && strcmp(asked.per, "page") != 0)
        cli_note("pages are shown whole: the question is about documents");
    else if (*em <= 0)
        cli_note("pages are shown whole: the model does not say which type size it prefers");
    else if (!task)
        cli_note("pages are shown whole: the prompt is none of those about parts of a page");
    else
        return task;
    return NULL;
}

static void choose_regions(pipeline *line)
{
    static char kinds[64], dpi[32], if_needed[] = "--if-needed", grounded[] = "--grounded";
    int em = 0, pitch = 0;
    const dsvl_task *task = find_task(&em, &pitch);
    line->skipped = !task ? READ | REGIONS : pitch ? 0 : READ;
    if (!task) return;
    if (pitch) {
        give(line, ANSWER, grounded);
        cli_note("pages without a text layer are read line by line, and answered from what was read");
    }
    snprintf(kinds, sizeof kinds, "--kinds=%s", task->kinds);
    give(line, REGIONS, kinds);
    give(line, REGIONS, if_needed);
    cli_note("dsvl-regions decides for each page whether to cut it into regions (%s)", task->kinds);
    if (asked.dpi || asked.scale_to) return;
    const int n = em * 72 / SMALL_PRINT;
    snprintf(dpi, sizeof dpi, "--dpi=%d", n < DPI_LEAST ? DPI_LEAST : n > DPI_MOST ? DPI_MOST : n);
    give(line, RASTERIZE, dpi);
}

/* Route the command line to the stages. Returns -1, or the exit status to end with. */
static int route(pipeline *line, int argc, char **argv)
{
    static cli_option options[ROUTES];
    static char dashes[] = "--";
    const cli_program program = {
        "dsvl ask", "[OPTION...] FILE... PROMPT",
        "Ask a question of every page of PDF, TIFF, JPEG and PNG files; answers are JSON Lines.", options,
        ROUTES};
    make_options(options);
    int files = cli_parse(&program, argc, argv);
    if (asked.prompt || asked.prompts) {
        if (files < 1) return cli_usage("no file is named");
    } else {
        if (files < 2) return cli_usage("files are needed, and, last, a prompt");
        asked.prompt = argv[--files];
    }
    give_options(line, options);
    choose_regions(line);
    give(line, RASTERIZE, dashes);
    for (int i = 0; i < files; i++) give(line, RASTERIZE, argv[i]);
    return -1;
}

/* Start stage s reading from `input`; returns the descriptor that the next stage reads from, -1 on failure.
 */
static int start(pipeline *line, int s, const char *folder, int input)
{
    int ends[2] = {-1, -1};
    if (line->skipped >> s & 1) return input;
    if (s + 1 < STAGES && pipe2(ends, O_CLOEXEC)) {
        cli_error("cannot make a pipe: %s", strerror(errno));
        return -1;
    }
    line->pid[s] = fork();
    if (line->pid[s] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* a stage has no business without us */
        if (s > 0) dup2(input, STDIN_FILENO);
        if (s + 1 < STAGES) dup2(ends[1], STDOUT_FILENO);
        _exit(run_stage(folder, stage_names[s] + 5, line->argv[s]));
    }
    if (line->pid[s] < 0) cli_error("cannot start %s: %s", stage_names[s], strerror(errno));
    if (s > 0) close(input);
    if (ends[1] >= 0) close(ends[1]);
    if (line->pid[s] < 0 && ends[0] >= 0) close(ends[0]);
    return line->pid[s] < 0 ? -1 : ends[0];
}

/* Wait for all stages and say which failed first. A stage that only lost its reader is not the cause. */
static int finish(pipeline *line, int started)
{
    int cause = -1, status[STAGES], result = CLI_OK;
    for (int s = 0; s < started; s++) {
        int raw = 0;
        status[s] = CLI_OK;
        if (line->skipped >> s & 1) continue;
        while (waitpid(line->pid[s], &raw, 0) < 0 && errno == EINTR) continue;
        status[s] = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
        if (status[s] == CLI_PARTIAL) result = CLI_PARTIAL;
    }
    for (int s = 0; s < started; s++) {
        if (cause < 0 && status[s] > CLI_PARTIAL && (status[s] != CLI_OUTPUT || s + 1 == STAGES)) cause = s;
    }
    for (int s = 0; s < started && cause < 0; s++) {
        if (status[s] > CLI_PARTIAL) cause = s;
    }
    if (cause < 0) return started == STAGES ? result : CLI_INTERNAL;
    if (status[cause] > 128)
        cli_error("%s was ended by signal %d", stage_names[cause], status[cause] - 128);
    else
        cli_error("%s failed first, with exit status %d", stage_names[cause], status[cause]);
    return status[cause] > 128 ? CLI_INTERNAL : status[cause];
}

static int ask(const char *folder, int argc, char **argv)
{
    static pipeline line;
    for (int s = 0; s < STAGES; s++) line.argc[s] = 1;
    int status = route(&line, argc, argv);
    if (status >= 0) return status;
    int started = 0;
    for (int input = -1; started < STAGES; started++) {
        input = start(&line, started, folder, input);
        if (line.pid[started] < 0) break;
        if (input < 0 && started + 1 < STAGES) break;
    }
    return finish(&line, started);
}

/* For dsvl run, which takes our options too. */
static int ask_option(const char *argument)
{
    for (int i = 0; i < ROUTES; i++) {
        const struct option_route *r = &routes[i];
        const size_t n = strlen(r->name);
        const bool named = argument[1] == '-' && strncmp(argument + 2, r->name, n) == 0 &&
                           (!argument[2 + n] || argument[2 + n] == '=');
        if (named) return r->argument && !argument[2 + n];
        if (argument[1] != '-' && r->letter && argument[1] == r->letter) return r->argument && !argument[2];
    }
    return -1;
}

int main(int argc, char **argv)
{
    static const cli_program program = {
        "dsvl",
        "ask [OPTION...] FILE... PROMPT\n       dsvl run --out DIR -p PROMPT [OPTION...] FILE...\n       "
        "dsvl STAGE [OPTION...]",
        "Read documents with DeepSeek-VL models on CPUs. `dsvl ask` runs the whole pipeline,\n"
        "`dsvl run` does so for many documents, unattended; a STAGE is rasterize, read, regions, tile, "
        "encode, "
        "answer or model:\ndsvl STAGE --help.",
        NULL, 0};
    char folder[4096];
    char *name = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    cli_parse(&program, name ? 1 : argc, argv); /* --help and --version */
    if (!name) return cli_usage("nothing to do: dsvl ask FILE... PROMPT");
    if (own_folder(folder)) {
        cli_error("cannot find my own folder through /proc/self/exe");
        return CLI_INTERNAL;
    }
    if (strcmp(name, "ask") == 0) return ask(folder, argc - 1, argv + 1);
    if (strcmp(name, "run") == 0) return run_main(argc - 1, argv + 1, ask_option);
    if (strchr(name, '/')) return cli_usage("there is no stage \"%s\"", name);
    return run_stage(folder, name, argv + 1);
}
