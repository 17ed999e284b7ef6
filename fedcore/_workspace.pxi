# The memory of ``_kernels.pyx``, which includes this file: where every array of a call stands.
#
# A call needs padded copies of the weights, lists and scratch. They are taken in one piece, laid out
# one after the other, and kept for the next call of the same shape. No arithmetic is done here.

_spare = []    # workspaces for the next call: fresh memory costs more than training one softmax


cdef Workspace take_workspace(tuple layer_sizes, bint large_batch, bint pulled, Py_ssize_t n_kept):
    """A spare workspace of the right shape, or a new one; those of another shape are given up."""
    cdef Workspace work
    while _spare:
        try:
            work = _spare.pop()
        except IndexError:                # another thread took the last one
            break
        if (work.layer_sizes == layer_sizes and work.large_batch == large_batch
                and work.pulled == pulled and work.n_lists >= n_kept):
            work.forget_lists(n_kept)
            return work
    work = Workspace(layer_sizes, large_batch, pulled, max(n_kept, <Py_ssize_t>MAX_CHUNK))
    work.forget_lists(n_kept)
    return work


cdef class Workspace:
    """The memory of one call, taken in one piece: padded copies of the weights, and scratch."""

    cdef Layer *layers
    cdef char *memory
    cdef char *listed            # (n_lists,): is the list of this place of ``part`` made already?
    cdef int n_layers
    cdef Py_ssize_t n_lists      # room for so many lists in the first layer
    cdef bint keeps_lists
    cdef readonly tuple layer_sizes
    cdef readonly bint large_batch
    cdef readonly bint pulled    # by FedProx or a correction: memory for that too
    cdef float strength          # lr * prox_mu

    def __cinit__(self, tuple layer_sizes, bint large_batch, bint pulled, Py_ssize_t n_lists):
        cdef int l
        cdef size_t needed
        self.layer_sizes = layer_sizes
        self.n_layers = len(layer_sizes) - 1
        self.large_batch = large_batch
        self.pulled = pulled
        self.n_lists = n_lists
        self.layers = <Layer *>calloc(self.n_layers, sizeof(Layer))
        if self.layers == NULL:
            raise MemoryError("local_sgd: no memory for the layers")
        for l in range(self.n_layers):
            self.layers[l].n_in = layer_sizes[l]
            self.layers[l].n_out = layer_sizes[l + 1]
        needed = self.lay_out(NULL)                     # a dry run counts the bytes
        self.memory = <char *>calloc(needed + ALIGN, 1)
        if self.memory == NULL:
            raise MemoryError(f"local_sgd: no memory for {needed} bytes of workspace")
        self.lay_out(self.memory + (ALIGN - <size_t>self.memory % ALIGN))

    cdef void forget_lists(self, Py_ssize_t n_kept) noexcept:
        """The next call has other examples: their lists are not made yet."""
        self.keeps_lists = n_kept > 0
        memset(self.listed, 0, self.n_lists)

    def __dealloc__(self):
        free(self.layers)
        free(self.memory)

    cdef size_t lay_out(self, char *memory) noexcept:
        """Point every array of every layer into ``memory``; returns the bytes used."""
        cdef int l
        cdef size_t used = 0
        cdef Layer *layer
        used = place(<void **>&self.listed, (self.n_lists + 3) // 4, memory, used)
        for l in range(self.n_layers):
            layer = &self.layers[l]
            used = place_matrix(&layer.W, layer.n_in, layer.n_out, memory, used)
            used = place(<void **>&layer.b, layer.W.stride, memory, used)
            used = place(<void **>&layer.a, MAX_CHUNK * layer.W.stride, memory, used)
            used = place(<void **>&layer.g, MAX_CHUNK * layer.W.stride, memory, used)
            used = place_rows(&layer.inputs, &layer.W, MAX_CHUNK if l else self.n_lists, memory,
                              used)
            layer.dW, layer.db = layer.W, layer.b
            if self.large_batch:
                used = place_matrix(&layer.dW, layer.n_in, layer.n_out, memory, used)
                used = place(<void **>&layer.db, layer.W.stride, memory, used)
            if self.pulled:
                used = place_matrix(&layer.pull, layer.n_in, layer.n_out, memory, used)
                used = place(<void **>&layer.pull_b, layer.W.stride, memory, used)
        return used

    cdef bint all_finite(self) noexcept nogil:
        cdef int l
        cdef bint good = True
        for l in range(self.n_layers):
            good &= all_finite(self.layers[l].W.data,
                               <Py_ssize_t>self.layers[l].n_in * self.layers[l].W.stride)
            good &= all_finite(self.layers[l].b, self.layers[l].n_out)
        return good

    cdef void load(self, const float[::1] params) noexcept nogil:
        """Copy the flat vector into the padded matrices."""
        cdef int l
        cdef const float *at = &params[0]
        for l in range(self.n_layers):
            at = unpack(at, &self.layers[l], &self.layers[l].W, self.layers[l].b)

    cdef void load_pull(self, const float[::1] params, const float[::1] correction, float lr,
                        float prox_mu) noexcept nogil:
        """pull = lr * (prox_mu * params - correction), padded like W: one read a step, not two."""
        cdef int l, i, j
        cdef Py_ssize_t at = 0
        cdef Layer *layer
        cdef float *row
        cdef bint corrected = correction is not None
        self.strength = lr * prox_mu
        for l in range(self.n_layers):
            layer = &self.layers[l]
            for i in range(layer.n_in + 1):
                row = layer.pull.data + <Py_ssize_t>i * layer.pull.stride
                if i == layer.n_in:
                    row = layer.pull_b
                for j in range(layer.n_out):
                    row[j] = self.strength * params[at]
                    if corrected:
                        row[j] -= lr * correction[at]
                    at += 1

    cdef void store(self, float[::1] out) noexcept nogil:
        """Copy the padded matrices back into the flat vector."""
        cdef int l
        cdef float *at = &out[0]
        for l in range(self.n_layers):
            at = pack(at, &self.layers[l], &self.layers[l].W, self.layers[l].b)

    cdef void store_steps(self, float[::1] out) noexcept nogil:
        """Copy the added-up dW and db into the flat vector, and empty them for the next call."""
        cdef int l
        cdef float *at = &out[0]
        cdef Layer *layer
        for l in range(self.n_layers):
            layer = &self.layers[l]
            at = pack(at, layer, &layer.dW, layer.db)
            memset(layer.dW.data, 0, <size_t>layer.n_in * layer.dW.stride * sizeof(float))
            memset(layer.db, 0, layer.dW.stride * sizeof(float))


cdef const float *unpack(const float *at, Layer *layer, Matrix *matrix, float *b) noexcept nogil:
    """The layer's part of the flat vector, W row by row and then b; returns where it ends."""
    cdef int i
    for i in range(layer.n_in):
        memcpy(matrix.data + <Py_ssize_t>i * matrix.stride, at, layer.n_out * sizeof(float))
        at += layer.n_out
    memcpy(b, at, layer.n_out * sizeof(float))
    return at + layer.n_out


cdef float *pack(float *at, Layer *layer, Matrix *matrix, const float *b) noexcept nogil:
    """The inverse of ``unpack``."""
    cdef int i
    for i in range(layer.n_in):
        memcpy(at, matrix.data + <Py_ssize_t>i * matrix.stride, layer.n_out * sizeof(float))
        at += layer.n_out
    memcpy(at, b, layer.n_out * sizeof(float))
    return at + layer.n_out


cdef size_t place(void **pointer, size_t n, char *memory, size_t used) noexcept:
    """Give ``pointer`` room for n 4-byte numbers after ``used`` bytes; returns the new used."""
    pointer[0] = NULL if memory == NULL else memory + used
    return used + (n * 4 + ALIGN - 1) // ALIGN * ALIGN


cdef size_t place_matrix(Matrix *matrix, int rows, int columns, char *memory, size_t used) noexcept:
    matrix.rows = rows
    matrix.stride = padded(columns)
    matrix.block = max(1, CACHE // (4 * matrix.stride))
    if rows <= 2 * matrix.block + 64:                  # nearly fits: one block, fewer calls
        matrix.block = rows
    matrix.n_blocks = (rows + matrix.block - 1) // matrix.block
    return place(<void **>&matrix.data, <size_t>rows * matrix.stride, memory, used)


cdef size_t place_rows(SparseRows *rows, Matrix *matrix, Py_ssize_t n_lists, char *memory,
                       size_t used) noexcept:
    rows.stride = matrix.rows + 16
    used = place(<void **>&rows.row, <size_t>n_lists * rows.stride, memory, used)
    used = place(<void **>&rows.value, <size_t>n_lists * rows.stride, memory, used)
    return place(<void **>&rows.border, <size_t>n_lists * (matrix.n_blocks + 1), memory, used)
