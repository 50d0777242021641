"""Each check accepts what it should and names what it refuses."""

import pytest
import torch

from neighborgraph.checks import (
    FLOAT_DTYPES,
    INDEX_DTYPES,
    expect_dtype,
    expect_same_device,
    expect_same_tensors,
    expect_shape,
    expect_tensor,
    nearest,
)
from neighborgraph.errors import CheckpointError, DeviceError, DtypeError, InputError


def test_tensor() -> None:
    expect_tensor("x", torch.ones(1))
    expect_tensor("x", torch.nn.Parameter(torch.ones(1)))
    with pytest.raises(DtypeError, match=r"^x must be a torch.Tensor, got list$"):
        expect_tensor("x", [1.0])


def test_dtype() -> None:
    for dtype in FLOAT_DTYPES:
        expect_dtype("x", torch.ones(1, dtype=dtype), FLOAT_DTYPES)
    message = r"^idx must be one of int32, int64, got float16; convert it with idx.to\(...\)$"
    with pytest.raises(DtypeError, match=message):
        expect_dtype("idx", torch.ones(1).half(), INDEX_DTYPES)


@pytest.mark.parametrize("shape", [(2, 3), ("n", 3), (2, "d"), ("n", "d")])
def test_shape(shape: tuple[int | str, ...]) -> None:
    expect_shape("x", torch.ones(2, 3), shape)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2, 4), r"\[2, 4\]"),
        (("n", 4), r"\[n, 4\]"),
        (("n",), r"\[n\]"),
        ((2, 3, "d"), r"\[2, 3, d\]"),
        ((), r"\[\]"),
    ],
)
def test_another_shape(shape: tuple[int | str, ...], text: str) -> None:
    with pytest.raises(InputError, match=rf"^x must have shape {text}, got \[2, 3\]$"):
        expect_shape("x", torch.ones(2, 3), shape)


def test_shape_says_what_it_means() -> None:
    with pytest.raises(InputError, match=r"shape \[7\] \(one weight per edge\), got \[2\]"):
        expect_shape("w", torch.ones(2), (7,), "one weight per edge")


def test_same_device() -> None:
    here, there = torch.ones(1), torch.ones(1, device="meta")
    expect_same_device(x=here, y=None, z=here)
    with pytest.raises(DeviceError, match=r"^x is on cpu but z is on meta; move one with .to"):
        expect_same_device(x=here, y=here, z=there)
    with pytest.raises(DeviceError, match=r"^y is on meta but z is on cpu"):
        expect_same_device(x=None, y=there, z=here)


def test_same_tensors() -> None:
    wanted = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}
    expect_same_tensors("model", dict(wanted), wanted)
    with pytest.raises(CheckpointError, match=r"another model: bias are not in both"):
        expect_same_tensors("model", {"weight": wanted["weight"]}, wanted)
    other = wanted | {"bias": torch.ones(2).double()}
    message = r"another memory: bias is \[2\] torch.float64 there and \[2\] torch.float32 here"
    with pytest.raises(CheckpointError, match=message):
        expect_same_tensors("memory", other, wanted)


def test_nearest() -> None:
    assert nearest("citseer", ["cora", "citeseer", "pubmed"]) == "; did you mean 'citeseer'?"
    assert nearest("xyz", ["cora", "citeseer"]) == ""
    assert nearest("cora", []) == ""
