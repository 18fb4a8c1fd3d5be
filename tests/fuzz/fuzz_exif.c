/* SPDX-License-Identifier: Apache-2.0 */
/* An EXIF block. */
#include "filters/exif.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsvl_exif exif;
    memset(&exif, 0xa5, sizeof exif);
    dsvl_exif_read(&exif, data, size);
    ALWAYS(exif.orientation >= 1 && exif.orientation <= 8);
    ALWAYS(exif.x_dpi >= 0 && exif.y_dpi >= 0); /* no NaN either */
    return 0;
}
