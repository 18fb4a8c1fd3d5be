/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/prompt.h"

#include <string.h>

#include "lib/alloc.h"
#include "lib/session.h"

void dsvl_prefix_clear(dsvl_prefix *prefix)
{
    dsvl_dealloc(prefix->entries);
    memset(prefix, 0, sizeof *prefix);
}

static size_t tokens_of(int32_t id, const dsvl_image *images)
{
    return id >= 0 ? 1 : images[-1 - id].tokens;
}

static int64_t entry_of(int32_t id, const dsvl_image *images)
{
    return id >= 0 ? id : -1 - (int64_t)images[-1 - id].id;
}

static int check(const dsvl_session *session, const int32_t *ids, size_t count, const dsvl_image *images,
                 size_t image_count, size_t *tokens, dsvl_error *err)
{
    *tokens = 0;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 && (size_t)(-1 - ids[i]) >= image_count)
            return dsvl_fail(err, DSVL_E_INTERNAL, "the prompt asks for image %d of %zu", -ids[i],
                             image_count);
        *tokens += tokens_of(ids[i], images);
    }
    if (*tokens < session->context) return 0;
    return dsvl_fail(
        err, DSVL_E_LIMIT,
        "the prompt takes %zu tokens%s and the context holds %zu: ask of fewer or smaller images, split the "
        "page, or shorten the prompt",
        *tokens, image_count ? " with its images" : "", session->context);
}

/* Feed ids[from ..): runs of tokens, and images. */
static int feed(dsvl_session *session, const int32_t *ids, size_t from, size_t count,
                const dsvl_image *images, dsvl_error *err)
{
    for (size_t i = from; i < count;) {
        size_t n = 1;
        if (ids[i] < 0) {
            const dsvl_image *image = &images[-1 - ids[i]];
            if (dsvl_session_feed_embeddings(session, image->embeddings, image->tokens, err)) return -1;
        } else {
            while (i + n < count && ids[i + n] >= 0) n++;
            if (dsvl_session_feed_tokens(session, ids + i, n, err)) return -1;
        }
        i += n;
    }
    return 0;
}

int dsvl_prompt_feed(dsvl_prefix *prefix, dsvl_session *session, const int32_t *ids, size_t count,
                     const dsvl_image *images, size_t image_count, size_t *tokens, dsvl_error *err)
{
    if (check(session, ids, count, images, image_count, tokens, err)) return -1;
    size_t common = 0, held = 0;
    /* The last entry is always fed: its logits are what the answer begins with. */
    while (common < prefix->count && common + 1 < count &&
           prefix->entries[common] == entry_of(ids[common], images))
        held += tokens_of(ids[common++], images);

    void *entries = prefix->entries;
    if (!dsvl_grow(&entries, &prefix->capacity, count, sizeof *prefix->entries))
        return dsvl_fail_memory(err, count * sizeof *prefix->entries);
    prefix->entries = entries;
    prefix->count = 0; /* until all is in */
    dsvl_session_truncate(session, held);
    if (feed(session, ids, common, count, images, err)) {
        dsvl_session_truncate(session, 0);
        return -1;
    }
    for (size_t i = common; i < count; i++) prefix->entries[i] = entry_of(ids[i], images);
    prefix->count = count;
    return 0;
}
