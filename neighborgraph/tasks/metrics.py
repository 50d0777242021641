"""Metrics, as fractions."""

from torch import Tensor

from neighborgraph.errors import InputError


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """The fraction of rows whose largest score is at their label; of equal scores the first.

    Args:
        scores: [n, C] class scores.
        labels: [n] int64 labels.

    Raises:
        InputError: There is no row to take the mean of.
    """
    if labels.numel() == 0:
        raise InputError("labels is empty; accuracy needs at least one node")
    return (scores.argmax(dim=-1) == labels).sum().item() / labels.numel()
