/* The four inner loops of fedcore, once per instruction set.
 *
 * Why C: one binary must run well on the machine it lands on, so each loop is compiled for several
 * instruction sets and the best one is chosen when the module is imported (simd_select). Cython
 * cannot say "compile this function for AVX-512"; a C attribute can. Everything else is in the .pyx.
 *
 *   add_rows      y      += sum_j value[j] * matrix[offset[j] ...]    a weighted sum of rows
 *   add_to_rows   matrix[offset[j] ...] += value[j] * y               its transpose: a rank-1 update
 *   nonzeros      where x is not 0, and what stands there
 *   accumulate    total  += sum of four weighted arrays, in double    the server's average
 *
 * A row is named by its offset, row number times row length: the multiplication is done once, when
 * the list is made, not in every loop. Widths are whole multiples of 16 floats: callers pad their rows with zeros, so no loop has a tail.
 */
#ifndef FEDCORE_SIMD_H
#define FEDCORE_SIMD_H

#include <stddef.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#  define SIMD_VECTORS 1
#  define SIMD_INLINE static inline __attribute__((always_inline))
#else /* MSVC and others: plain loops, left to the compiler's own vectoriser */
#  define SIMD_VECTORS 0
#  define SIMD_INLINE static
#endif

typedef struct {
    const char *name;
    void (*add_rows)(float *y, int width, const float *matrix, const int *offset,
                     const float *value, ptrdiff_t n);
    void (*add_to_rows)(float *matrix, const int *offset, const float *value, ptrdiff_t n,
                        const float *y, int width);
    int (*nonzeros)(const float *x, int from, int to, int stride, int *offset, float *value);
    void (*accumulate)(double *total, const float *const *rows, const double *weight, ptrdiff_t n);
} simd_ops;

/* This file includes itself below, once per instruction set, to get the bodies at its end. */
#define SIMD_BODY

#define SIMD_NAME(f) f##_baseline
#define SIMD_TARGET
#define SIMD_LANES 4   /* SSE2 on x86-64, NEON on Arm: both are always there */
#define SIMD_REGISTERS 8
#include "_simd.h"
#undef SIMD_NAME
#undef SIMD_TARGET
#undef SIMD_LANES
#undef SIMD_REGISTERS

#if SIMD_VECTORS && (defined(__x86_64__) || defined(__i386__))
#  define SIMD_X86 1
#  include <immintrin.h>
#  define SIMD_NAME(f) f##_avx2
#  define SIMD_TARGET __attribute__((target("avx2,fma")))
#  define SIMD_LANES 8
#  define SIMD_REGISTERS 12
#  include "_simd.h"
#  undef SIMD_NAME
#  undef SIMD_TARGET
#  undef SIMD_LANES
#  undef SIMD_REGISTERS

#  define SIMD_NAME(f) f##_avx512
#  define SIMD_TARGET __attribute__((target("avx512f,avx2,fma,popcnt")))
#  define SIMD_LANES 16
#  define SIMD_REGISTERS 16
#  include "_simd.h"
#  undef SIMD_NAME
#  undef SIMD_TARGET
#  undef SIMD_LANES
#  undef SIMD_REGISTERS
#else
#  define SIMD_X86 0
#endif
#undef SIMD_BODY

#define SIMD_OPS(level) {#level, add_rows_##level, add_to_rows_##level, nonzeros_##level, accumulate_##level}
static const simd_ops SIMD_BASELINE = SIMD_OPS(baseline);
#if SIMD_X86
static const simd_ops SIMD_AVX2 = SIMD_OPS(avx2);
static const simd_ops SIMD_AVX512 = SIMD_OPS(avx512);
#endif

/* The best level this processor has, or the level asked for by name; NULL if it has not got that. */
static const simd_ops *simd_select(const char *name) {
    int any = name == NULL || name[0] == '\0';
#if SIMD_X86
    __builtin_cpu_init();
    if ((any || strcmp(name, "avx512") == 0) && __builtin_cpu_supports("avx512f"))
        return &SIMD_AVX512;
    if ((any || strcmp(name, "avx2") == 0) && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return &SIMD_AVX2;
#endif
    return any || strcmp(name, "baseline") == 0 ? &SIMD_BASELINE : NULL;
}
#endif /* FEDCORE_SIMD_H */

/* ------------------------------------------------------------------------------------------------
 * The bodies. N vectors of LANES floats stand side by side in registers; N is a constant in each
 * copy, so that the compiler unrolls the loops over v and keeps acc[] out of memory.
 */
#ifdef SIMD_BODY

#if SIMD_VECTORS
/* may_alias and aligned(4): a float pointer may be read as a vector, at any float's address. */
typedef float SIMD_NAME(vec)
    __attribute__((vector_size(4 * SIMD_LANES), aligned(4), may_alias));
#  define VEC SIMD_NAME(vec)
#  define AT(pointer, v) (*(VEC *)((pointer) + (v) * SIMD_LANES))
#  define CONST_AT(pointer, v) (*(const VEC *)((pointer) + (v) * SIMD_LANES))

/* Makes the compiler keep a row's address in one register: left alone, GCC recomputes it per vector. */
#  define IN_REGISTER(pointer) __asm__("" : "+r"(pointer))

/* With few vectors a row, one chain of multiply-adds would wait for its own results: U chains of
 * rows run side by side and are added up at the end. */
SIMD_TARGET SIMD_INLINE void SIMD_NAME(gather)(const int N, const int U, float *y,
                                               const float *matrix, const int *offset, const float *value,
    ptrdiff_t n) {
    const VEC zero = {0};
    VEC acc[SIMD_REGISTERS];
    ptrdiff_t j = 0;
    _Pragma("GCC unroll 16") for (int v = 0; v < N; v++) acc[v] = AT(y, v);
    if (U > 1) {
        _Pragma("GCC unroll 16") for (int v = N; v < N * U; v++) acc[v] = zero;
        for (; j + U <= n; j += U) {
            _Pragma("GCC unroll 16") for (int u = 0; u < U; u++) {
                const float *row = matrix + offset[j + u];
                IN_REGISTER(row);
                _Pragma("GCC unroll 16") for (int v = 0; v < N; v++)
                    acc[u * N + v] += value[j + u] * CONST_AT(row, v);
            }
        }
    }
    for (; j < n; j++) {
        const float *row = matrix + offset[j];
        IN_REGISTER(row);
        _Pragma("GCC unroll 16") for (int v = 0; v < N; v++)
            acc[v] += value[j] * CONST_AT(row, v);
    }
    _Pragma("GCC unroll 16") for (int u = 1; u < U; u++)
        _Pragma("GCC unroll 16") for (int v = 0; v < N; v++) acc[v] += acc[u * N + v];
    _Pragma("GCC unroll 16") for (int v = 0; v < N; v++) AT(y, v) = acc[v];
}

SIMD_TARGET SIMD_INLINE void SIMD_NAME(scatter)(const int N, float *matrix, const int *offset,
    const float *value, ptrdiff_t n,
                                                const float *y) {
    VEC kept[SIMD_REGISTERS];
    _Pragma("GCC unroll 16") for (int v = 0; v < N; v++) kept[v] = CONST_AT(y, v);
    for (ptrdiff_t j = 0; j < n; j++) {
        float *row = matrix + offset[j];
        IN_REGISTER(row);
        _Pragma("GCC unroll 16") for (int v = 0; v < N; v++) AT(row, v) += value[j] * kept[v];
    }
}
#  undef AT
#  undef IN_REGISTER
#  undef CONST_AT
#  undef VEC

#  define CASES(DO) \
    DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15) DO(16)
#  define CHAINS(N) ((N) == 1 ? 8 : (N) == 2 ? 4 : (N) <= 4 ? 2 : 1)
#  define FITS(N) ((N) <= SIMD_REGISTERS)
#else
SIMD_INLINE void SIMD_NAME(gather)(int N, int U, float *y, const float *matrix, const int *offset, const float *value,
    ptrdiff_t n) {
    (void)U;
    for (ptrdiff_t j = 0; j < n; j++)
        for (int c = 0; c < N * SIMD_LANES; c++) y[c] += value[j] * matrix[offset[j] + c];
}

SIMD_INLINE void SIMD_NAME(scatter)(int N, float *matrix, const int *offset,
    const float *value, ptrdiff_t n, const float *y) {
    for (ptrdiff_t j = 0; j < n; j++)
        for (int c = 0; c < N * SIMD_LANES; c++) matrix[offset[j] + c] += value[j] * y[c];
}
#endif

/* Rows wider than the registers are cut into pieces of equal size. */
SIMD_INLINE int SIMD_NAME(piece)(int left, int vectors) {
    int pieces = (vectors + SIMD_REGISTERS - 1) / SIMD_REGISTERS;
    int size = (vectors + pieces - 1) / pieces;
    return left < size ? left : size;
}

SIMD_TARGET static void SIMD_NAME(add_rows)(float *y, int width, const float *matrix, const int *offset, const float *value,
    ptrdiff_t n) {
    const int vectors = width / SIMD_LANES;
    for (int done = 0, size; done < vectors; done += size) {
        size = SIMD_NAME(piece)(vectors - done, vectors);
        float *to = y + done * SIMD_LANES;
        const float *from = matrix + done * SIMD_LANES;
#if SIMD_VECTORS
#  define DO(N) case N: if (FITS(N)) SIMD_NAME(gather)(FITS(N) ? N : 1, FITS(N * CHAINS(N)) ? CHAINS(N) : 1, to, from, offset, value, n); break;
        switch (size) { CASES(DO) }
#  undef DO
#else
        SIMD_NAME(gather)(size, 1, to, from, offset, value, n);
#endif
    }
}

SIMD_TARGET static void SIMD_NAME(add_to_rows)(float *matrix, const int *offset,
    const float *value, ptrdiff_t n, const float *y,
                                               int width) {
    const int vectors = width / SIMD_LANES;
    for (int done = 0, size; done < vectors; done += size) {
        size = SIMD_NAME(piece)(vectors - done, vectors);
        float *to = matrix + done * SIMD_LANES;
        const float *from = y + done * SIMD_LANES;
#if SIMD_VECTORS
#  define DO(N) case N: if (FITS(N)) SIMD_NAME(scatter)(FITS(N) ? N : 1, to, offset, value, n, from); break;
        switch (size) { CASES(DO) }
#  undef DO
#else
        SIMD_NAME(scatter)(size, to, offset, value, n, from);
#endif
    }
}

/* Returns how many of x[from..to) are not 0 and lists them. A NaN is not 0: it is kept. AVX-512 has
 * an instruction for it; elsewhere we skip stretches of zeros, then write always and keep if not 0,
 * so that there is no branch to mispredict. Up to 16 numbers are written past what is found. */
SIMD_TARGET static int SIMD_NAME(nonzeros)(const float *x, int from, int to, int stride,
                                           int *offset, float *value) {
    int found = 0, i = from;
#if SIMD_LANES == 16
    const __m512i sixteen = _mm512_set1_epi32(16 * stride);
    __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    at = _mm512_mullo_epi32(_mm512_add_epi32(at, _mm512_set1_epi32(from)), _mm512_set1_epi32(stride));
    for (; i < to; i += 16, at = _mm512_add_epi32(at, sixteen)) {
        const __mmask16 valid = to - i >= 16 ? 0xFFFF : (__mmask16)((1u << (to - i)) - 1);
        const __m512 v = _mm512_maskz_loadu_ps(valid, x + i);
        const __mmask16 keep = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        _mm512_storeu_ps(value + found, _mm512_maskz_compress_ps(keep, v));
        _mm512_storeu_si512(offset + found, _mm512_maskz_compress_epi32(keep, at));
        found += __builtin_popcount(keep);
    }
#else
    for (; i < to; i += 8) {
        unsigned long long pair[4] = {1, 0, 0, 0};
        const int stop = i + 8 < to ? i + 8 : to;
        if (stop - i == 8) memcpy(pair, x + i, sizeof pair);
        if ((pair[0] | pair[1] | pair[2] | pair[3]) == 0) continue;
        for (int k = i; k < stop; k++) {
            offset[found] = k * stride;
            value[found] = x[k];
            found += x[k] != 0;
        }
    }
#endif
    return found;
}

/* Four arrays at a time: the running total is read and written once for four reads of input. */
SIMD_TARGET static void SIMD_NAME(accumulate)(double *total, const float *const *rows,
                                              const double *weight, ptrdiff_t n) {
    const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    const double wa = weight[0], wb = weight[1], wc = weight[2], wd = weight[3];
    for (ptrdiff_t i = 0; i < n; i++)
        total[i] += (wa * a[i] + wb * b[i]) + (wc * c[i] + wd * d[i]);
}

#undef CASES
#undef CHAINS
#undef FITS
#endif /* SIMD_BODY */
