/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles against the committed goldens that Pillow made (tests/reference/check_pillow.py --goldens), the table
 * of mosaics of common pages, ties, roundings and overflow. Needs no Pillow. */
#include "filters/tiling.h"

#include <jansson.h>
#include <stdbool.h>

#include "lib/alloc.h"
#include "tests/unit/check.h"

#define GOLDENS "tests/reference/pillow_goldens.jsonl"

static dsvl_processor_config config_of(const json_t *about)
{
    dsvl_processor_config config = {0};
    const json_t *list = json_object_get(about, "candidate_resolutions"),
                 *mean = json_object_get(about, "image_mean");
    config.candidates = (int)json_array_size(list);
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t j = 0; j < 2; j++)
            config.candidate[i][j] = (int)json_integer_value(json_array_get(json_array_get(list, i), j));
    for (size_t c = 0; c < 3; c++)
        config.pad_color[c] = (int)(json_number_value(json_array_get(mean, c)) * 255);
    config.tile_size = config.candidate[0][0];
    return config;
}

/* What check_pillow.py calls noise. */
static dsvl_picture noise_new(int width, int height, uint32_t seed)
{
    size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *pixels = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(seed >> 24);
    }
    return (dsvl_picture){pixels, (size_t)width * 3, width, height, 3};
}

static void picture_free(dsvl_picture *picture)
{
    union {
        const uint8_t *shared;
        uint8_t *own;
    } block = {picture->pixels};
    free(block.own);
}

static void check_golden(const dsvl_processor_config *config, const json_t *golden)
{
    const json_t *size = json_object_get(golden, "size"), *best = json_object_get(golden, "best");
    int width = (int)json_integer_value(json_array_get(size, 0)),
        height = (int)json_integer_value(json_array_get(size, 1));
    dsvl_picture picture =
        noise_new(width, height, (uint32_t)json_integer_value(json_object_get(golden, "seed")));
    dsvl_tile_plan plan;
    dsvl_tensor tiles;
    dsvl_error err = {0};
    char hex[65];
    bool whole = json_is_true(json_object_get(golden, "whole"));
    CHECK(dsvl_tiling_plan(&plan, config, width, height, !whole, &err) == 0);
    CHECK(plan.cols * plan.tile_size == json_integer_value(json_array_get(best, 0)));
    CHECK(plan.rows * plan.tile_size == json_integer_value(json_array_get(best, 1)));
    CHECK(dsvl_tiling_cut(&tiles, &plan, config, &picture, DSVL_PILLOW_9_3, &err) == 0);
    CHECK(tiles.shape[0] == json_integer_value(json_object_get(golden, "tiles")));
    dsvl_tensor_hash(&tiles, hex);
    CHECK_STR(hex, json_string_value(json_object_get(golden, "hash")));
    dsvl_tensor_free(&tiles);
    picture_free(&picture);
}

static void test_goldens(void)
{
    FILE *file = fopen(GOLDENS, "rb");
    CHECK(file != NULL);
    if (!file) return;
    json_t *configs = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL), *golden;
    int count = 0;
    while ((golden = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL))) {
        const char *name = json_string_value(json_object_get(golden, "config"));
        dsvl_processor_config config = config_of(json_object_get(json_object_get(configs, "configs"), name));
        check_golden(&config, golden);
        json_decref(golden);
        count++;
    }
    CHECK_MSG(count >= 86, "%d goldens", count);
    json_decref(configs);
    fclose(file);
}

static dsvl_processor_config vl2(void)
{
    static const int grids[][2] = {{1, 1}, {1, 2}, {2, 1}, {1, 3}, {3, 1}, {1, 4}, {4, 1}, {2, 2},
                                   {1, 5}, {5, 1}, {1, 6}, {6, 1}, {2, 3}, {3, 2}, {1, 7}, {7, 1},
                                   {1, 8}, {8, 1}, {2, 4}, {4, 2}, {1, 9}, {9, 1}, {3, 3}};
    dsvl_processor_config config = {.tile_size = 384, .pad_color = {127, 127, 127}};
    config.candidates = sizeof grids / sizeof *grids;
    for (int i = 0; i < config.candidates; i++)
        for (int j = 0; j < 2; j++) config.candidate[i][j] = 384 * grids[i][j];
    return config;
}

/* Pages that people have, and where they stand in their mosaics. */
static void test_pages(void)
{
    static const struct {
        int width, height, cols, rows;
        dsvl_box content;
    } pages[] = {
        {1240, 1754, 3, 3, {169, 0, 814, 1152}}, {2480, 3508, 3, 3, {169, 0, 814, 1152}},
        {595, 842, 2, 3, {0, 32, 768, 1087}},    {1275, 1650, 3, 3, {131, 0, 890, 1152}},
        {1754, 1240, 3, 3, {0, 169, 1152, 814}}, {1920, 1080, 4, 2, {86, 0, 1365, 768}},
        {1024, 1024, 3, 3, {0, 0, 1152, 1152}},  {800, 600, 3, 2, {64, 0, 1024, 768}},
        {640, 480, 2, 2, {0, 96, 768, 576}},     {400, 1600, 1, 4, {0, 0, 384, 1536}},
        {300, 200, 1, 1, {0, 64, 384, 256}},     {1, 1, 1, 1, {0, 0, 384, 384}},
    };
    const dsvl_processor_config config = vl2();
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        dsvl_tile_plan plan;
        CHECK(dsvl_tiling_plan(&plan, &config, pages[i].width, pages[i].height, true, NULL) == 0);
        CHECK_MSG(plan.cols == pages[i].cols && plan.rows == pages[i].rows, "%dx%d -> %dx%d", pages[i].width,
                  pages[i].height, plan.cols, plan.rows);
        CHECK_MSG(memcmp(&plan.content, &pages[i].content, sizeof plan.content) == 0, "%dx%d at %d %d %d %d",
                  pages[i].width, pages[i].height, plan.content.x, plan.content.y, plan.content.width,
                  plan.content.height);
        CHECK(dsvl_tiling_plan(&plan, &config, pages[i].width, pages[i].height, false, NULL) == 0);
        CHECK(plan.cols == 1 && plan.rows == 1);
    }
}

static void test_edges(void)
{
    dsvl_processor_config config = vl2();
    dsvl_tile_plan plan;
    int width, height;
    /* width * height leaves 32 bits, and every candidate keeps 147456 pixels or less of the rest */
    dsvl_tiling_select(&config, DSVL_RESIZE_MAX_SIDE, DSVL_RESIZE_MAX_SIDE, &width, &height);
    CHECK(width == 1152 && height == 1152);
    /* one pixel wide: every scale leaves nothing of it, so the first candidate with least waste stands */
    dsvl_tiling_select(&config, 1, DSVL_RESIZE_MAX_SIDE, &width, &height);
    CHECK(width == 384 && height == 384);
    CHECK(dsvl_tiling_plan(&plan, &config, 1, DSVL_RESIZE_MAX_SIDE, true, NULL) == 0);
    CHECK(plan.content.width == 0 && plan.content.height == 384);
    /* halves round to even: 0.5 * 1 -> 0, 1.5 -> 2, 0.5 * 3 -> 2 */
    CHECK(dsvl_pad_box(2, 1, 3, 3).height == 2 && dsvl_pad_box(2, 1, 3, 3).y == 0);
    CHECK(dsvl_pad_box(2, 1, 1, 1).height == 0);
    CHECK(dsvl_pad_box(4, 1, 4, 4).y == 2);
    dsvl_error err = {0};
    CHECK(dsvl_tiling_plan(&plan, &config, 0, 5, true, &err) == -1 && err.code == DSVL_E_INPUT);
    err.code = DSVL_OK;
    config.candidate[0][1] = 500;
    CHECK(dsvl_tiling_plan(&plan, &config, 2, 2, true, &err) == -1 && err.code == DSVL_E_INTERNAL);
}

static void test_no_memory(void)
{
    const dsvl_processor_config config = vl2();
    for (int pillow = 0; pillow < DSVL_PILLOW_VERSIONS; pillow++) {
        dsvl_picture picture = noise_new(5, 700, 1);
        dsvl_tile_plan plan;
        CHECK(dsvl_tiling_plan(&plan, &config, 5, 700, true, NULL) == 0);
        for (long n = 1; n < 100; n++) {
            dsvl_tensor tiles;
            dsvl_error err = {0};
            dsvl_alloc_fail_at(n);
            int status = dsvl_tiling_cut(&tiles, &plan, &config, &picture, (dsvl_pillow)pillow, &err);
            dsvl_alloc_fail_at(0);
            if (status == 0) {
                CHECK(n > 5);
                dsvl_tensor_free(&tiles);
                break;
            }
            CHECK(err.code == DSVL_E_MEMORY);
        }
        picture_free(&picture);
    }
}

int main(void)
{
    test_goldens();
    test_pages();
    test_edges();
    test_no_memory();
    return CHECK_DONE();
}
