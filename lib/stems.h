/* SPDX-License-Identifier: Apache-2.0 */
/* Where the files of a release keep their tensors: one row for each architecture and layout. The names inside
 * a part stand with the part (vision.c, sam.c, projector.c, decoder.c). */
#ifndef DSVL_LIB_STEMS_H
#define DSVL_LIB_STEMS_H

#include "lib/config.h"

enum { DSVL_STEM_PREFIXES = 8 };

typedef struct dsvl_stems {
    const char *vision;    /* SigLIP tower */
    const char *projector; /* projector, or aligner */
    const char *decoder;   /* embeddings, layers and last norm */
    const char *head;      /* name of the output matrix */
    /* Prefixes of everything that belongs to a part, NULL-terminated: a tensor under none of them belongs to
     * another model. */
    const char *vision_parts[DSVL_STEM_PREFIXES], *decoder_parts[DSVL_STEM_PREFIXES];
    /* Tensors that the release carries and never uses. */
    const char *unused[DSVL_STEM_PREFIXES];
} dsvl_stems;

const dsvl_stems *dsvl_stems_of(const dsvl_config *config);

#endif
