/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/run.h"
#include "lib/alloc.h"
#include "lib/hash.h"

enum { COMPONENT = 200 }; /* longest name of a file or folder that is kept as it is */

/* ---- names ------------------------------------------------------------------------------------------- */

/* A component of a document's path as a name of ours: "%" and what would clash or lead elsewhere is escaped,
 * what is too long becomes its beginning and a hash. Returns the length. */
static size_t escape(const char *name, size_t length, bool folder, char to[3 * COMPONENT + 80])
{
    const char *suffix = ".jsonl";
    const size_t tail = strlen(suffix);
    const bool clashes = folder && length >= tail && memcmp(name + length - tail, suffix, tail) == 0;
    size_t n = 0;
    for (size_t i = 0; i < length && n < COMPONENT; i++) {
        const bool hidden = (i == 0 || (clashes && i == length - tail)) && name[i] == '.';
        if (hidden || name[i] == '%')
            n += (size_t)snprintf(to + n, 4, "%%%02X", (unsigned)name[i]);
        else
            to[n++] = name[i];
    }
    if (n < COMPONENT) return n;
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    dsvl_hash_add(&hash, name, length);
    to[n++] = '%';
    to[n++] = '%';
    dsvl_hash_hex(&hash, to + n);
    return n + 32; /* half of the hash will do */
}

char *run_path(const char *out, const char *document, bool state)
{
    const size_t room = strlen(out) + 4 * strlen(document) + 3 * COMPONENT + 160;
    char *path = dsvl_alloc(room, 1), name[3 * COMPONENT + 80];
    if (!path) return NULL;
    size_t n = (size_t)snprintf(path, room, "%s%s", out, state ? "/.dsvl/state" : "");
    if (*document == '/') n += (size_t)snprintf(path + n, room - n, "/%%");
    for (const char *p = document; *p;) {
        const size_t length = strcspn(p, "/");
        const char *rest = p + length + strspn(p + length, "/");
        if (length && !(length == 1 && *p == '.')) {
            const size_t escaped = escape(p, length, *rest != '\0', name);
            void *grown = dsvl_realloc(path, n, n + escaped + room, 1);
            if (!grown) {
                dsvl_dealloc(path);
                return NULL;
            }
            path = grown;
            path[n++] = '/';
            memcpy(path + n, name, escaped);
            n += escaped;
        }
        p = rest;
    }
    strcpy(path + n, state ? ".json" : ".jsonl");
    return path;
}

/* ---- files ------------------------------------------------------------------------------------------- */

int run_make_folders(const char *path, dsvl_error *err)
{
    char *copy = dsvl_strdup(path);
    int status = copy ? 0 : dsvl_fail_memory(err, strlen(path));
    for (char *p = copy ? copy + 1 : NULL; p && status == 0 && (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST)
            status = dsvl_fail(err, DSVL_E_IO, "%s: cannot make the folder: %s", copy, strerror(errno));
    }
    dsvl_dealloc(copy);
    return status;
}

/* The folder of a file, so that the file's name survives a power cut too. */
static void flush_folder(const char *path)
{
    char *copy = dsvl_strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
    if (slash) {
        *slash = '\0';
        int folder = open(slash == copy ? "/" : copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder >= 0) {
            fsync(folder);
            close(folder);
        }
    }
    dsvl_dealloc(copy);
}

int run_publish(int file, const char *from, const char *to, dsvl_error *err)
{
    if (fsync(file) || rename(from, to))
        return dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", to, strerror(errno));
    flush_folder(to);
    return 0;
}

int run_write_file(const char *path, const char *bytes, size_t length, dsvl_error *err)
{
    const size_t room = strlen(path) + 32;
    char *temporary = dsvl_alloc(room, 1);
    if (!temporary) return dsvl_fail_memory(err, room);
    snprintf(temporary, room, "%s.%ld.tmp", path, (long)getpid());
    int status = -1, file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    size_t done = 0;
    while (file >= 0 && done < length) {
        ssize_t n = write(file, bytes + done, length - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (file >= 0 && done == length)
        status = run_publish(file, temporary, path, err);
    else
        dsvl_fail(err, DSVL_E_IO, "%s: cannot write: %s", path, strerror(errno));
    if (file >= 0) close(file);
    if (status) unlink(temporary);
    dsvl_dealloc(temporary);
    return status;
}

/* ---- what a document is ------------------------------------------------------------------------------ */

static bool hash_file(const char *path, char hex[65])
{
    static char block[1 << 20];
    dsvl_hash hash;
    ssize_t n = -1;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat info;
    dsvl_hash_init(&hash);
    if (file >= 0 && fstat(file, &info) == 0 && S_ISREG(info.st_mode)) {
        while ((n = read(file, block, sizeof block)) > 0) dsvl_hash_add(&hash, block, (size_t)n);
    }
    if (file >= 0) close(file);
    dsvl_hash_hex(&hash, hex);
    if (n != 0) hex[0] = '\0';
    return n == 0;
}

static const char *text_of(const json_t *state, const char *key)
{
    const char *text = json_string_value(json_object_get(state, key));
    return text ? text : "";
}

/* Size and time as they were mean the bytes as they were; else they are read. */
void run_facts_of(run_facts *facts, const char *document, const json_t *state)
{
    struct stat info;
    memset(facts, 0, sizeof *facts);
    if (stat(document, &info)) return;
    facts->size = (long long)info.st_size;
    facts->mtime = (long long)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    if (state && json_integer_value(json_object_get(state, "size")) == facts->size &&
        json_integer_value(json_object_get(state, "mtime")) == facts->mtime)
        snprintf(facts->hash, sizeof facts->hash, "%s", text_of(state, "document_hash"));
    else
        hash_file(document, facts->hash);
}

json_t *run_find_state(const char *out, const char *document, const char *settings)
{
    struct stat info;
    run_facts facts;
    char *path = run_path(out, document, true), *output = run_path(out, document, false);
    json_t *state = path && output ? json_load_file(path, 0, NULL) : NULL;
    bool same = state && strcmp(text_of(state, "settings"), settings) == 0 && stat(output, &info) == 0 &&
                json_integer_value(json_object_get(state, "bytes")) == (json_int_t)info.st_size;
    if (same) {
        run_facts_of(&facts, document, state);
        same = strcmp(text_of(state, "document_hash"), facts.hash) == 0;
    }
    dsvl_dealloc(path);
    dsvl_dealloc(output);
    if (same) return state;
    json_decref(state);
    return NULL;
}
