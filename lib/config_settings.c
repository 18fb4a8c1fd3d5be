/* SPDX-License-Identifier: Apache-2.0 */
/* The part of reading a configuration that knows no model: JSON files and tables of checked values. */
#include "lib/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/folder.h"

int conf_wrong(const conf_place *p, const char *key, const json_t *value, const char *wanted)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    dsvl_fail(p->err, DSVL_E_MODEL, "%s: %s%s is %.60s, not %s", p->where, p->section, key,
              text ? text : "absent", wanted);
    free(text);
    return -1;
}

static void store(void *base, const conf_setting *s, double value)
{
    char *field = (char *)base + s->offset;
    switch (s->type) {
    case CONF_WHOLE:
        memcpy(field, &(int){(int)value}, sizeof(int));
        break;
    case CONF_REAL:
        memcpy(field, &value, sizeof value);
        break;
    case CONF_REAL32:
        memcpy(field, &(float){(float)value}, sizeof(float));
        break;
    case CONF_FLAG:
        memcpy(field, &(bool){value != 0}, sizeof(bool));
        break;
    }
}

static int read_setting(const json_t *object, const conf_setting *s, void *base, const conf_place *p)
{
    const json_t *value = json_object_get(object, s->key);
    double number;
    char wanted[96];
    bool type_fits = s->type == CONF_FLAG    ? json_is_boolean(value)
                     : s->type == CONF_WHOLE ? json_is_integer(value)
                                             : json_is_number(value);
    if (s->type == CONF_FLAG) {
        snprintf(wanted, sizeof wanted, "true or false");
    } else {
        snprintf(wanted, sizeof wanted, "a %snumber from %.9g to %.9g", s->type == CONF_WHOLE ? "whole " : "",
                 s->low, s->high);
    }
    if (!value || json_is_null(value)) {
        number = value ? s->null : s->absent;
        if (isnan(number)) return conf_wrong(p, s->key, value, wanted);
    } else {
        if (!type_fits) return conf_wrong(p, s->key, value, wanted);
        number = s->type == CONF_FLAG ? json_is_true(value) : json_number_value(value);
        if (s->type != CONF_FLAG && !(number >= s->low && number <= s->high))
            return conf_wrong(p, s->key, value, wanted);
    }
    store(base, s, number);
    return 0;
}

int conf_read_settings(const json_t *object, const conf_setting *settings, size_t count, void *base,
                       const conf_place *p)
{
    for (size_t i = 0; i < count; i++) {
        if (read_setting(object, &settings[i], base, p)) return -1;
    }
    return 0;
}
/* A string that must be one of `names` (NULL-terminated); absent: the published default, by name. */
int conf_read_choice(const json_t *object, const char *key, const char *const *names, const char *absent,
                     int *choice, const conf_place *p)
{
    const json_t *value = json_object_get(object, key);
    const char *text = value ? json_string_value(value) : absent;
    for (int i = 0; text && names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *choice = i;
            return 0;
        }
    }
    char wanted[160] = "";
    for (int i = 0; names[i]; i++) {
        size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s\"%s\"", i ? " or " : "", names[i]);
    }
    return conf_wrong(p, key, value, wanted);
}

json_t *conf_parse_json(const char *json, size_t length, const char *where, dsvl_error *err)
{
    json_error_t problem;
    json_t *root = json_loadb(json, length, 0, &problem);
    if (json_is_object(root)) return root;
    if (root) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: not a JSON object", where);
    } else {
        dsvl_fail(err, DSVL_E_MODEL, "%s: not valid JSON, line %d: %s", where, problem.line, problem.text);
    }
    json_decref(root);
    return NULL;
}

int conf_read_file(const char *folder, const char *name, char **json, size_t *length, char **where,
                   dsvl_error *err)
{
    *where = dsvl_folder_path(folder, name);
    if (!*where) return dsvl_fail_memory(err, strlen(folder));
    return dsvl_folder_read(folder, name, DSVL_CONFIG_LIMIT, json, length, err);
}
