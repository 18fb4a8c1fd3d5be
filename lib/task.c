/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/task.h"

#include <string.h>

#define EVERY_KIND "text,table,figure"

static const dsvl_task tasks[] = {
    {"Read the text.", EVERY_KIND, DSVL_JOIN_LINES},
    {"Extract the table as CSV.", "table", DSVL_JOIN_CSV},
    {"Extract the table as Markdown.", "table", DSVL_JOIN_MARKDOWN},
    {"Extract the chart as CSV.", "figure", DSVL_JOIN_CSV},
    {"Locate ", EVERY_KIND, DSVL_JOIN_BOXES},
};

const dsvl_task *dsvl_task_of(const char *prompt)
{
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        const size_t n = strlen(tasks[i].prompt);
        const bool open = tasks[i].prompt[n - 1] == ' '; /* words of the user follow */
        if (open ? strncmp(prompt, tasks[i].prompt, n) == 0 && prompt[n]
                 : strcmp(prompt, tasks[i].prompt) == 0)
            return &tasks[i];
    }
    return NULL;
}

const char *dsvl_task_subject(const dsvl_task *task, const char *prompt, size_t *n)
{
    const char *subject = prompt + strlen(task->prompt);
    *n = strlen(subject);
    if (*n > 0 && subject[*n - 1] == '.') --*n;
    return subject;
}

bool dsvl_task_lists(const char *kinds, const char *kind)
{
    for (const size_t n = strlen(kind); kinds; kinds = strchr(kinds, ','), kinds += !!kinds) {
        if (strncmp(kinds, kind, n) == 0 && (kinds[n] == ',' || kinds[n] == '\0')) return true;
    }
    return false;
}

bool dsvl_task_concerns(const dsvl_task *task, const char *part_kind, const char *page_kinds)
{
    if (!part_kind || !page_kinds || !task || dsvl_task_lists(task->kinds, part_kind)) return true;
    for (const char *p = page_kinds; p; p = strchr(p, ','), p += !!p) {
        char kind[16] = "";
        const size_t n = strcspn(p, ",");
        if (n < sizeof kind) memcpy(kind, p, n);
        if (dsvl_task_lists(task->kinds, kind)) return false;
    }
    return true;
}
