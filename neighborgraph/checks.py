"""Argument checks with one wording: argument, what was found, where, and what is allowed."""

import difflib
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

from neighborgraph.errors import CheckpointError, DeviceError, DtypeError, InputError

FLOAT_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INDEX_DTYPES = (torch.int32, torch.int64)


def expect_tensor(name: str, value: object) -> None:
    """Refuse anything but a tensor."""
    if not isinstance(value, Tensor):
        raise DtypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")


def expect_dtype(name: str, tensor: Tensor, allowed: Collection[torch.dtype]) -> None:
    """Refuse a dtype outside ``allowed``; nothing is converted silently."""
    if tensor.dtype not in allowed:
        names = ", ".join(str(d).removeprefix("torch.") for d in allowed)
        found = str(tensor.dtype).removeprefix("torch.")
        raise DtypeError(
            f"{name} must be one of {names}, got {found}; convert it with {name}.to(...)"
        )


def expect_shape(name: str, tensor: Tensor, shape: Iterable[int | str], meaning: str = "") -> None:
    """Refuse another shape; a string in ``shape`` is a free dimension, named for the message."""
    wanted, found = tuple(shape), tensor.shape
    if len(wanted) == len(found):
        for w, s in zip(wanted, found, strict=True):
            if w != s and not isinstance(w, str):
                break
        else:
            return
    text = ", ".join(map(str, wanted))
    hint = f" ({meaning})" if meaning else ""
    raise InputError(f"{name} must have shape [{text}]{hint}, got {list(found)}")


def expect_same_device(**tensors: Tensor | None) -> None:
    """Refuse tensors on different devices, naming the first two that differ."""
    present = [(name, t.device) for name, t in tensors.items() if t is not None]
    first_name, first = present[0]
    for name, device in present[1:]:
        if device != first:
            raise DeviceError(
                f"{first_name} is on {first} but {name} is on {device}; move one with .to(...)"
            )


def expect_same_tensors(
    owner: str, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    """Refuse the checkpoint of another model or memory, naming the tensors that differ."""
    if saved.keys() != wanted.keys():
        names = sorted(saved.keys() ^ wanted.keys())[:10]
        raise CheckpointError(
            f"the checkpoint belongs to another {owner}: {', '.join(names)} are not in both"
        )
    for name, tensor in wanted.items():
        there = saved[name]
        if there.shape != tensor.shape or there.dtype != tensor.dtype:
            raise CheckpointError(
                f"the checkpoint belongs to another {owner}: {name} is {list(there.shape)} "
                f"{there.dtype} there and {list(tensor.shape)} {tensor.dtype} here"
            )


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the closest known word, else an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {match[0]!r}?" if match else ""
