"""Metrics, as fractions."""

import math
from collections.abc import Callable

import torch
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


def roc_auc(scores: Tensor, labels: Tensor) -> float:
    """The area under the ROC curve, averaged over the columns that have both labels.

    It is the fraction of pairs of a 1 and a 0 in which the 1 has the larger score, where equal
    scores count one half.

    Args:
        scores: [n, T].
        labels: [n, T] of 0 and 1.

    Raises:
        InputError: No column has both labels.
    """
    areas = []
    for score, positive in zip(scores.t(), labels.t() == 1, strict=True):
        ones = int(positive.sum())
        zeros = positive.numel() - ones
        if not ones or not zeros:
            continue
        _, place, count = score.unique(return_inverse=True, return_counts=True)
        # Twice the rank from 1, of equal scores their mean: whole numbers, so no rounding.
        twice_rank = 2 * count.cumsum(0) - count + 1
        twice_won = int(twice_rank[place[positive]].sum()) - ones * (ones + 1)
        areas.append(twice_won / (2 * ones * zeros))
    if not areas:
        raise InputError("labels has no column with both 0 and 1; the area needs one")
    return sum(areas) / len(areas)


def average_precision(edges: Tensor, negatives: Tensor) -> Tensor:
    """The mean over edges of the fraction of edges among all scores that are not lower.

    It is the sum of precisions at each edge, as scikit-learn counts it where scores are equal.

    Args:
        edges: [..., P] scores, P at least 1.
        negatives: [..., Q] scores.

    Returns:
        [...] float64, one a row.
    """
    hits = not_lower(edges, edges).double()
    return (hits / (hits + not_lower(negatives, edges))).mean(dim=-1)


def roc_auc_of(edges: Tensor, negatives: Tensor) -> Tensor:
    """The fraction of pairs of an edge and a negative in which the edge has the larger score.

    Equal scores count one half.

    Args:
        edges: [..., P] scores, P at least 1.
        negatives: [..., Q] scores, Q at least 1.

    Returns:
        [...] float64, one a row.
    """
    ranked = negatives.sort(dim=-1).values.contiguous()
    below, not_above = (
        torch.searchsorted(ranked, edges.contiguous(), right=right) for right in (False, True)
    )
    return (below + not_above).double().mean(dim=-1) / (2 * negatives.shape[-1])


def not_lower(scores: Tensor, marks: Tensor) -> Tensor:
    """[..., P] how many of the scores [..., Q] are not below each of the marks [..., P]."""
    ranked = scores.sort(dim=-1).values.contiguous()
    return scores.shape[-1] - torch.searchsorted(ranked, marks.contiguous())


def mean_of_parts(
    measure: Callable[[Tensor, Tensor], Tensor], edges: Tensor, negatives: Tensor, size: int
) -> float:
    """The mean of a measure over consecutive parts of so many edges; the last may have fewer.

    Args:
        measure: Of scores [..., P] and [..., Q].
        edges: [e] scores, e at least 1.
        negatives: [e] scores, each drawn for its edge.
        size: Edges a part.
    """
    whole = len(edges) // size * size
    parts = [
        measure(edges[some].view(-1, width), negatives[some].view(-1, width))
        for some, width in ((slice(0, whole), size), (slice(whole, None), len(edges) - whole))
        if width and edges[some].numel()
    ]
    return torch.cat(parts).mean().item()


def hits(edges: Tensor, negatives: Tensor, k: int) -> float:
    """The fraction of edges that score above the k-th best negative, as OGB counts them.

    With fewer than k negatives it is 1.

    Args:
        edges: [P] scores.
        negatives: [Q] scores.
        k: 1 or more.

    Raises:
        InputError: There is no edge to take the mean of.
    """
    if edges.numel() == 0:
        raise InputError("edges is empty; hits needs at least one score")
    if negatives.numel() < k:
        return 1.0
    return (edges > negatives.topk(k).values[-1]).sum().item() / edges.numel()


def mrr(edges: Tensor, negatives: Tensor) -> float:
    """The mean reciprocal rank of edges, each among its own negatives, as OGB counts it.

    The rank is one more than the negatives that score higher and half of those that score the same.
    Reciprocals are rounded to float32 as the Evaluator's, their sum is exact, in any order.

    Args:
        edges: [P] scores.
        negatives: [P, R] scores.

    Raises:
        InputError: There is no edge to take the mean of.
    """
    if edges.numel() == 0:
        raise InputError("edges is empty; mrr needs at least one score")
    higher = (negatives > edges[:, None]).sum(dim=1)
    not_lower = (negatives >= edges[:, None]).sum(dim=1)
    ranks = 0.5 * (higher + not_lower) + 1
    return math.fsum((1 / ranks).float().tolist()) / edges.numel()
