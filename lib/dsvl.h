/* SPDX-License-Identifier: Apache-2.0 */
/* libdsvl: DeepSeek-VL and DeepSeek-VL2 on CPUs.
 *
 * A dsvl_model is read-only and may be shared by threads; a dsvl_session holds one conversation's cache and
 * belongs to one thread at a time. Pixels are uint8 RGB, activations are f32, rows come first and the last
 * dimension is contiguous. Arguments are borrowed and const unless a name says `_take`. */
#ifndef DSVL_H
#define DSVL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DSVL_API __attribute__((visibility("default")))
#else
#define DSVL_API
#endif

#define DSVL_VERSION "0.1.0"

/* ---- errors ------------------------------------------------------------------------------------------ */

/* What kind of thing went wrong; the programs map these to exit statuses. */
typedef enum dsvl_code {
    DSVL_OK = 0,
    DSVL_E_USAGE,   /* an argument is wrong */
    DSVL_E_INPUT,   /* a document, stream or text is malformed or unreadable */
    DSVL_E_MODEL,   /* a model folder is incomplete, inconsistent or unknown */
    DSVL_E_LIMIT,   /* a stated limit would be exceeded (context, memory, size) */
    DSVL_E_MEMORY,  /* allocation failed */
    DSVL_E_IO,      /* reading or writing failed */
    DSVL_E_INTERNAL /* an invariant of the library does not hold */
} dsvl_code;

typedef struct dsvl_error {
    dsvl_code code;
    char message[1016]; /* UTF-8, NUL-terminated, no newline at the end */
} dsvl_error;

/* ---- models ------------------------------------------------------------------------------------------ */

typedef struct dsvl_model dsvl_model;

/* What of a model to open. The processor (config files only) is always read. */
enum {
    DSVL_PART_VISION = 1,    /* vision tower and projector */
    DSVL_PART_DECODER = 2,   /* language model */
    DSVL_PART_TOKENIZER = 4, /* tokenizer.json */
    DSVL_PART_STREAMED = 8,  /* the weights will be read once, in passing: they need not fit in memory */
};

typedef struct dsvl_options {
    int threads;         /* 0: one per online processor; results do not depend on it */
    uint64_t max_memory; /* bytes of working memory, 0: no limit of our own */
    int int8; /* non-zero: where tiles are encoded and embeddings are fed, the inputs of products with
                 quantized weights are rounded to 8 bits; the model must have such weights */
} dsvl_options;

/* Open a Hugging Face folder (config.json, processor_config.json, of DeepSeek-VL preprocessor_config.json,
 * tokenizer.json, model.safetensors or shards), as deepseek-ai released it or as transformers converts it.
 * Weights are memory-mapped; every tensor's name, shape and type is checked here, before any work. Returns an
 * owned model, or NULL with *err filled. options may be NULL. */
DSVL_API dsvl_model *dsvl_model_open(const char *folder, unsigned parts, const dsvl_options *options,
                                     dsvl_error *err);
DSVL_API void dsvl_model_close(dsvl_model *model);

/* The folder of the embedded model, seen from the running program: ../models/nano (build tree) or
 * ../share/dsvl/models/nano (installed). Owned by the caller (dsvl_free); NULL with *err filled when neither
 * is there. */
DSVL_API char *dsvl_model_default_folder(dsvl_error *err);

DSVL_API const char *dsvl_model_name(const dsvl_model *model); /* last component of the folder's real path */
/* 64 hex digits that identify the model: BLAKE2bp (its first 32 bytes) over config.json,
 * processor_config.json, preprocessor_config.json, tokenizer.json, each weight file's header and each
 * tensor's first and last 4 KiB. Reading all weights would take longer than the work on a page; so this tells
 * models and conversions apart, and does not prove every byte. "" when opened without weights. */
DSVL_API const char *dsvl_model_hash(const dsvl_model *model);
DSVL_API int dsvl_model_width(const dsvl_model *model);     /* decoder width = embedding dim */
DSVL_API int dsvl_model_context(const dsvl_model *model);   /* longest sequence, tokens */
DSVL_API int dsvl_model_tile_size(const dsvl_model *model); /* S: tiles are [S, S, 3] */
/* Bytes of one tile: S*S*3, and for DeepSeek-VL 7B in transformers' layout, whose processor makes a second
 * picture [L, L, 3] for the low-resolution tower, L*L*3 behind them. */
DSVL_API size_t dsvl_model_tile_bytes(const dsvl_model *model);

/* ---- vision ------------------------------------------------------------------------------------------ */

/* Tokens that one image of cols x rows local tiles takes in the prompt; 0 when there can be no such image. An
 * image of DeepSeek-VL is not cut: it is one tile, and cols and rows are 0. */
DSVL_API int dsvl_image_tokens(const dsvl_model *model, int cols, int rows);

/* Vision towers and projector for n tiles: uint8 tiles [n, S, S, 3] (see dsvl_model_tile_bytes) -> f32
 * features [n, side*side, width]. Any split of the tiles over calls gives the same bits. Mirrors
 * DeepseekVLV2ForCausalLM.vision + .projector, and MultiModalityCausalLM.vision_model + .aligner. */
DSVL_API int dsvl_encode_tiles(const dsvl_model *model, const uint8_t *tiles, int n, float *features,
                               dsvl_error *err);

/* Side of the token square that one tile becomes (14 for the released VL2 models, 24 for VL). */
DSVL_API int dsvl_tile_tokens_side(const dsvl_model *model);

/* Assemble one image's features [1 + cols*rows, side*side, width] (global view first, then row-major tiles)
 * into its embeddings [dsvl_image_tokens, width] with newline and separator vectors; of DeepSeek-VL, a copy.
 * Mirrors DeepseekVLV2ForCausalLM.prepare_inputs_embeds. */
DSVL_API int dsvl_image_mosaic(const dsvl_model *model, const float *features, int cols, int rows,
                               float *embeddings, dsvl_error *err);

/* ---- text -------------------------------------------------------------------------------------------- */

/* Tokenize UTF-8 text (invalid bytes become U+FFFD). Special tokens in the text are never recognised: text
 * from users and pages stays text. *ids is owned by the caller (dsvl_free). Returns 0 or -1. */
DSVL_API int dsvl_tokenize(const dsvl_model *model, const char *text, size_t length, int32_t **ids,
                           size_t *count, dsvl_error *err);

/* The bytes of tokens (special tokens are skipped unless with_special). *text is NUL-terminated and owned by
 * the caller (dsvl_free); a cut multi-byte character at the end is kept as bytes. */
DSVL_API int dsvl_detokenize(const dsvl_model *model, const int32_t *ids, size_t count, int with_special,
                             char **text, size_t *length, dsvl_error *err);

DSVL_API void dsvl_free(void *pointer);

/* One turn of a conversation. role is "user", "assistant" or "system". Where content holds the image mark
 * (dsvl_image_mark) images are placed in order; with no mark the caller's text is text only. */
typedef struct dsvl_message {
    const char *role;
    const char *content; /* UTF-8, NUL-terminated */
    size_t images;       /* how many image marks in content stand for images, from the first on */
    int specials; /* non-zero: the grounding tokens (<|grounding|>, <|ref|> ...) in content are tokens; for
                     text that the user wrote as a prompt, never for text from pages */
} dsvl_message;

/* A byte sequence that cannot occur in valid UTF-8 text and marks the place of an image in a message. */
#define DSVL_IMAGE_MARK "\xff"

/* Token ids of a conversation in the model's chat template, ready for generation; every image is one entry
 * -1-k (k: index of the image in the conversation), to be replaced by its embeddings. */
DSVL_API int dsvl_chat_tokens(const dsvl_model *model, const dsvl_message *messages, size_t count,
                              int32_t **ids, size_t *length, dsvl_error *err);

/* ---- sessions ---------------------------------------------------------------------------------------- */

typedef struct dsvl_session dsvl_session;

/* A cache for sequences of at most `context` tokens (0: the model's own limit; more is taken as asked, past
 * what the model was trained on). */
DSVL_API dsvl_session *dsvl_session_new(const dsvl_model *model, int context, dsvl_error *err);
DSVL_API void dsvl_session_free(dsvl_session *session);

/* Append tokens, or n embeddings [n, width], to the sequence (chunked prefill). -1 with DSVL_E_LIMIT when the
 * context is full; the sequence is then unchanged. */
DSVL_API int dsvl_session_feed_tokens(dsvl_session *session, const int32_t *ids, size_t n, dsvl_error *err);
DSVL_API int dsvl_session_feed_embeddings(dsvl_session *session, const float *embeddings, size_t n,
                                          dsvl_error *err);

DSVL_API size_t dsvl_session_length(const dsvl_session *session); /* tokens in the sequence */
DSVL_API void dsvl_session_truncate(dsvl_session *session,
                                    size_t length); /* forget all after `length` tokens */

/* Logits [vocab] after the last token fed; borrowed, valid until the next feed. */
DSVL_API const float *dsvl_session_logits(const dsvl_session *session, size_t *vocab);

typedef struct dsvl_sampling {
    float temperature;        /* 0: greedy */
    float top_p;              /* 1: off */
    float repetition_penalty; /* 1: off; covers the prompt's tokens too, as transformers does */
    uint64_t seed;
    double timeout; /* seconds for the answer, looked at before each token; 0: none */
    int keep_loops; /* non-zero: repetition is not looked for */
} dsvl_sampling;

typedef enum dsvl_finish {
    DSVL_FINISH_STOP,   /* the model ended its answer */
    DSVL_FINISH_LENGTH, /* max_tokens or the context */
    DSVL_FINISH_ERROR,
    DSVL_FINISH_LOOP,    /* it repeated itself, on a second try too; what repeats is kept once */
    DSVL_FINISH_TIMEOUT, /* sampling.timeout */
} dsvl_finish;

/* Called with each new piece of text; return non-zero to stop. */
typedef int (*dsvl_text_fn)(void *user, const char *text, size_t length);

typedef struct dsvl_generation {
    dsvl_finish finish;
    int32_t *ids;        /* owned: free with dsvl_generation_clear */
    float *logprobs;     /* [count] natural log of each chosen token's probability at temperature 1 */
    size_t count;        /* tokens generated, the end token not counted */
    double mean_logprob; /* over the generated tokens and the end token, 0 when there are none */
    double seconds;
    int retried; /* non-zero: a first try came into a loop */
} dsvl_generation;

/* Generate at most max_tokens (0: as many as the context holds). sampling NULL: greedy.
 * An answer that comes into a loop (lib/loop.h) is taken back to where it first went round and goes on there
 * with another token; a second loop ends it. What a caller has already been handed through on_text cannot be
 * taken back, nor can the words of a grounded answer: these end at the first loop, as they are. */
DSVL_API int dsvl_session_generate(dsvl_session *session, const dsvl_sampling *sampling, size_t max_tokens,
                                   dsvl_text_fn on_text, void *user, dsvl_generation *out, dsvl_error *err);
DSVL_API void dsvl_generation_clear(dsvl_generation *generation);

#ifdef __cplusplus
}
#endif
#endif
