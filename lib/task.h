/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts whose meaning is known: which parts of a page they are about, and how the answers about several
 * parts become one. Any other prompt is about the whole page. */
#ifndef DSVL_LIB_TASK_H
#define DSVL_LIB_TASK_H

#include <stdbool.h>
#include <stddef.h>

typedef enum dsvl_join {
    DSVL_JOIN_LINES,    /* one below the other */
    DSVL_JOIN_CSV,      /* tables: parts of one become one, different ones are set apart by an empty line */
    DSVL_JOIN_MARKDOWN, /* the same, each below its header */
    DSVL_JOIN_BOXES,    /* places, on the page instead of its part */
} dsvl_join;

typedef struct dsvl_task {
    const char *prompt; /* "Read the text."; of "Locate TEXT." the first word */
    const char *kinds;  /* of parts, separated by commas: see region_kind in dsvl-stream(5) */
    dsvl_join join;
} dsvl_task;

/* The row of a prompt; NULL: not a known one. */
const dsvl_task *dsvl_task_of(const char *prompt);

/* What the user adds to a task's words, *n bytes of the prompt: of "Locate TEXT." the TEXT. */
const char *dsvl_task_subject(const dsvl_task *task, const char *prompt, size_t *n);

/* Whether a task (NULL: an unknown prompt) is about a part of this kind (NULL: a whole page) on a page that
 * has parts of these kinds (NULL: not known): where it has none of those that the task is about, all are
 * asked. */
bool dsvl_task_concerns(const dsvl_task *task, const char *part_kind, const char *page_kinds);

/* Whether a name stands in a list separated by commas. */
bool dsvl_task_lists(const char *kinds, const char *kind);

#endif
