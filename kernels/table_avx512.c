/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels compiled for one instruction set; the Makefile gives files named *_avx512.c its flags. */
#if defined(__x86_64__)
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/internal.h"
#include "kernels/vec_avx512.h"

#include "kernels/simd_math.h"

#include "kernels/simd_rows.h"

#include "kernels/simd_gemm.h"

#include "kernels/simd_gemv.h"

#include "kernels/simd_quantize.h"

#include "kernels/simd_attention.h"

#include "kernels/simd_table.h"

const kern_table kern_table_avx512 = SIMD_TABLE("avx512", &kern_int8_avx2, NULL);
const kern_table kern_table_vnni = SIMD_TABLE("avx512vnni", &kern_int8_avx512, &kern_exact_avx512);
#endif
