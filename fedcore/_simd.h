/* The inner loops of fedcore, once per instruction set.
 *
 * Why C: one binary must run well on the machine it lands on, so each loop is compiled for several
 * instruction sets and the best one is chosen when the module is imported (simd_select). Cython
 * cannot say "compile this function for AVX-512"; a C attribute can. Everything else is in the .pyx.
 *
 *   add_rows      y           += sum_j value[j] * matrix[row[j], :]   a weighted sum of rows
 *   add_rows_pair the same for two y at once, which share the rows    each row is read once for both
 *   add_to_rows   matrix[row[j], :] += value[j] * y                   its transpose: a rank-1 update
 *   dots          out[row[j]] += sum_c matrix[row[j], c] * y[c]       one number a row
 *   exps          z[j]         = exp(z[j] - largest)                  for the softmax
 *   nonzeros      where x is not 0, and what stands there
 *   accumulate    total       += sum of weighted arrays, in double    the server's average
 *
 * The rows of a matrix are ``width`` floats long, a whole multiple of 16: callers pad them with
 * zeros, so no loop has a tail.
 */
#ifndef FEDCORE_SIMD_H
#define FEDCORE_SIMD_H

#include <math.h>
#include <stddef.h>
#include <string.h>

#if (defined(__GNUC__) || defined(__clang__)) && !defined(FEDCORE_PLAIN_C)
#  define SIMD_VECTORS 1
#  define SIMD_INLINE static inline __attribute__((always_inline))
#  define PREFETCH(pointer) __builtin_prefetch(pointer)
#else /* MSVC and others (FEDCORE_PLAIN_C: to test it): plain loops, left to the vectoriser */
#  define SIMD_VECTORS 0
#  define SIMD_INLINE static
#  define PREFETCH(pointer) (void)(pointer)
#endif

typedef struct {
    const char *name;
    void (*add_rows)(float *y, int width, const float *matrix, const int *row,
                     const float *value, ptrdiff_t n);
    void (*add_rows_pair)(float *y0, float *y1, int width, const float *matrix, const int *row,
                          const float *value0, const float *value1, ptrdiff_t n);
    void (*add_to_rows)(float *matrix, const int *row, const float *value, ptrdiff_t n,
                        const float *y, int width);
    void (*dots)(float *out, const float *matrix, const int *row, ptrdiff_t n, const float *y,
                 int width);
    void (*exps)(float *z, float largest, int width);
    int (*nonzeros)(const float *x, const float *next, int from, int to, int *row, float *value);
    void (*accumulate)(double *total, int fours, const float *const *rows,
                       const float *const *next, const double *weight, ptrdiff_t n);
} simd_ops;

/* This file includes itself below, once per instruction set, to get the bodies at its end. */
#define SIMD_BODY

#define SIMD_NAME(f) f##_baseline
#define SIMD_TARGET
#define SIMD_LANES 4   /* SSE2 on x86-64, NEON on Arm: both are always there */
#define SIMD_REGISTERS 8   /* vectors of a row that are kept in registers */
#define SIMD_PAIRED 4      /* the same for two rows at a time */
#include "_simd.h"
#undef SIMD_NAME
#undef SIMD_TARGET
#undef SIMD_LANES
#undef SIMD_REGISTERS
#undef SIMD_PAIRED

#if SIMD_VECTORS && (defined(__x86_64__) || defined(__i386__))
#  define SIMD_X86 1
#  include <immintrin.h>
#  define SIMD_NAME(f) f##_avx2
#  define SIMD_TARGET __attribute__((target("avx2,fma")))
#  define SIMD_LANES 8
#  define SIMD_REGISTERS 12
#  define SIMD_PAIRED 6
#  include "_simd.h"
#  undef SIMD_NAME
#  undef SIMD_TARGET
#  undef SIMD_LANES
#  undef SIMD_REGISTERS
#  undef SIMD_PAIRED

#  define SIMD_NAME(f) f##_avx512
#  define SIMD_TARGET __attribute__((target("avx512f,avx2,fma,popcnt")))
#  define SIMD_LANES 16
#  define SIMD_REGISTERS 16
#  define SIMD_PAIRED 13
#  include "_simd.h"
#  undef SIMD_NAME
#  undef SIMD_TARGET
#  undef SIMD_LANES
#  undef SIMD_REGISTERS
#  undef SIMD_PAIRED
#else
#  define SIMD_X86 0
#endif
#undef SIMD_BODY

#define SIMD_OPS(level) \
    {#level, add_rows_##level, add_rows_pair_##level, add_to_rows_##level, dots_##level, \
     exps_##level, nonzeros_##level, accumulate_##level}
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
typedef unsigned SIMD_NAME(ints) __attribute__((vector_size(4 * SIMD_LANES)));
typedef float SIMD_NAME(quad) __attribute__((vector_size(16)));
#  define VEC SIMD_NAME(vec)
#  define QUAD SIMD_NAME(quad)
#  define INTS SIMD_NAME(ints)
#  define UNROLL _Pragma("GCC unroll 16")
#  define AT(pointer, v) (*(VEC *)((pointer) + (v) * SIMD_LANES))
#  define CONST_AT(pointer, v) (*(const VEC *)((pointer) + (v) * SIMD_LANES))

/* Makes the compiler keep a row's address in one register, and a vector that is used twice: left
 * alone, GCC computes the address anew for each vector, and reads the vector twice. */
#  define IN_REGISTER(pointer) __asm__("" : "+r"(pointer))
#  if defined(__x86_64__) || defined(__i386__)
#    define IN_VECTOR(vector) __asm__("" : "+v"(vector))
#  elif defined(__aarch64__)
#    define IN_VECTOR(vector) __asm__("" : "+w"(vector))
#  else
#    define IN_VECTOR(vector)
#  endif

/* With few vectors a row, one chain of multiply-adds would wait for its own results: U chains of
 * rows run side by side and are added up at the end. */
SIMD_TARGET SIMD_INLINE void SIMD_NAME(gather)(const int N, const int U, float *y,
                                               const float *matrix, ptrdiff_t width,
                                               const int *row, const float *value, ptrdiff_t n) {
    const VEC zero = {0};
    VEC acc[SIMD_REGISTERS];
    ptrdiff_t j = 0;
    UNROLL for (int v = 0; v < N; v++) acc[v] = AT(y, v);
    if (U > 1) {
        UNROLL for (int v = N; v < N * U; v++) acc[v] = zero;
        for (; j + U <= n; j += U) {
            UNROLL for (int u = 0; u < U; u++) {
                const float *from = matrix + row[j + u] * width;
                IN_REGISTER(from);
                UNROLL for (int v = 0; v < N; v++)
                    acc[u * N + v] += value[j + u] * CONST_AT(from, v);
            }
        }
    }
    for (; j < n; j++) {
        const float *from = matrix + row[j] * width;
        IN_REGISTER(from);
        UNROLL for (int v = 0; v < N; v++) acc[v] += value[j] * CONST_AT(from, v);
    }
    UNROLL for (int u = 1; u < U; u++)
        UNROLL for (int v = 0; v < N; v++) acc[v] += acc[u * N + v];
    UNROLL for (int v = 0; v < N; v++) AT(y, v) = acc[v];
}

/* A row that is read once and used twice: memory can deliver one vector for each multiply-add, and
 * has to deliver numbers and places too; with half the reads, only the multiply-adds count. */
SIMD_TARGET SIMD_INLINE void SIMD_NAME(gather_pair)(const int N, float *y0, float *y1,
                                                    const float *matrix, ptrdiff_t width,
                                                    const int *row, const float *value0,
                                                    const float *value1, ptrdiff_t n) {
    VEC acc0[SIMD_PAIRED], acc1[SIMD_PAIRED];
    UNROLL for (int v = 0; v < N; v++) acc0[v] = AT(y0, v);
    UNROLL for (int v = 0; v < N; v++) acc1[v] = AT(y1, v);
    for (ptrdiff_t j = 0; j < n; j++) {
        const float *from = matrix + row[j] * width;
        IN_REGISTER(from);
        UNROLL for (int v = 0; v < N; v++) {
            VEC read = CONST_AT(from, v);
            IN_VECTOR(read);
            acc0[v] += value0[j] * read;
            acc1[v] += value1[j] * read;
        }
    }
    UNROLL for (int v = 0; v < N; v++) AT(y0, v) = acc0[v];
    UNROLL for (int v = 0; v < N; v++) AT(y1, v) = acc1[v];
}

SIMD_TARGET SIMD_INLINE void SIMD_NAME(scatter)(const int N, float *matrix, ptrdiff_t width,
                                                const int *row, const float *value, ptrdiff_t n,
                                                const float *y) {
    VEC kept[SIMD_REGISTERS];
    UNROLL for (int v = 0; v < N; v++) kept[v] = CONST_AT(y, v);
    for (ptrdiff_t j = 0; j < n; j++) {
        float *to = matrix + row[j] * width;
        IN_REGISTER(to);
        UNROLL for (int v = 0; v < N; v++) AT(to, v) += value[j] * kept[v];
    }
}

SIMD_TARGET SIMD_INLINE void SIMD_NAME(dot)(const int N, float *out, const float *matrix,
                                            ptrdiff_t width, const int *row, ptrdiff_t n,
                                            const float *y) {
    VEC kept[SIMD_REGISTERS];
    UNROLL for (int v = 0; v < N; v++) kept[v] = CONST_AT(y, v);
    for (ptrdiff_t j = 0; j < n; j++) {
        const float *from = matrix + row[j] * width;
        IN_REGISTER(from);
        VEC sum = kept[0] * CONST_AT(from, 0), other = {0};
        UNROLL for (int v = 1; v < N; v++) {
            if (v % 2) other += kept[v] * CONST_AT(from, v);
            else sum += kept[v] * CONST_AT(from, v);
        }
        sum += other;
        QUAD part[SIMD_LANES / 4];
        memcpy(part, &sum, sizeof part);
        UNROLL for (int k = 1; k < SIMD_LANES / 4; k++) part[0] += part[k];
        out[row[j]] += (part[0][0] + part[0][1]) + (part[0][2] + part[0][3]);
    }
}

/* exp(x) = 2^k * exp(r) with x = k ln 2 + r, |r| <= ln 2 / 2: k goes straight into the exponent
 * bits, exp(r) is its Taylor polynomial (relative error about 2e-7). Adding 1.5 * 2^23 rounds to a
 * whole number, which then stands in the lowest bits. Below -87 float has no normal number left. */
SIMD_TARGET static void SIMD_NAME(exps)(float *z, float largest, int width) {
    const float to_int = 12582912.0f;
    const VEC zero = {0};
    for (int j = 0; j < width; j += SIMD_LANES) {
        VEC x = *(VEC *)(z + j) - largest;
        const INTS low = (INTS)(x < -87.0f); /* all bits set where it is */
        x = (VEC)(((INTS)x & ~low) | ((INTS)(zero - 87.0f) & low));
        const VEC shifted = x * 1.44269504f + to_int;
        const VEC k = shifted - to_int;
        const VEC r = (x - k * 0.693145752f) - k * 1.42860677e-6f;
        VEC e = r * (1 / 720.0f) + 1 / 120.0f;
        e = ((e * r + 1 / 24.0f) * r + 1 / 6.0f) * r + 0.5f;
        e = (e * r + 1.0f) * r + 1.0f;
        *(VEC *)(z + j) = (VEC)((INTS)e + ((INTS)shifted << 23)) + (x - x); /* NaN stays NaN */
    }
}
#  undef AT
#  undef IN_REGISTER
#  undef IN_VECTOR
#  undef CONST_AT
#  undef VEC
#  undef INTS
#  undef QUAD

#  define CASES(DO) \
    DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) \
    DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15) DO(16)
#  define CHAINS(N) ((N) == 1 ? 8 : (N) == 2 ? 4 : (N) <= 4 ? 2 : 1)
#  define FITS(N) ((N) <= SIMD_REGISTERS)
#  define PAIR_FITS(N) ((N) <= SIMD_PAIRED)
#else
SIMD_INLINE void SIMD_NAME(gather)(int N, int U, float *y, const float *matrix, ptrdiff_t width,
                                   const int *row, const float *value, ptrdiff_t n) {
    (void)U;
    for (ptrdiff_t j = 0; j < n; j++)
        for (int c = 0; c < N * SIMD_LANES; c++) y[c] += value[j] * matrix[row[j] * width + c];
}

SIMD_INLINE void SIMD_NAME(gather_pair)(int N, float *y0, float *y1, const float *matrix,
                                        ptrdiff_t width, const int *row, const float *value0,
                                        const float *value1, ptrdiff_t n) {
    SIMD_NAME(gather)(N, 1, y0, matrix, width, row, value0, n);
    SIMD_NAME(gather)(N, 1, y1, matrix, width, row, value1, n);
}

SIMD_INLINE void SIMD_NAME(scatter)(int N, float *matrix, ptrdiff_t width, const int *row,
                                    const float *value, ptrdiff_t n, const float *y) {
    for (ptrdiff_t j = 0; j < n; j++)
        for (int c = 0; c < N * SIMD_LANES; c++) matrix[row[j] * width + c] += value[j] * y[c];
}

SIMD_INLINE void SIMD_NAME(dot)(int N, float *out, const float *matrix, ptrdiff_t width,
                                const int *row, ptrdiff_t n, const float *y) {
    for (ptrdiff_t j = 0; j < n; j++)
        for (int c = 0; c < N * SIMD_LANES; c++) out[row[j]] += matrix[row[j] * width + c] * y[c];
}

static void SIMD_NAME(exps)(float *z, float largest, int width) {
    for (int j = 0; j < width; j++) z[j] = expf(z[j] - largest);
}
#endif

/* Rows wider than the registers are cut into pieces of equal size. */
SIMD_INLINE int SIMD_NAME(piece)(int left, int vectors, int registers) {
    int pieces = (vectors + registers - 1) / registers;
    int size = (vectors + pieces - 1) / pieces;
    return left < size ? left : size;
}

/* One copy of the loop for each number of vectors, chosen by a switch. */
#if SIMD_VECTORS
#  define PER_SIZE(DO) switch (size) { CASES(DO) }
#else
#  define PER_SIZE(DO) DO(size)
#  define FITS(N) 1
#  define PAIR_FITS(N) 1
#  define CHAINS(N) 1
#endif
#if SIMD_VECTORS
#  define CASE(N, call) case N: call; break;
#else
#  define CASE(N, call) call;
#endif

SIMD_TARGET static void SIMD_NAME(add_rows)(float *y, int width, const float *matrix,
                                            const int *row, const float *value, ptrdiff_t n) {
    const int vectors = width / SIMD_LANES;
    for (int done = 0, size; done < vectors; done += size) {
        float *to = y + done * SIMD_LANES;
        const float *from = matrix + done * SIMD_LANES;
        size = SIMD_NAME(piece)(vectors - done, vectors, SIMD_REGISTERS);
#define DO(N) CASE(N, if (FITS(N)) SIMD_NAME(gather)(FITS(N) ? N : 1, \
                       FITS(N * CHAINS(N)) ? CHAINS(N) : 1, to, from, width, row, value, n))
        PER_SIZE(DO)
#undef DO
    }
}

SIMD_TARGET static void SIMD_NAME(add_rows_pair)(float *y0, float *y1, int width,
                                                 const float *matrix, const int *row,
                                                 const float *value0, const float *value1,
                                                 ptrdiff_t n) {
    const int vectors = width / SIMD_LANES;
    for (int done = 0, size; done < vectors; done += size) {
        float *to0 = y0 + done * SIMD_LANES, *to1 = y1 + done * SIMD_LANES;
        const float *from = matrix + done * SIMD_LANES;
        size = SIMD_NAME(piece)(vectors - done, vectors, SIMD_PAIRED);
#define DO(N) CASE(N, if (PAIR_FITS(N)) SIMD_NAME(gather_pair)(PAIR_FITS(N) ? N : 1, to0, to1, \
                       from, width, row, value0, value1, n))
        PER_SIZE(DO)
#undef DO
    }
}

SIMD_TARGET static void SIMD_NAME(add_to_rows)(float *matrix, const int *row,
                                               const float *value, ptrdiff_t n, const float *y,
                                               int width) {
    const int vectors = width / SIMD_LANES;
    for (int done = 0, size; done < vectors; done += size) {
        float *to = matrix + done * SIMD_LANES;
        const float *from = y + done * SIMD_LANES;
        size = SIMD_NAME(piece)(vectors - done, vectors, SIMD_REGISTERS);
#define DO(N) CASE(N, if (FITS(N)) SIMD_NAME(scatter)(FITS(N) ? N : 1, to, width, row, value, n, from))
        PER_SIZE(DO)
#undef DO
    }
}

SIMD_TARGET static void SIMD_NAME(dots)(float *out, const float *matrix, const int *row,
                                        ptrdiff_t n, const float *y, int width) {
    const int vectors = width / SIMD_LANES;
    for (int done = 0, size; done < vectors; done += size) {
        const float *from = matrix + done * SIMD_LANES, *kept = y + done * SIMD_LANES;
        size = SIMD_NAME(piece)(vectors - done, vectors, SIMD_REGISTERS);
#define DO(N) CASE(N, if (FITS(N)) SIMD_NAME(dot)(FITS(N) ? N : 1, out, from, width, row, n, kept))
        PER_SIZE(DO)
#undef DO
    }
}

/* Returns how many of x[from..to) are not 0 and lists them. A NaN is not 0: it is kept. AVX-512 has
 * an instruction for it; elsewhere we skip stretches of zeros, then write always and keep if not 0,
 * so that there is no branch to mispredict. Up to 16 numbers are written past what is found. The
 * example that comes next is asked for meanwhile: it stands anywhere in memory. */
SIMD_TARGET static int SIMD_NAME(nonzeros)(const float *x, const float *next, int from, int to,
                                           int *row, float *value) {
    int found = 0, i = from;
#if SIMD_LANES == 16
    __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    at = _mm512_add_epi32(at, _mm512_set1_epi32(from));
    for (; i < to; i += 16, at = _mm512_add_epi32(at, _mm512_set1_epi32(16))) {
        const __mmask16 valid = to - i >= 16 ? 0xFFFF : (__mmask16)((1u << (to - i)) - 1);
        const __m512 v = _mm512_maskz_loadu_ps(valid, x + i);
        const __mmask16 keep = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        PREFETCH(next + i);
        if (keep == 0) continue;
        _mm512_storeu_ps(value + found, _mm512_maskz_compress_ps(keep, v));
        _mm512_storeu_si512(row + found, _mm512_maskz_compress_epi32(keep, at));
        found += __builtin_popcount(keep);
    }
#else
    for (; i < to; i += 8) {
        unsigned long long pair[4] = {1, 0, 0, 0};
        const int stop = i + 8 < to ? i + 8 : to;
        PREFETCH(next + i);
        if (stop - i == 8) memcpy(pair, x + i, sizeof pair);
        if ((pair[0] | pair[1] | pair[2] | pair[3]) == 0) continue;
        for (int k = i; k < stop; k++) {
            row[found] = k;
            value[found] = x[k];
            found += x[k] != 0;
        }
    }
#endif
    return found;
}

/* Four or eight arrays at a time, in sums of four: the running total is read and written once for
 * all of them. Those that follow are asked for meanwhile (where nothing does, next is rows): the
 * processor guesses what comes next in one array, but not which array comes next. */
SIMD_TARGET SIMD_INLINE void SIMD_NAME(add_fours)(const int FOURS, double *total,
                                                  const float *const *rows,
                                                  const float *const *next, const double *weight,
                                                  ptrdiff_t n) {
    const float *r[8];
    double w[8], sum;
    ptrdiff_t i = 0;
    for (int k = 0; k < 4 * FOURS; k++) r[k] = rows[k], w[k] = weight[k];
#define FOUR(k, i) \
    ((w[k] * r[k][i] + w[k + 1] * r[k + 1][i]) + (w[k + 2] * r[k + 2][i] + w[k + 3] * r[k + 3][i]))
    for (; i + 16 <= n; i += 16) {
        for (int k = 0; k < 4 * FOURS; k++) PREFETCH(next[k] + i);
        for (int j = 0; j < 16; j++) {
            sum = total[i + j] + FOUR(0, i + j);
            total[i + j] = FOURS == 2 ? sum + FOUR(4, i + j) : sum;
        }
    }
    for (; i < n; i++) {
        sum = total[i] + FOUR(0, i);
        total[i] = FOURS == 2 ? sum + FOUR(4, i) : sum;
    }
#undef FOUR
}

SIMD_TARGET static void SIMD_NAME(accumulate)(double *total, int fours, const float *const *rows,
                                              const float *const *next, const double *weight,
                                              ptrdiff_t n) {
    if (fours == 2) SIMD_NAME(add_fours)(2, total, rows, next, weight, n);
    else SIMD_NAME(add_fours)(1, total, rows, next, weight, n);
}

#undef CASES
#undef CASE
#undef PER_SIZE
#undef CHAINS
#undef FITS
#undef PAIR_FITS
#undef UNROLL
#endif /* SIMD_BODY */
