"""Parts of CPU kernels: what they compute, and that their code can be kept."""

from typing import Any

import numpy as np

from neighborgraph.jit import numba_kernel
from neighborgraph.jit.numba_inline import inlined, prefetch
from neighborgraph.jit.numba_kernel import numba_kernel as kernel


@inlined
def doubled(x):
    return 2 * x


@kernel
def gather_rows(begin, end, ptr, idx, features, out):
    for i in range(begin, end):
        for t in range(ptr[i], ptr[i + 1]):
            prefetch(features, np.int64(idx[t]), 0)
            out[i] += doubled(features[idx[t], 0])


def test_parts_are_compiled_into_a_kernel() -> None:
    features = np.arange(12, dtype=np.float32).reshape(6, 2)[::2]  # rows with gaps between
    ptr, idx, out = np.array([0, 2, 3]), np.array([2, 0, 1], np.int32), np.zeros(2, np.float32)
    numba_kernel.run_rows(gather_rows, ptr, idx, features, out)
    assert out.tolist() == [16.0, 8.0]


def test_a_kernel_of_parts_can_be_kept_on_disk() -> None:
    compiled: Any = gather_rows
    description = numba_kernel._description(compiled.py_func)
    assert description is not None
    # A changed part is another kernel.
    assert "doubled" in description
    assert "cache_line" in description
