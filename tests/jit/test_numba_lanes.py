"""Lanes against numpy: arithmetic, loads at every place of a row, sums, and the digits of exp."""

from typing import Any

import numpy as np
import pytest

from neighborgraph.jit.numba_kernel import _description, numba_kernel
from neighborgraph.jit.numba_lanes import (
    HIGHEST,
    LANES,
    LOWEST,
    as_int64,
    choose,
    exp,
    first,
    fma,
    gather,
    largest_number,
    load,
    put,
    spread,
    store,
    total_of,
)

FLOATS = [np.float32, np.float64]


@numba_kernel
def copy_row(features, row, begin, out):
    store(out, (row, begin), load(features, (row, begin)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("begin", [0, 1, 3, 16, 17, 20])
@pytest.mark.parametrize("width", [1, 5, 15, 16, 17, 40])
def test_loads_and_stores_end_with_their_row(dtype: type, begin: int, width: int) -> None:
    features = np.arange(3 * width, dtype=dtype).reshape(3, width)
    out = np.full_like(features, -1)
    expected = out.copy()
    if begin < width:
        expected[1, begin : begin + LANES] = features[1, begin : begin + LANES]
        copy_row(features, 1, begin, out)
    assert np.array_equal(out, expected)


@numba_kernel
def total_and_largest(features, out):
    lanes = load(features, (0,))
    out[0] = total_of(lanes)
    out[1] = largest_number(lanes)


@pytest.mark.parametrize("dtype", FLOATS)
def test_lanes_behind_the_end_are_zero(dtype: type) -> None:
    memory = np.arange(1, 2 * LANES, dtype=dtype)
    out = np.empty(2, dtype)
    total_and_largest(memory[:3], out)
    assert out.tolist() == [6.0, 3.0]
    total_and_largest(-memory[:3], out)
    assert out.tolist() == [-6.0, 0.0]


@numba_kernel
def arithmetic(a, b, out):
    x, y = load(a, (0,)), load(b, (0,))
    store(out, (0, 0), x + y * 2 - 1)
    store(out, (1, 0), fma(x, y, spread(a[0])))
    store(out, (2, 0), choose(x > y, x, 0))
    store(out, (3, 0), choose((x == y) | (x < 0), 1, y))
    store(out, (4, 0), choose(first(3) & (x >= -100), x, y))
    store(out, (5, 0), put(x, 2, 7))


@pytest.mark.parametrize("dtype", FLOATS)
def test_arithmetic_comparisons_and_choices(dtype: type) -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(-4, 5, (2, LANES)).astype(dtype)
    out = np.empty((6, LANES), dtype)
    arithmetic(a, b, out)
    few = np.arange(LANES) < 3
    changed = a.copy()
    changed[2] = 7
    expected = [
        a + b * 2 - 1,
        a * b + a[0],
        np.where(a > b, a, 0),
        np.where((a == b) | (a < 0), 1, b),
        np.where(few, a, b),
        changed,
    ]
    assert np.array_equal(out, np.array(expected))


@numba_kernel
def equal_and_unequal(a, out):
    x = load(a, (0,))
    store(out, (0, 0), choose(x == x, 1, spread(a[0]) * 0))
    store(out, (1, 0), choose(x != x, 1, spread(a[0]) * 0))


def test_nan_equals_nothing() -> None:
    a = np.ones(LANES, np.float32)
    a[5] = np.nan
    out = np.empty((2, LANES), np.float32)
    equal_and_unequal(a, out)
    assert np.array_equal(out, np.array([a == a, a != a], np.float32))


@numba_kernel
def gather_some(features, rows, count, out):
    store(out, (0,), gather(features, as_int64(load(rows, (0,))), (1, 2), first(count)))
    store(out, (LANES,), gather(features, 3, (0, 1), first(count)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_gathers_read_only_what_the_mask_allows(dtype: type) -> None:
    features = np.random.default_rng(0).normal(size=(9, 2, 3)).astype(dtype)
    rows = np.full(LANES, 2**30, np.int32)
    rows[:4] = 8, 0, 3, 3
    out = np.empty(2 * LANES, dtype)
    gather_some(features, rows, 4, out)
    assert np.array_equal(out[:4], features[rows[:4], 1, 2])
    assert not out[4:LANES].any()
    assert (out[LANES:] == features[3, 0, 1]).all()


@numba_kernel
def exp_of(x, out):
    for place in range(0, x.size, LANES):
        store(out, (place,), exp(load(x, (place,))))


def test_exp_has_two_wrong_units_in_the_last_place_at_most() -> None:
    x = np.linspace(LOWEST, HIGHEST, 3_000_001, dtype=np.float32)
    out = np.empty_like(x)
    exp_of(x, out)
    exact = np.exp(x.astype(np.float64))
    unit = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert (np.abs(out - exact) / unit).max() <= 2
    small = np.linspace(-1e-3, 1e-3, 100_001, dtype=np.float32)
    out = np.empty_like(small)
    exp_of(small, out)
    assert np.abs(out / np.exp(small.astype(np.float64)) - 1).max() <= 2**-23


@pytest.mark.parametrize("dtype", FLOATS)
def test_exp_at_the_ends_of_its_range(dtype: type) -> None:
    x = np.array([-np.inf, -1e30, -120.0, 0.0, -0.0, np.inf, np.nan], dtype)
    out = np.empty_like(x)
    exp_of(x, out)
    expected = np.exp(x.astype(np.float64))
    expected[2] = 0 if dtype == np.float32 else expected[2]
    assert np.allclose(out, expected, rtol=1e-14, atol=0, equal_nan=True)
    assert (out[3], out[5]) == (1, np.inf)


def test_what_is_too_small_for_float32_is_zero() -> None:
    x = np.array([-87.32, -87.34, -103.0], np.float32)
    out = np.empty_like(x)
    exp_of(x, out)
    assert out[0] > np.finfo(np.float32).tiny
    assert out[1:].tolist() == [0, 0]


def test_code_of_lanes_can_be_kept_on_disk() -> None:
    kernel: Any = exp_of
    description = _description(kernel.py_func)
    assert description is not None
    assert "exp_float32" in description
