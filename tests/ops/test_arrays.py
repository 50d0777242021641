"""Tensors as numpy arrays: widened once, without gaps, without a copy where none is needed."""

import numpy as np
import pytest
import torch

from neighborgraph.ops.arrays import empty, factors, wide

WIDE = {
    torch.float64: np.float64,
    torch.float32: np.float32,
    torch.float16: np.float32,
    torch.bfloat16: np.float32,
}


@pytest.mark.parametrize("dtype", WIDE, ids=str)
def test_wide_keeps_every_value(dtype: torch.dtype) -> None:
    features = torch.randn(3, 8).to(dtype)[:, ::2]
    array = wide(features)
    assert array.dtype == WIDE[dtype]
    assert array.flags.c_contiguous
    assert torch.equal(torch.from_numpy(array).to(dtype), features)


def test_wide_shares_memory_with_what_is_wide_already() -> None:
    features = torch.randn(3, 4, requires_grad=True)
    assert wide(features).ctypes.data == features.data_ptr()


@pytest.mark.parametrize("dtype", WIDE, ids=str)
def test_an_absent_factor_has_size_zero(dtype: torch.dtype) -> None:
    like = torch.zeros(2, 3, dtype=dtype)
    present = torch.arange(6.0)[::2]
    first, second = factors(like, None, present)
    assert first.size == 0
    assert first.dtype == WIDE[dtype]
    assert second.tolist() == [0.0, 2.0, 4.0]
    assert second.flags.c_contiguous


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_empty_is_filled_with_nan_where_torch_fills(dtype: torch.dtype) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        made = empty(3, 4, dtype=dtype)
    finally:
        torch.use_deterministic_algorithms(False)
    assert (made.shape, made.dtype) == ((3, 4), dtype)
    assert made.isnan().all()
    assert empty(0, 4, dtype=dtype).shape == (0, 4)
