/* SPDX-License-Identifier: Apache-2.0 */
/* Words of fonts that do not say how large they are. */
#include <math.h>
#include <stdbool.h>

#include "filters/words.h"
#include "tests/unit/check.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 0.02;
}

/* A word of ten letters, its baseline at 100, as Poppler places it where it takes the type for `size`. */
static void add(dsvl_words *words, double width, double size, double sign)
{
    const double box[4] = {50, 100 - 0.95 * size, 50 + width, 100 + 0.35 * size};
    dsvl_error err = {0};
    CHECK(dsvl_words_add(words, box, "Lighthouse", 10, sign * size, DSVL_WORD_LINE, &err) == 0);
}

int main(void)
{
    dsvl_words words = {0};
    add(&words, 52, 4.5, -1);  /* of 10 points, taken for 4.5 */
    add(&words, 41.6, 23, -1); /* of 8 points, taken for 23 */
    add(&words, 52, 11, -1);   /* the guess is good */
    add(&words, 52, 4.5, 1);   /* a condensed face that says so itself */
    dsvl_words_settle_sizes(&words);
    static const double sizes[] = {10, 8, 11, 4.5};
    for (size_t i = 0; i < 4; i++) {
        const float *b = words.boxes + 4 * i;
        CHECK(near((double)words.font_size[i], sizes[i]));
        CHECK(near((double)b[1], 100 - 0.95 * sizes[i]) && near((double)b[3], 100 + 0.35 * sizes[i]));
    }
    dsvl_words_free(&words);
    return CHECK_DONE();
}
