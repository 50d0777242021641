"""topk: the best items of each user, without a matrix of users times items."""

import torch
from torch import Tensor

from neighborgraph.checks import (
    INDEX_DTYPES,
    expect_dtype,
    expect_same_device,
    expect_shape,
    expect_tensor,
)
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.ops.registration import register

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
MOST = 2**31 - 1
"""Items, and places of a list."""


def fake_topk(users, items, k, rowptr, column):
    """Shapes of topk."""
    shape = users.shape[0], k
    return users.new_empty(shape, dtype=torch.float32), users.new_empty(shape, dtype=torch.int64)


best_items = register(
    "topk(Tensor users, Tensor items, int k, Tensor? rowptr, Tensor? column) "
    "-> (Tensor scores, Tensor ids)",
    module=__name__,
    fake=fake_topk,
)


def topk(
    users: Tensor, items: Tensor, k: int, seen: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    r"""List the k items of each user with the largest dot products, the best first.

    .. math:: s_{ui} = \sum_c \mathrm{users}_{uc}\, \mathrm{items}_{ic}

    Of equal scores the smaller item comes first. Items that a user has seen are not listed, nor is
    an item whose score is NaN. A list with fewer items than k ends in items -1 of score -inf; this
    is also the rule for k larger than the number of items. Scores are computed in float32.

    Args:
        users: [B, d] float32, float16 or bfloat16.
        items: [I, d] of the same dtype.
        k: Places in each list, at least 1.
        seen: (rowptr [B + 1] int64, column [nnz] int32 or int64): user u has seen the items
            ``column[rowptr[u]:rowptr[u + 1]]``, in any order. The first pointer may be above zero,
            as in a slice of the pointers of more users.

    Returns:
        Scores [B, k] float32 and items [B, k] int64. There is no gradient.

    Raises:
        InputError: A shape or k is wrong, or a gradient is asked for.
        IdError: A pointer or an item of ``seen`` is out of range (on the CPU; a GPU stops with an
            assertion).
        DtypeError: An argument has another type.
        DeviceError: Tensors are on different devices.
    """
    expect_embeddings(users, items)
    if isinstance(k, bool) or not isinstance(k, int):
        raise DtypeError(f"k must be an int, got {k!r}")
    if not 1 <= k <= MOST:
        raise InputError(f"k = {k} must be in [1, {MOST}]")
    rowptr, column = (None, None) if seen is None else seen
    if rowptr is not None and column is not None:
        for name, tensor, dtypes, shape in (
            ("seen[0]", rowptr, (torch.int64,), (users.shape[0] + 1,)),
            ("seen[1]", column, INDEX_DTYPES, ("nnz",)),
        ):
            expect_tensor(name, tensor)
            expect_dtype(name, tensor, dtypes)
            expect_shape(name, tensor, shape)
    expect_same_device(users=users, items=items, rowptr=rowptr, column=column)
    return best_items(users, items, k, rowptr, column)


def expect_embeddings(users: Tensor, items: Tensor) -> None:
    """Refuse vectors of users and items that have no dot products, or want a gradient."""
    for name, tensor in (("users", users), ("items", items)):
        expect_tensor(name, tensor)
    expect_dtype("users", users, DTYPES)
    expect_dtype("items", items, (users.dtype,))
    expect_shape("users", users, ("B", "d"))
    expect_shape("items", items, ("I", users.shape[1]), "as wide as users")
    if items.shape[0] > MOST:
        raise InputError(f"items has {items.shape[0]} rows; at most {MOST} can be ranked")
    if torch.is_grad_enabled() and (users.requires_grad or items.requires_grad):
        raise InputError(
            "topk has no gradient, but users or items require one; "
            "call it under torch.no_grad() or with .detach()"
        )
