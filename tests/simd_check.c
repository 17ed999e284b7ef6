/* Every function of _simd.h against the plainest loop in double: prints the largest error.
 * Built by test_simd.py with several compilers, for this processor and for Arm.
 * Usage: simd_check LEVEL; exit code 3 if the processor has not got that level. */
#include "_simd.h"
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 37, WIDEST = 560, N = 23 };
static float matrix[ROWS * WIDEST], changed[ROWS * WIDEST];
static float first[WIDEST], second[WIDEST], was_first[WIDEST], was_second[WIDEST];
static float value0[N], value1[N], out[ROWS];
static int row[N];
static double worst = 0;

static float number(void) { return (float)(rand() % 2001 - 1000) / 1000; }
static void fill(float *x, int n) { for (int i = 0; i < n; i++) x[i] = number(); }

static void compare(const char *what, double got, double exact, double scale) {
    const double error = fabs(got - exact) / scale;
    if (!(error < 1e-5)) {
        printf("%s: got %.9g, expected %.9g\n", what, got, exact);
        exit(1);
    }
    if (error > worst) worst = error;
}

static void check_rows(const simd_ops *simd, int width, int n) {
    fill(matrix, ROWS * width);
    fill(first, width);
    fill(second, width);
    fill(value0, n);
    fill(value1, n);
    for (int j = 0; j < n; j++) row[j] = j * 17 % ROWS;
    memcpy(was_first, first, sizeof first);
    memcpy(was_second, second, sizeof second);
    memcpy(changed, matrix, sizeof matrix);
    simd->add_rows_pair(first, second, width, matrix, row, value0, value1, n);
    for (int c = 0; c < width; c++) {
        double sum0 = was_first[c], sum1 = was_second[c];
        for (int j = 0; j < n; j++) {
            sum0 += (double)value0[j] * matrix[row[j] * width + c];
            sum1 += (double)value1[j] * matrix[row[j] * width + c];
        }
        compare("add_rows_pair", first[c], sum0, N);
        compare("add_rows_pair", second[c], sum1, N);
        first[c] = was_first[c];
    }
    simd->add_rows(first, width, matrix, row, value0, n);
    for (int c = 0; c < width; c++) {
        double sum = was_first[c];
        for (int j = 0; j < n; j++) sum += (double)value0[j] * matrix[row[j] * width + c];
        compare("add_rows", first[c], sum, N);
    }
    memset(out, 0, sizeof out);
    simd->dots(out, matrix, row, n, second, width);
    for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int c = 0; c < width; c++) sum += (double)second[c] * matrix[row[j] * width + c];
        compare("dots", out[row[j]], sum, width);
    }
    simd->add_to_rows(changed, row, value0, n, second, width);
    for (int c = 0; c < width; c++)
        for (int j = 0; j < n; j++) /* the rows differ: each is changed once */
            compare("add_to_rows", changed[row[j] * width + c],
                    matrix[row[j] * width + c] + (double)value0[j] * second[c], 1);
}

static void check_nonzeros(const simd_ops *simd, int from, int to) {
    int found, expected = 0, listed[ROWS + 16];
    float x[ROWS], values[ROWS + 16];
    for (int i = 0; i < ROWS; i++) x[i] = rand() % 3 ? 0 : number();
    if (to > from) x[to - 1] = NAN;
    found = simd->nonzeros(x, x, from, to, listed, values);
    for (int i = from; i < to; i++) {
        if (x[i] == 0) continue;
        compare("nonzeros: place", listed[expected], i, 1);
        if (memcmp(&values[expected], &x[i], sizeof(float))) compare("nonzeros: value", 1, 0, 1);
        expected++;
    }
    compare("nonzeros: found", found, expected, 1);
}

static void check_exps(const simd_ops *simd) {
    float z[16];
    for (int i = 0; i < 100000; i++) {
        for (int j = 0; j < 16; j++) z[j] = 3 - 87.0f * (16 * i + j) / 1.6e6f;
        simd->exps(z, 3, 16);
        for (int j = 0; j < 16; j++) {
            const float x = 3 - 87.0f * (16 * i + j) / 1.6e6f;
            compare("exps", z[j], exp((double)x - 3), exp((double)x - 3));
        }
    }
    for (int j = 0; j < 16; j++) z[j] = j % 2 ? -1e30f : NAN;
    simd->exps(z, 0, 16);
    compare("exps of -1e30", z[1], 0, 1);
    compare("exps of NaN", z[0] != z[0], 1, 1);
}

static void check_accumulate(const simd_ops *simd) {
    double total[ROWS], weight[8] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8};
    float rows[8][ROWS];
    const float *several[8];
    fill(rows[0], 8 * ROWS);
    for (int k = 0; k < 8; k++) several[k] = rows[k];
    for (int fours = 1; fours <= 2; fours++) {
        for (int i = 0; i < ROWS; i++) total[i] = i;
        simd->accumulate(total, fours, several, several, weight, ROWS);
        for (int i = 0; i < ROWS; i++) {
            double sum = i;
            for (int k = 0; k < 4 * fours; k++) sum += weight[k] * rows[k][i];
            compare("accumulate", total[i], sum, 1e-9);
        }
    }
}

int main(int argc, char **argv) {
    const simd_ops *simd = simd_select(argc > 1 ? argv[1] : "");
    if (simd == NULL) return 3;
    for (int width = 16; width <= WIDEST; width += 16)
        for (int n = 0; n <= N; n++) check_rows(simd, width, n);
    for (int from = 0; from < 20; from++)
        for (int to = from; to <= ROWS; to++) check_nonzeros(simd, from, to);
    check_exps(simd);
    check_accumulate(simd);
    printf("%s: largest error %.2g\n", simd->name, worst);
    return 0;
}
