/* SPDX-License-Identifier: Apache-2.0 */
/* The store on disk: entries come back as they went in, damaged ones do not, the oldest go when it is full,
 * and many processes that write and trim at once never see half an entry. */
#include "lib/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "tests/unit/check.h"

static char folder[] = "/tmp/dsvl-store-XXXXXX";

static void key_of(int n, char key[65])
{
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    dsvl_hash_add(&hash, &n, sizeof n);
    dsvl_hash_hex(&hash, key);
}

static void fill(char *data, size_t length, int n)
{
    for (size_t i = 0; i < length; i++) data[i] = (char)(n * 31 + (int)i * 7);
}

static int put(const dsvl_store *store, int n, size_t length)
{
    char key[65], data[9000];
    dsvl_error err = {0};
    key_of(n, key);
    fill(data, length, n);
    const dsvl_bytes_part parts[] = {{data, length / 3}, {data, 0}, {data + length / 3, length - length / 3}};
    return dsvl_store_put(store, key, parts, 3, &err);
}

/* 1: it is there and right, 0: not there; anything else is a failure. */
static int get(const dsvl_store *store, int n, size_t length)
{
    char key[65], want[9000];
    void *data = NULL;
    size_t got = 0;
    key_of(n, key);
    int found = dsvl_store_get(store, key, &data, &got, NULL);
    fill(want, length, n);
    if (found == 1) CHECK(got == length && memcmp(data, want, length) == 0);
    dsvl_dealloc(data);
    return found;
}

static void entry_of(int n, char path[200])
{
    char key[65];
    key_of(n, key);
    snprintf(path, 200, "%s/new/%.2s/%s", folder, key, key + 2);
}

static void test_damage(const dsvl_store *store)
{
    char path[200];
    entry_of(1, path);
    for (int kind = 0; kind < 4; kind++) {
        CHECK(put(store, 1, 1000) == 0 && get(store, 1, 1000) == 1);
        int file = open(path, O_RDWR);
        CHECK(file >= 0);
        if (kind == 0) CHECK(pwrite(file, "x", 1, 500) == 1); /* content */
        if (kind == 1) CHECK(pwrite(file, "x", 1, 20) == 1);  /* its hash */
        if (kind == 2) CHECK(ftruncate(file, 600) == 0);      /* cut */
        if (kind == 3) CHECK(ftruncate(file, 0) == 0);
        close(file);
        CHECK(get(store, 1, 1000) == 0);
        CHECK(access(path, F_OK) != 0); /* removed, to be made again */
    }
    /* An entry under another key is not that key's. */
    char other[200];
    entry_of(2, other);
    CHECK(put(store, 1, 1000) == 0 && put(store, 2, 1000) == 0);
    CHECK(rename(path, other) == 0);
    CHECK(get(store, 2, 1000) == 0);
}

static void test_limit(void)
{
    dsvl_error err = {0};
    char path[100];
    snprintf(path, sizeof path, "%s/small", folder);
    dsvl_store *store = dsvl_store_open(path, 20 * 1080, &err); /* twenty entries */
    CHECK_MSG(store, "%s", err.message);
    if (!store) return;
    for (int n = 0; n < 50; n++) {
        CHECK(put(store, n, 1000) == 0);
        usleep(2000);                                /* so that times differ */
        if (n >= 3) CHECK(get(store, 3, 1000) == 1); /* in use: it stays */
        usleep(2000);
    }
    int there = 0;
    for (int n = 0; n < 50; n++) there += get(store, n, 1000) == 1;
    CHECK_MSG(there >= 18 && there <= 20, "%d entries", there);
    CHECK(get(store, 49, 1000) == 1 && get(store, 4, 1000) == 0);
    dsvl_store_close(store);
}

static void test_many_processes(void)
{
    enum { PROCESSES = 6, ROUNDS = 300 };
    char path[100];
    snprintf(path, sizeof path, "%s/many", folder);
    for (int p = 0; p < PROCESSES; p++) {
        if (fork()) continue;
        dsvl_error err = {0};
        dsvl_store *store = dsvl_store_open(path, 15 * 5080, &err);
        unsigned x = (unsigned)p * 77 + 1;
        for (int i = 0; store && i < ROUNDS; i++) {
            x = x * 1664525u + 1013904223u;
            int n = (int)(x >> 16) % 30;
            if (get(store, n, 5000) == 0) CHECK(put(store, n, 5000) == 0);
        }
        CHECK(store);
        dsvl_store_close(store);
        _exit(check_failures ? 1 : 0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        CHECK(wait(&status) > 0 && status == 0);
    }
}

static void test_refusals(void)
{
    dsvl_error err = {0};
    char path[100];
    snprintf(path, sizeof path, "%s/file", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    CHECK(!dsvl_store_open(path, 1000, &err) && err.code == DSVL_E_IO && strstr(err.message, path));
    err = (dsvl_error){0};
    CHECK(!dsvl_store_open("", 1000, &err) && err.code == DSVL_E_IO);
    dsvl_store *store = dsvl_store_open(folder, 1000000, &err);
    for (long n = 1; store && n < 20; n++) { /* out of memory is said, and is no missing entry */
        CHECK(put(store, 7, 100) == 0);
        char key[65];
        void *data = NULL;
        size_t length;
        dsvl_error fault = {0};
        key_of(7, key);
        dsvl_alloc_fail_at(n);
        int found = dsvl_store_get(store, key, &data, &length, &fault);
        dsvl_alloc_fail_at(0);
        dsvl_dealloc(data);
        if (found == 1) break;
        CHECK(found == -1 && fault.code == DSVL_E_MEMORY);
    }
    dsvl_store_close(store);
}

int main(void)
{
    dsvl_error err = {0};
    char path[100];
    if (!mkdtemp(folder)) return EXIT_FAILURE;
    snprintf(path, sizeof path, "%s/new", folder);
    dsvl_store *store = dsvl_store_open(path, 1 << 30, &err);
    CHECK_MSG(store, "%s", err.message);
    if (store) {
        CHECK(get(store, 1, 1000) == 0);
        for (size_t length = 0; length < 9000; length = length * 3 + 1)
            CHECK(put(store, (int)length, length) == 0 && get(store, (int)length, length) == 1);
        test_damage(store);
    }
    dsvl_store_close(store);
    test_limit();
    test_many_processes();
    test_refusals();
    snprintf(path, sizeof path, "rm -rf %s", folder);
    return system(path) || check_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
