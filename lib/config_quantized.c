/* SPDX-License-Identifier: Apache-2.0 */
/* config.json's quantization_config: only what dsvl-model quantize writes can be read. */
#include <stdio.h>

#include "lib/config_internal.h"

int conf_read_quantization(const json_t *root, dsvl_quantization *q, const conf_place *top)
{
    static const char *const methods[] = {"dsvl", NULL};
    static const conf_setting settings[] = {
        {"bits", CONF_WHOLE, offsetof(dsvl_quantization, bits), 4, 8, CONF_REQUIRED, CONF_REFUSED},
        {"group_size", CONF_WHOLE, offsetof(dsvl_quantization, group), 32, 128, CONF_REQUIRED, CONF_REFUSED},
    };
    const conf_place p = {top->where, "quantization_config.", top->err};
    const json_t *object = json_object_get(root, "quantization_config");
    int method;
    q->bits = q->group = 0;
    if (!object || json_is_null(object)) return 0;
    if (!json_is_object(object)) return conf_wrong(top, "quantization_config", object, "an object");
    if (conf_read_choice(object, "quant_method", methods, NULL, &method, &p)) {
        dsvl_error_prefix(p.err,
                          "only folders that dsvl-model quantize wrote can be run quantized; start from the "
                          "original weights: ");
        return -1;
    }
    if (CONF_READ(object, settings, q, &p)) return -1;
    if (q->bits != 4 && q->bits != 8)
        return conf_wrong(&p, "bits", json_object_get(object, "bits"), "4 or 8");
    if (q->group != 32 && q->group != 64 && q->group != 128)
        return conf_wrong(&p, "group_size", json_object_get(object, "group_size"), "32, 64 or 128");
    const json_t *version = json_object_get(object, "version"), *symmetric = json_object_get(object, "sym");
    if (json_integer_value(version) != 1)
        return conf_wrong(&p, "version", version, "1, the one that this program reads");
    if (!json_is_true(symmetric)) return conf_wrong(&p, "sym", symmetric, "true");
    return 0;
}
