/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dsvl-rasterize's work on one document, in its own process or in a jail. */
#ifndef DSVL_CMD_RASTERIZE_H
#define DSVL_CMD_RASTERIZE_H

#include "cmd/cli.h"
#include "filters/launcher.h"
#include "filters/page_channel.h"
#include "filters/page_list.h"
#include "filters/page_record.h"
#include "filters/page_writer.h"
#include "filters/source.h"

typedef struct rasterize_limits {
    uint64_t memory;                       /* bytes that a document's process may take */
    double page_seconds, document_seconds; /* of processor time */
    long pages;                            /* of a document */
} rasterize_limits;

typedef struct rasterize_job {
    const cli_program *program;
    dsvl_render_options render;
    dsvl_page_list pages; /* count 0: all */
    char settings[256];   /* for made_by: what changes the pixels */
    rasterize_limits limits;
    dsvl_page_writer *writer;
    size_t done, failed, expected; /* pages; expected 0: not known */
    const char *document;          /* the one at work */
    bool fonts;                    /* a document wanted some that it does not hold */
    bool more, opened;             /* others follow those begun; it was said that it is open */
    long page, taken;              /* its page at work; pages of it that were written */
} rasterize_job;

/* Where the pages of a document go. All return 0; 1: the document shall go no further; -1 with *err filled
 * when output fails. Origins have no document: whoever takes the result knows it. */
typedef struct rasterize_results {
    int (*opened)(void *user, const char *format, long pages, dsvl_error *err);
    bool (*begin)(void *user, long page); /* false: leave it out */
    int (*page_take)(void *user, dsvl_record *record, dsvl_error *err);
    int (*failed)(void *user, const dsvl_page_origin *origin, const dsvl_error *cause, dsvl_error *err);
    void *user;
} rasterize_results;

/* The results that write: user is the job. */
extern const rasterize_results rasterize_written;

/* Pages of a document whose bytes are there. */
int rasterize_bytes(const rasterize_job *job, const dsvl_bytes *bytes, const rasterize_results *results,
                    dsvl_error *err);

/* A document in this process: what --no-jail asks for. -1 only when output fails. */
int rasterize_here(rasterize_job *job, const char *document, dsvl_error *err);

/* The same in a process of its own, which is jailed. Two jails take turns: while the pages of a document come
 * from one, the next document is read in the other. */
typedef struct rasterize_jail rasterize_jail;
rasterize_jail *rasterize_jail_new(const rasterize_job *job, dsvl_error *err); /* before there are threads */
void rasterize_jail_stop(
    rasterize_jail *jail); /* work is over: it may end, and is not waited for; NULL-safe */
void rasterize_jail_free(rasterize_jail *jail); /* NULL-safe */

/* A document, begun ahead or not. next NULL: none follows, or there is no jail for it. */
int rasterize_jailed(rasterize_jail *jail, rasterize_job *job, const char *document, rasterize_jail *other,
                     const char *next, dsvl_error *err);

#endif
