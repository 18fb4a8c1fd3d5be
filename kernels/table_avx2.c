/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels compiled for one instruction set; the Makefile gives files named *_avx2.c its flags. */
#if defined(__x86_64__)
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/internal.h"
#include "kernels/vec_avx2.h"

#include "kernels/simd_math.h"

#include "kernels/simd_rows.h"

#include "kernels/simd_gemm.h"

#include "kernels/simd_gemv.h"

#include "kernels/simd_quantize.h"

#include "kernels/simd_attention.h"

#include "kernels/simd_table.h"

const kern_table kern_table_avx2 = SIMD_TABLE("avx2", &kern_int8_avx2, NULL);
#endif
