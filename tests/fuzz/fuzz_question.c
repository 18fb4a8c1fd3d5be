/* SPDX-License-Identifier: Apache-2.0 */
/* A file of prompts, and the same bytes as a conversation. */
#include <sys/mman.h>
#include <unistd.h>

#include "lib/question.h"
#include "tests/fuzz/fuzz.h"

static void check_question(const dsvl_question *q, bool chat)
{
    if (!chat) ALWAYS(q->prompt && !q->messages);
    for (size_t i = 0; q->messages && i < q->count; i++)
        ALWAYS(q->messages[i].role && q->messages[i].content);
}

static void read_as(const char *path, bool chat)
{
    dsvl_questions questions = {0};
    dsvl_error err = {.code = DSVL_OK};
    int status = chat ? dsvl_questions_read_chat(&questions, path, true, &err)
                      : dsvl_questions_read(&questions, path, false, &err);
    ALWAYS(status == 0 ? err.code == DSVL_OK : err.code != DSVL_OK && err.message[0]);
    for (size_t i = 0; status == 0 && i < questions.count; i++) check_question(&questions.items[i], chat);
    dsvl_questions_clear(&questions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    json_object_seed(1);
    int file = memfd_create("questions", MFD_CLOEXEC);
    ALWAYS(file >= 0 && (size == 0 || write(file, data, size) == (ssize_t)size));
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    read_as(path, false);
    read_as(path, true);
    close(file);
    return 0;
}
