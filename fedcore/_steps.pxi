# Steps on the way to ``_kernels.pyx``, which includes this file: for the notebook
# ``inside_the_kernel``, nothing else calls them.

def product_naive(const float[:, ::1] x, const float[:, ::1] W, float[:, ::1] out):
    """out = x W as the formula has it, number by number. For ``inside_the_kernel``, nowhere else.

    x: (n, features); W: (features, units); out: (n, units), written; all float32. ValueError if
    the shapes don't fit. ``product_by_rows`` gives the same in the order of all other loops here.
    """
    cdef Py_ssize_t e, i, j
    cdef float total
    check_product(x, W, out)
    with nogil:
        for e in range(x.shape[0]):
            for j in range(W.shape[1]):
                total = 0
                for i in range(x.shape[1]):      # walks down a column: a new cache line each time
                    total += x[e, i] * W[i, j]
                out[e, j] = total


def product_by_rows(const float[:, ::1] x, const float[:, ::1] W, float[:, ::1] out,
                    bint skip_zeros):
    """out[e, :] = sum_i x[e, i] * W[i, :]: along the rows, where skip_zeros only those needed."""
    cdef Py_ssize_t e, i, j
    check_product(x, W, out)
    with nogil:
        for e in range(x.shape[0]):
            memset(&out[e, 0], 0, W.shape[1] * sizeof(float))
            for i in range(x.shape[1]):
                if skip_zeros and x[e, i] == 0:
                    continue
                for j in range(W.shape[1]):
                    out[e, j] += x[e, i] * W[i, j]


cdef check_product(const float[:, ::1] x, const float[:, ::1] W, float[:, ::1] out):
    if x.shape[1] != W.shape[0] or out.shape[0] != x.shape[0] or out.shape[1] != W.shape[1]:
        raise ValueError(f"out = x W: got shapes ({out.shape[0]}, {out.shape[1]}) = "
                         f"({x.shape[0]}, {x.shape[1]}) ({W.shape[0]}, {W.shape[1]})")
    if out.shape[1] == 0:
        raise ValueError("W must have at least one column, got 0")
