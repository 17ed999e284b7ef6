# cython: language_level=3, embedsignature=True, freethreading_compatible=True
"""The compiled core of fedcore: a weighted average and local SGD, to be read from top to bottom.

One thought carries the file. Averaging, predicting and learning are all the same loop: *take rows
of numbers, multiply each row by one number, add them up.*

    average     new model     = sum over clients k of   weight[k] * update[k]
    predict     hidden layer  = sum over inputs  i of   input[i]  * W[i, :]
    learn       W[i, :]      += input[i] * step[:]      for each input i

So there are few inner loops; they stand in ``_simd.h`` because they are compiled once per
instruction set. What is left here is which rows, in which order.

Four tricks make it fast. Each is marked where it is used:

    SPARSE   four of five MNIST pixels are 0, and so is about half of a ReLU layer. We list what
             is not 0 and never touch the rows of W that belong to zeros. The lists of a client's
             examples are made in its first epoch and kept for the others.
    BLOCKED  W of 784 x 200 floats does not fit in the fastest cache. We take a block of its rows
             that does, and bring all examples of the batch through it before the next block.
    PAIRED   where little is 0, two sums that need the same rows are made together: each number
             that is read from memory is then used twice.
    PADDED   rows are padded with zeros to a multiple of 16 floats, so that vector instructions
             never meet an odd remainder. Padding stays 0: nothing is ever added to it but 0.

Where all this stands in memory is told in ``_workspace.pxi``. ``_reference.py`` holds the same
functions in NumPy; the tests compare the two.
"""
import os

cimport cython
from libc.math cimport sqrt
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cdef extern from "_simd.h":
    ctypedef struct simd_ops:
        const char *name
        void (*add_rows)(float *y, int width, const float *matrix, const int *row,
                         const float *value, Py_ssize_t n) noexcept nogil
        void (*add_rows_pair)(float *y0, float *y1, int width, const float *matrix,
                              const int *row, const float *value0, const float *value1,
                              Py_ssize_t n) noexcept nogil
        void (*add_to_rows)(float *matrix, const int *row, const float *value, Py_ssize_t n,
                            const float *y, int width) noexcept nogil
        void (*dots)(float *out, const float *matrix, const int *row, Py_ssize_t n,
                     const float *y, int width) noexcept nogil
        void (*exps)(float *z, float largest, int width) noexcept nogil
        int (*nonzeros)(const float *x, const float *next, int start, int stop, int *row,
                        float *value) noexcept nogil
        void (*accumulate)(double *total, int fours, const float *const *rows,
                           const float *const *next, const double *weight,
                           Py_ssize_t n) noexcept nogil
    const simd_ops *simd_select(const char *name) noexcept nogil

cdef bytes _wanted = os.environ.get("FEDCORE_SIMD", "").encode()
cdef const simd_ops *simd = simd_select(_wanted)
if simd == NULL:
    raise ImportError(
        f"FEDCORE_SIMD must name a level that this processor has (baseline, avx2, avx512), "
        f"got {_wanted.decode()!r}"
    )
SIMD = simd.name.decode()


# ------------------------------------------------------------------------------------ the average

cdef enum:
    BLOCK = 8192         # columns summed at a time: their totals, 64 kB, stay near, and long rows
                         # of input are read at full speed


def weighted_average(updates, const double[::1] coefficients, out):
    """out[p] = sum_k coefficients[k] * updates[k][p], every sum in float64.

    updates: (K, P) array or list of K arrays (P,), float32 or float64, each contiguous; read-only
    is fine and nothing is copied. coefficients: (K,), summing to 1. out: (P,), same dtype, written.
    Clients are added in groups of four (float32) or one by one (float64), in the order of k.
    Returns whether all of ``out`` is finite. Raises ValueError if a length differs from that of it.
    """
    if out.dtype == "float32":
        return _average_float32(updates, coefficients, out)
    return _average_float64(updates, coefficients, out)


cdef bint _average_float32(updates, const double[::1] coefficients, float[::1] out) except -1:
    cdef Py_ssize_t k, strip, start, width, i, n_clients = len(updates), n_params = out.shape[0]
    cdef Py_ssize_t groups = (n_clients + 3) // 4
    cdef const float[::1] update
    cdef const float **rows = <const float **>calloc(4 * groups + 4, sizeof(void *))
    cdef double *weight = <double *>calloc(4 * groups + 4, sizeof(double))
    cdef int fours
    cdef const float *block[8]
    cdef const float *next[8]
    cdef double total[BLOCK]
    cdef bint finite = True
    try:
        if rows == NULL or weight == NULL:
            raise MemoryError("weighted_average: no memory for the list of clients")
        if coefficients.shape[0] != n_clients:
            raise ValueError(f"expected {n_clients} coefficients, got {coefficients.shape[0]}")
        for k in range(n_clients):
            update = updates[k]
            if update.shape[0] != n_params:
                raise ValueError(
                    f"updates[{k}] must have {n_params} numbers, got {update.shape[0]}")
            rows[k] = &update[0] if n_params else NULL
            weight[k] = coefficients[k]
        for k in range(n_clients, 4 * groups):   # fill the last group: weight 0, any valid row
            rows[k] = rows[0]
        with nogil:
            for strip in range((n_params + BLOCK - 1) // BLOCK):
                start = strip * BLOCK           # BLOCKED: all clients, one strip of columns
                width = min(BLOCK, n_params - start)
                memset(total, 0, sizeof(total))
                k = 0
                while k < 4 * groups:
                    fours = 2 if k + 8 <= 4 * groups else 1
                    for i in range(4 * fours):
                        block[i] = rows[k + i] + start
                        next[i] = rows[(k + 4 * fours + i) % (4 * groups)] + start
                    simd.accumulate(total, fours, block, next, weight + k, width)
                    k += 4 * fours
                for i in range(width):
                    out[start + i] = <float>total[i]
                finite &= all_finite(&out[start], width)
    finally:
        free(rows)
        free(weight)
    return finite


cdef bint _average_float64(updates, const double[::1] coefficients, double[::1] out) except -1:
    cdef Py_ssize_t k, i, n_clients = len(updates), n_params = out.shape[0]
    cdef const double[::1] update
    cdef double weight
    cdef bint finite = True
    if coefficients.shape[0] != n_clients:
        raise ValueError(f"expected {n_clients} coefficients, got {coefficients.shape[0]}")
    out[:] = 0
    for k in range(n_clients):
        update = updates[k]
        if update.shape[0] != n_params:
            raise ValueError(f"updates[{k}] must have {n_params} numbers, got {update.shape[0]}")
        weight = coefficients[k]
        with nogil:
            for i in range(n_params):
                out[i] += weight * update[i]
    for i in range(n_params):
        finite &= out[i] - out[i] == 0                   # infinite or NaN: the difference is NaN
    return finite


def add_weighted(double[::1] total, const float[::1] update, double weight):
    """total[p] += weight * update[p]: one step of a running average, in float64.

    total: (P,) float64, changed in place; update: (P,) float32. ValueError if the lengths differ.
    """
    cdef Py_ssize_t i
    if total.shape[0] != update.shape[0]:
        raise ValueError(f"update must have {total.shape[0]} numbers, got {update.shape[0]}")
    with nogil:
        for i in range(total.shape[0]):
            total[i] += weight * update[i]


# ---------------------------------------------------------------------- matrices and sparse rows

cdef enum:
    MAX_CHUNK = 32       # examples handled together; larger batches add up their gradients first
    CACHE = 49152        # bytes of W that one block may take: much less, and lists get short
    KEEP = 1 << 21       # numbers in a client's examples up to which their lists are kept (16 MB)
    ALIGN = 64           # bytes: one cache line, one AVX-512 vector
    WIDE = 80            # floats in a row from which on PAIRED pays

cdef struct Matrix:      # PADDED: element (i, j) is data[i * stride + j], stride % 16 == 0
    float *data
    int rows
    int stride
    int block            # rows that fit in CACHE
    int n_blocks

cdef struct SparseRows:  # SPARSE: lists of what is not 0, cut at the block borders
    int *row             # (n_lists, stride): which row of the matrix
    float *value         # (n_lists, stride): times what
    int stride           # 16 more than the matrix has rows: nonzeros writes past what it finds
    int *border          # (n_lists, n_blocks + 1): where each block starts in the two above
    int list[MAX_CHUNK]  # which list belongs to example e of the chunk

cdef struct Layer:
    int n_in
    int n_out
    Matrix W             # (n_in, n_out)
    Matrix dW            # where steps are added up: W itself, unless the batch is large
    Matrix pull          # lr * (prox_mu * W at the start - correction), if there is any
    float *b
    float *db
    float *pull_b
    const float *input[MAX_CHUNK]   # (n_in,): what example e brings into the layer
    SparseRows inputs    # what is not 0 in it: rows of W
    float *a             # (MAX_CHUNK, n_out): activations, or class probabilities in the last layer
    float *g             # (MAX_CHUNK, n_out): -lr / B times the gradient of the loss by a


cdef inline int padded(int n) noexcept nogil:
    return (n + 15) // 16 * 16


cdef void list_nonzeros(Layer *layer, const float *x, const float *next, int which) noexcept nogil:
    """SPARSE: note in list ``which`` where x is not 0. A NaN is not 0 either: it is kept.

    next: the example that will be listed after x, if any; it is asked for from memory meanwhile.
    """
    cdef SparseRows *rows = &layer.inputs
    cdef int *row = rows.row + <Py_ssize_t>which * rows.stride
    cdef float *value = rows.value + <Py_ssize_t>which * rows.stride
    cdef int *border = rows.border + <Py_ssize_t>which * (layer.W.n_blocks + 1)
    cdef int block, found = 0
    for block in range(layer.W.n_blocks):
        border[block] = found
        found += simd.nonzeros(x, next, block * layer.W.block,
                               min(layer.n_in, (block + 1) * layer.W.block),
                               row + found, value + found)
    border[layer.W.n_blocks] = found


cdef inline int found_in(Layer *layer, int e, int block, Py_ssize_t *first) noexcept nogil:
    """How many inputs of example e are not 0 in this block; the place of the first in the lists."""
    cdef SparseRows *rows = &layer.inputs
    cdef int *border = rows.border + <Py_ssize_t>rows.list[e] * (layer.W.n_blocks + 1) + block
    first[0] = <Py_ssize_t>rows.list[e] * rows.stride + border[0]
    return border[1] - border[0]


cdef void multiply(Layer *layer, int n_examples) noexcept nogil:
    """a[e, :] += sum_i input[e, i] * W[i, :] for each example e: a matrix product."""
    cdef SparseRows *rows = &layer.inputs
    cdef int block, e, n, all_rows, stride = layer.W.stride
    cdef Py_ssize_t first, other
    cdef float *a
    for block in range(layer.W.n_blocks):        # BLOCKED: this block of the matrix stays in cache
        all_rows = min(layer.W.block, layer.n_in - block * layer.W.block)
        e = 0
        while e < n_examples:                    # while all examples pass by
            a = layer.a + <Py_ssize_t>e * stride
            n = found_in(layer, e, block, &first)
            if (stride >= WIDE and n == all_rows and e + 1 < n_examples
                    and found_in(layer, e + 1, block, &other) == n):    # PAIRED: the same rows
                simd.add_rows_pair(a, a + stride, stride, layer.W.data, rows.row + first,
                                   rows.value + first, rows.value + other, n)
                e += 2
            else:
                simd.add_rows(a, stride, layer.W.data, rows.row + first, rows.value + first, n)
                e += 1


cdef void add_outer(Layer *layer, int n_examples) noexcept nogil:
    """dW[i, :] += sum over e of input[e, i] * g[e, :]: the gradient of a matrix product."""
    cdef SparseRows *rows = &layer.inputs
    cdef int block, e, n
    cdef Py_ssize_t first, found = 0
    if layer.W.stride >= WIDE:
        for e in range(n_examples):
            found += rows.border[<Py_ssize_t>rows.list[e] * (layer.W.n_blocks + 1)
                                 + layer.W.n_blocks]
        if 3 * found > <Py_ssize_t>n_examples * layer.n_in:
            add_outer_paired(layer, n_examples)
            return
    for block in range(layer.W.n_blocks):        # BLOCKED, as above
        for e in range(n_examples):
            n = found_in(layer, e, block, &first)
            simd.add_to_rows(layer.dW.data, rows.row + first, rows.value + first, n,
                             layer.g + <Py_ssize_t>e * layer.W.stride, layer.W.stride)


cdef void add_outer_paired(Layer *layer, int n_examples) noexcept nogil:
    """The same sums, two rows of dW at a time: each is a weighted sum of the rows of g."""
    cdef int user[MAX_CHUNK]
    cdef float upper[MAX_CHUNK]
    cdef float lower[MAX_CHUNK]
    cdef int i, e, n, stride = layer.W.stride
    cdef float *row
    for i in range(0, layer.n_in, 2):
        row = layer.dW.data + <Py_ssize_t>i * stride
        n = 0
        for e in range(n_examples):              # written always, kept if not 0: no branch
            user[n] = e
            upper[n] = layer.input[e][i]
            lower[n] = layer.input[e][i + 1] if i + 1 < layer.n_in else 0
            n += (upper[n] != 0) | (lower[n] != 0)
        if i + 1 < layer.n_in:
            simd.add_rows_pair(row, row + stride, stride, layer.g, user, upper, lower, n)
        else:
            simd.add_rows(row, stride, layer.g, user, upper, n)


# ------------------------------------------------------------------------------------- local SGD

cdef void forward(Layer *layers, int n_layers, int n_examples) noexcept nogil:
    """a_1 = relu(x W_1 + b_1), ..., a_L = softmax(a_{L-1} W_L + b_L); x must have been listed."""
    cdef int l, e, j
    cdef Layer *layer
    cdef Layer *below
    cdef float *a
    for l in range(n_layers):
        layer = &layers[l]
        for e in range(n_examples):
            if l > 0:
                below = &layers[l - 1]
                layer.input[e] = below.a + <Py_ssize_t>e * below.W.stride
                layer.inputs.list[e] = e
                list_nonzeros(layer, layer.input[e], layer.input[e], e)
            memcpy(layer.a + <Py_ssize_t>e * layer.W.stride, layer.b,
                   layer.W.stride * sizeof(float))
        multiply(layer, n_examples)
        for e in range(n_examples):
            a = layer.a + <Py_ssize_t>e * layer.W.stride
            if l < n_layers - 1:
                for j in range(layer.n_out):
                    a[j] = 0 if a[j] < 0 else a[j]      # relu; written so that NaN stays NaN
            else:
                softmax(a, layer.n_out, layer.W.stride)


cdef void softmax(float *z, int n, int stride) noexcept nogil:
    """z <- exp(z) / sum(exp(z)); the largest is subtracted first, so that exp cannot overflow."""
    cdef float largest = z[0], total = 0
    cdef int j
    for j in range(1, n):
        largest = max(largest, z[j])
    simd.exps(z, largest, stride)
    for j in range(n):
        total += z[j]
    for j in range(n):
        z[j] /= total
    for j in range(n, stride):                           # PADDED
        z[j] = 0


cdef void backward(Layer *layers, int n_layers, const long long *labels, int n_examples,
                   float step) noexcept nogil:
    """g of every layer: step times the gradient of each example's loss by what enters its units.

    Last layer: g = step * (p - onehot(y)). Going down: g = (g W^T) where the ReLU was open.
    """
    cdef int l, e, j
    cdef Layer *layer = &layers[n_layers - 1]
    cdef float *a
    cdef float *g
    for e in range(n_examples):
        a = layer.a + <Py_ssize_t>e * layer.W.stride
        g = layer.g + <Py_ssize_t>e * layer.W.stride
        for j in range(layer.W.stride):
            g[j] = step * a[j]
        g[labels[e]] -= step
    for l in range(n_layers - 1, 0, -1):
        send_back(&layers[l], &layers[l - 1], n_examples)


cdef void send_back(Layer *layer, Layer *below, int n_examples) noexcept nogil:
    """below.g[e, i] = sum_j W[i, j] * g[e, j], where a of the layer below is not 0; else 0."""
    cdef int block, e, n
    cdef Py_ssize_t first
    memset(below.g, 0, <size_t>n_examples * below.W.stride * sizeof(float))
    for block in range(layer.W.n_blocks):                # BLOCKED; SPARSE: of open units only
        for e in range(n_examples):
            n = found_in(layer, e, block, &first)
            simd.dots(below.g + <Py_ssize_t>e * below.W.stride, layer.W.data,
                      layer.inputs.row + first, n, layer.g + <Py_ssize_t>e * layer.W.stride,
                      layer.W.stride)


cdef void add_gradients(Layer *layers, int n_layers, int n_examples) noexcept nogil:
    """dW += a^T g and db += g, summed over the chunk."""
    cdef int l, e, j
    cdef Layer *layer
    for l in range(n_layers):
        layer = &layers[l]
        add_outer(layer, n_examples)
        for e in range(n_examples):
            for j in range(layer.n_out):
                layer.db[j] += layer.g[<Py_ssize_t>e * layer.W.stride + j]


cdef void apply_large_batch(Layer *layers, int n_layers) noexcept nogil:
    """W += dW for batches that came in several chunks; dW is emptied for the next batch."""
    cdef int l
    for l in range(n_layers):
        add_and_clear(layers[l].W.data, layers[l].dW.data,
                      <Py_ssize_t>layers[l].n_in * layers[l].W.stride)
        add_and_clear(layers[l].b, layers[l].db, layers[l].W.stride)


cdef void add_and_clear(float *to, float *what, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] += what[i]
        what[i] = 0


cdef void pull_back(Layer *layers, int n_layers, float strength) noexcept nogil:
    """W += pull - strength * W, which is -lr * (prox_mu * (W - W_start) + correction)."""
    cdef int l
    for l in range(n_layers):
        add_pull(layers[l].W.data, layers[l].pull.data, strength,
                 <Py_ssize_t>layers[l].n_in * layers[l].W.stride)
        add_pull(layers[l].b, layers[l].pull_b, strength, layers[l].W.stride)


cdef void add_pull(float *w, const float *pull, float strength, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        w[i] += pull[i] - strength * w[i]


cdef bint all_finite(const float *x, Py_ssize_t n) noexcept nogil:
    """No NaN, no infinity: their exponent bits are all ones."""
    cdef const unsigned int *bits = <const unsigned int *>x
    cdef unsigned int bad = 0
    cdef Py_ssize_t i
    for i in range(n):
        bad |= (bits[i] & 0x7F800000u) == 0x7F800000u
    return not bad


def local_sgd(layer_sizes, const float[::1] params, const float[:, ::1] x,
              const long long[::1] y, const long long[::1] part, const long long[:, ::1] order,
              int batch_size, float lr, float[::1] out, float prox_mu=0,
              const float[::1] correction=None):
    """Mini-batch SGD from ``params`` on the rows ``part`` of x; the result goes to ``out``.

    For each epoch e and each batch of ``batch_size`` places in order[e] (the last may be smaller),
    from w = params on: w <- w - lr * (gradient of the mean cross-entropy over the rows part[batch]
    of x + prox_mu * (w - params) + correction). correction: (P,) float32, or None for zeros.

    layer_sizes: (784, 200, 10) and the like; params, out: (P,) float32, may be the same array;
    x: (n, features) float32; y: (n,) int64; part: (m,) int64, the client's rows of x; order:
    (epochs, visits) int64, places in ``part``. Read-only arrays are fine, none is kept. Sums over
    a batch run in the order of the visits; sums over inputs run in order of the index, in up to
    eight partial sums. Returns 0, or the 1-based epoch after which a parameter was not finite
    (training stops there). Raises ValueError for an array of the wrong size, a row, a place or a
    label out of range; MemoryError.
    """
    cdef Py_ssize_t epoch, start, n_visits = order.shape[1], n_rows = part.shape[0]
    cdef int n_batch, result = 0
    cdef Workspace work
    check_sizes(layer_sizes, params, x, y, part, order, batch_size, out)
    if correction is not None and correction.shape[0] != params.shape[0]:
        raise ValueError(
            f"correction must have {params.shape[0]} numbers, got {correction.shape[0]}")
    work = take_workspace(tuple(layer_sizes), min(batch_size, n_visits) > MAX_CHUNK,
                          prox_mu != 0 or correction is not None,
                          n_rows if order.shape[0] > 1 and n_rows * x.shape[1] <= KEEP else 0)
    with nogil:
        work.load(params)
        if work.pulled:
            work.load_pull(params, correction, lr, prox_mu)
        for epoch in range(order.shape[0]):
            start = 0
            while start < n_visits:
                n_batch = <int>min(batch_size, n_visits - start)
                step_of_batch(work, x, y, part, &order[epoch, start], n_batch, n_visits - start, lr)
                start += n_batch
            if not work.all_finite():
                result = <int>(epoch + 1)
                break
        work.store(out)
    if result == 0:                       # after NaN the padding is no longer 0: throw it away
        _spare.append(work)
    return result


cdef void step_of_batch(Workspace work, const float[:, ::1] x, const long long[::1] y,
                        const long long[::1] part, const long long *places, int n_batch,
                        Py_ssize_t n_left, float lr) noexcept nogil:
    """One step of SGD: W += -lr * gradient of the mean loss over the rows part[places] of x.

    n_batch: so many places are in the batch; n_left: so many are left in the epoch.
    """
    cdef long long labels[MAX_CHUNK]
    cdef long long place, row, next
    cdef int e, n_chunk, start = 0
    cdef Layer *first = &work.layers[0]
    while start < n_batch:
        n_chunk = min(<int>MAX_CHUNK, n_batch - start)
        for e in range(n_chunk):
            place = places[start + e]
            row = part[place]
            labels[e] = y[row]
            first.input[e] = &x[row, 0]
            first.inputs.list[e] = <int>place if work.keeps_lists else e
            if not (work.keeps_lists and work.listed[place]):
                next = part[places[min(<Py_ssize_t>(start + e + 1), n_left - 1)]]
                list_nonzeros(first, &x[row, 0], &x[next, 0], first.inputs.list[e])
                if work.keeps_lists:
                    work.listed[place] = True
        forward(work.layers, work.n_layers, n_chunk)
        backward(work.layers, work.n_layers, labels, n_chunk, -lr / n_batch)
        start += n_chunk
        if work.pulled and start == n_batch:             # W is not needed any more as it was
            pull_back(work.layers, work.n_layers, work.strength)
        add_gradients(work.layers, work.n_layers, n_chunk)
    if work.large_batch:
        apply_large_batch(work.layers, work.n_layers)


def predict_proba(layer_sizes, const float[::1] params, const float[:, ::1] x,
                  float[:, ::1] out):
    """out[i, :] = class probabilities of x[i, :], by ``forward``.

    layer_sizes: (784, 200, 10) and the like; params: (P,) float32; x: (n, features) float32;
    out: (n, classes) float32, written. Read-only arrays are fine. Raises ValueError for an array
    of the wrong size; MemoryError.
    """
    cdef Py_ssize_t start = 0, n = x.shape[0]
    cdef int e, n_chunk, n_layers = len(layer_sizes) - 1
    cdef Workspace work
    cdef Layer *first
    cdef Layer *last
    check_layers(layer_sizes, params, x)
    if out.shape[0] != n or out.shape[1] != layer_sizes[n_layers]:
        raise ValueError(f"out must have shape ({n}, {layer_sizes[n_layers]}), "
                         f"got ({out.shape[0]}, {out.shape[1]})")
    work = take_workspace(tuple(layer_sizes), False, False, 0)
    first, last = &work.layers[0], &work.layers[n_layers - 1]
    with nogil:
        work.load(params)
        while start < n:
            n_chunk = <int>min(<Py_ssize_t>MAX_CHUNK, n - start)
            for e in range(n_chunk):
                first.inputs.list[e] = e
                list_nonzeros(first, &x[start + e, 0], &x[min(start + e + 1, n - 1), 0], e)
            forward(work.layers, n_layers, n_chunk)
            for e in range(n_chunk):
                memcpy(&out[start + e, 0], last.a + <Py_ssize_t>e * last.W.stride,
                       last.n_out * sizeof(float))
            start += n_chunk
    if all_finite(&params[0], params.shape[0]):   # else NaN may stand in the padding: throw away
        _spare.append(work)


def clipped_gradient_sum(layer_sizes, const float[::1] params, const float[:, ::1] x,
                         const long long[::1] y, const long long[::1] rows, double clip_norm,
                         float[::1] out, double[::1] norms):
    """out = sum over the rows i of min(1, clip_norm / norms[i]) * gradient of the loss of x[i].

    norms[i] is the L2 norm of that gradient over all layers. No gradient is written down for it: in
    a layer it is the outer product of the input a (and 1, for the bias) with g, so that its squared
    norm is (|a|^2 + 1) * |g|^2; clipping it is scaling g.

    layer_sizes: (784, 200, 10) and the like; params: (P,) float32; x: (n, features) float32; y:
    (n,) int64; rows: (m,) int64, m may be 0; out: (P,) float32 and norms: (m,) float64, written.
    Read-only arrays are fine. Sums run in the order of the rows, in float32; norms in float64. A
    row whose gradient is not finite gives a NaN or infinite norm. Raises ValueError for an array
    of the wrong size, a row or a label out of range; MemoryError.
    """
    cdef Py_ssize_t start = 0, n = rows.shape[0]
    cdef int e, n_chunk
    cdef long long labels[MAX_CHUNK]
    cdef Workspace work
    cdef Layer *first
    check_layers(layer_sizes, params, x)
    check_rows("rows", rows, x, y, layer_sizes[len(layer_sizes) - 1])
    if out.shape[0] != params.shape[0] or norms.shape[0] != n:
        raise ValueError(f"out and norms must have {params.shape[0]} and {n} numbers, "
                         f"got {out.shape[0]} and {norms.shape[0]}")
    work = take_workspace(tuple(layer_sizes), True, False, 0)
    first = &work.layers[0]
    with nogil:
        work.load(params)
        while start < n:
            n_chunk = <int>min(<Py_ssize_t>MAX_CHUNK, n - start)
            for e in range(n_chunk):
                labels[e] = y[rows[start + e]]
                first.input[e] = &x[rows[start + e], 0]
                first.inputs.list[e] = e
                list_nonzeros(first, first.input[e], first.input[e], e)
            forward(work.layers, work.n_layers, n_chunk)
            backward(work.layers, work.n_layers, labels, n_chunk, 1)
            for e in range(n_chunk):
                norms[start + e] = clip(work.layers, work.n_layers, e, clip_norm)
            add_gradients(work.layers, work.n_layers, n_chunk)
            start += n_chunk
        work.store_steps(out)
    if all_finite(&params[0], params.shape[0]) and all_finite(&out[0], out.shape[0]):
        _spare.append(work)


cdef double clip(Layer *layers, int n_layers, int e, double clip_norm) noexcept nogil:
    """Scale g of example e so that its gradient's norm is at most clip_norm; returns the norm."""
    cdef int l, j
    cdef double norm = 0
    cdef float scale
    for l in range(n_layers):
        norm += ((squared_norm(layers[l].input[e], layers[l].n_in) + 1)
                 * squared_norm(layers[l].g + <Py_ssize_t>e * layers[l].W.stride, layers[l].n_out))
    norm = sqrt(norm)
    if not norm <= clip_norm:                            # so written, NaN is scaled and comes out
        scale = <float>(clip_norm / norm)
        for l in range(n_layers):
            for j in range(layers[l].n_out):
                layers[l].g[<Py_ssize_t>e * layers[l].W.stride + j] *= scale
    return norm


cdef double squared_norm(const float *x, int n) noexcept nogil:
    """Sum of x[i]^2 in float64, in eight partial sums, so that none waits for the one before."""
    cdef double part[8]
    cdef int i, j
    for j in range(8):
        part[j] = 0
    for i in range(0, n - 7, 8):
        for j in range(8):
            part[j] += <double>x[i + j] * x[i + j]
    for i in range(n // 8 * 8, n):
        part[0] += <double>x[i] * x[i]
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]))


cdef check_layers(layer_sizes, const float[::1] params, const float[:, ::1] x):
    """ValueError unless params and x have the sizes that layer_sizes says."""
    cdef Py_ssize_t n_params = 0
    if len(layer_sizes) < 2 or min(layer_sizes) < 1:
        raise ValueError(f"layer_sizes must be two or more positive numbers, got {layer_sizes}")
    for n_in, n_out in zip(layer_sizes, layer_sizes[1:]):
        n_params += (n_in + 1) * n_out
    if params.shape[0] != n_params:
        raise ValueError(f"params must have {n_params} numbers, got {params.shape[0]}")
    if x.shape[1] != layer_sizes[0]:
        raise ValueError(f"x must have {layer_sizes[0]} columns, got {x.shape[1]}")


cdef check_sizes(layer_sizes, const float[::1] params, const float[:, ::1] x,
                 const long long[::1] y, const long long[::1] part,
                 const long long[:, ::1] order, int batch_size, float[::1] out):
    """What memory safety needs, checked here too, whoever calls. ValueError names the argument."""
    cdef Py_ssize_t i, j, n_classes = layer_sizes[len(layer_sizes) - 1] if layer_sizes else 0
    check_layers(layer_sizes, params, x)
    if out.shape[0] != params.shape[0]:
        raise ValueError(f"out must have {params.shape[0]} numbers, got {out.shape[0]}")
    if batch_size < 1 or order.shape[0] < 1 or order.shape[1] < 1:
        raise ValueError("batch_size and both sides of order must be at least 1")
    check_rows("part", part, x, y, n_classes)
    for i in range(order.shape[0]):
        for j in range(order.shape[1]):
            if not 0 <= order[i, j] < part.shape[0]:
                raise ValueError(
                    f"order must hold places 0 to {part.shape[0] - 1}, got {order[i, j]}")


cdef check_rows(name, const long long[::1] rows, const float[:, ::1] x, const long long[::1] y,
                Py_ssize_t n_classes):
    """ValueError unless every row is one of x and has a label that is a class."""
    cdef Py_ssize_t i
    if y.shape[0] != x.shape[0]:
        raise ValueError(f"y must have {x.shape[0]} labels, got {y.shape[0]}")
    for i in range(rows.shape[0]):
        if not 0 <= rows[i] < x.shape[0]:
            raise ValueError(f"{name} must hold rows 0 to {x.shape[0] - 1}, got {rows[i]}")
        if not 0 <= y[rows[i]] < n_classes:
            raise ValueError(f"y must hold classes 0 to {n_classes - 1}, got {y[rows[i]]}")


include "_workspace.pxi"
include "_steps.pxi"
