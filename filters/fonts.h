/* SPDX-License-Identifier: Apache-2.0 */
/* Where the fonts of this system are. */
#ifndef DSVL_FILTERS_FONTS_H
#define DSVL_FILTERS_FONTS_H

#include <stddef.h>

/* Paths that reading fonts may touch: folders of fonts, fontconfig's files and its caches, and where links
 * among the fonts lead. An owned list of *count owned paths (dsvl_font_paths_free); NULL when memory is out.
 */
char **dsvl_font_paths(size_t *count);
void dsvl_font_paths_free(char **paths, size_t count);

#endif
