/* SPDX-License-Identifier: Apache-2.0 */
/* How the files of a model's configuration are read: by tables of settings, each with its place in a struct,
 * its range and what stands for it when it is absent. config_settings.c does the reading and knows no model;
 * config.c and config_processor.c hold the tables. */
#ifndef DSVL_LIB_CONFIG_INTERNAL_H
#define DSVL_LIB_CONFIG_INTERNAL_H

#include <jansson.h>
#include <math.h>
#include <stddef.h>

#include "lib/config.h"

/* Where a value stands, for messages: "FILE: section.key". */
typedef struct conf_place {
    const char *where, *section; /* section: "" at the top, else "language_config." */
    dsvl_error *err;
} conf_place;

typedef enum conf_type { CONF_WHOLE, CONF_REAL, CONF_REAL32, CONF_FLAG } conf_type;

#define CONF_REQUIRED NAN /* no default: absent is an error */
#define CONF_REFUSED NAN  /* null is an error */

typedef struct conf_setting {
    const char *key;
    conf_type type;
    size_t offset; /* of an int, double, float or bool */
    double low, high;
    double absent, null; /* what stands for an absent key and for a null */
} conf_setting;

/* Store every setting of a table into the struct at base: 0 or -1. */
int conf_read_settings(const json_t *object, const conf_setting *settings, size_t count, void *base,
                       const conf_place *p);
#define CONF_READ(object, table, base, p)                                                                    \
    conf_read_settings(object, table, sizeof table / sizeof *table, base, p)
/* A string that must be one of `names` (NULL-terminated); absent: the published default, by name. */
int conf_read_choice(const json_t *object, const char *key, const char *const *names, const char *absent,
                     int *choice, const conf_place *p);
/* candidate_resolutions: [[width, height], ...], at most DSVL_MAX_CANDIDATES of them. */
int conf_read_candidates(const json_t *root, int (*list)[2], int *count, const conf_place *p);
/* Three numbers; absent: each is `absent`. */
int conf_read_triple(const json_t *root, const char *key, double low, double high, double absent,
                     double out[3], const conf_place *p);
int conf_read_text(const json_t *root, const char *key, const char *absent, char *out, size_t capacity,
                   const conf_place *p);
/* rope_scaling, or transformers 5's rope_parameters. */
int conf_read_rope(const json_t *section, dsvl_decoder_config *d, bool yarn, const conf_place *p);
/* Whether the numbers of the attention go together; fills in head_dim. */
int conf_check_attention(dsvl_decoder_config *d, const conf_place *p);
/* config_vl.c: DeepSeek-VL's two layouts, each with one tower or two. */
int conf_parse_vl(dsvl_config *config, const json_t *root, const conf_place *p);
int conf_parse_vl_transformers(dsvl_config *config, const json_t *root, const conf_place *p);
/* config_processor_vl.c: what stands in preprocessor_config.json and processor_config.json (NULL: no file).
 */
int conf_parse_processor_vl(dsvl_processor_config *c, const json_t *image, const conf_place *image_at,
                            const json_t *chat, const conf_place *chat_at);
/* quantization_config, absent: none (config_quantized.c). */
int conf_read_quantization(const json_t *root, dsvl_quantization *quantization, const conf_place *p);
/* The error of a value that is not `wanted`: always -1. */
int conf_wrong(const conf_place *p, const char *key, const json_t *value, const char *wanted);

/* The object that a JSON text holds (json_decref), or NULL. */
json_t *conf_parse_json(const char *json, size_t length, const char *where, dsvl_error *err);
/* A file of a model folder, and its path for messages; both are owned (dsvl_dealloc), also after an error. */
int conf_read_file(const char *folder, const char *name, char **json, size_t *length, char **where,
                   dsvl_error *err);

#endif
