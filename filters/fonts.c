/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that includes fontconfig.h; Poppler and cairo find their fonts through the same library. */
#include "filters/fonts.h"

#include <fontconfig/fontconfig.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/alloc.h"

typedef struct path_list {
    char **paths; /* [count] owned */
    size_t count, capacity;
    bool failed;
} path_list;

static void add_path(path_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->paths[i], path) == 0) return;
    }
    void *block = list->paths;
    char *copy = dsvl_strdup(path);
    if (!copy || !dsvl_grow(&block, &list->capacity, list->count + 1, sizeof *list->paths)) {
        dsvl_dealloc(copy);
        list->failed = true;
        return;
    }
    list->paths = block;
    list->paths[list->count++] = copy;
}

static void add_strings(path_list *list, FcStrList *strings)
{
    const FcChar8 *path;
    while (strings && (path = FcStrListNext(strings))) add_path(list, (const char *)path);
    if (strings) FcStrListDone(strings);
}

/* Packages like to link fonts from one place to another: a link's target is outside the folders. */
static void add_links(path_list *list, const FcFontSet *fonts)
{
    for (int i = 0; fonts && i < fonts->nfont; i++) {
        FcChar8 *file;
        struct stat facts;
        if (FcPatternGetString(fonts->fonts[i], FC_FILE, 0, &file) != FcResultMatch) continue;
        if (lstat((const char *)file, &facts) || !S_ISLNK(facts.st_mode)) continue;
        char *target = realpath((const char *)file, NULL);
        if (target) add_path(list, target);
        free(target);
    }
}

char **dsvl_font_paths(size_t *count)
{
    path_list list = {0};
    FcConfig *config = FcConfigReference(NULL);
    if (config) {
        add_strings(&list, FcConfigGetFontDirs(config));
        add_strings(&list, FcConfigGetCacheDirs(config));
        add_strings(&list, FcConfigGetConfigFiles(config));
        add_links(&list, FcConfigGetFonts(config, FcSetSystem));
        FcConfigDestroy(config);
    }
    if (list.failed) {
        dsvl_font_paths_free(list.paths, list.count);
        list = (path_list){0};
    }
    *count = list.count;
    return list.paths;
}

void dsvl_font_paths_free(char **paths, size_t count)
{
    for (size_t i = 0; i < count; i++) dsvl_dealloc(paths[i]);
    dsvl_dealloc(paths);
}
