"""Scores, weights and their derivatives in attend's CPU kernels, all in lanes."""

from typing import Any, NamedTuple

import numpy as np

from neighborgraph.jit.numba_inline import inlined
from neighborgraph.jit.numba_lanes import choose, exp, largest_number, load, spread
from neighborgraph.ops.philox_numba import word


class Numbers(NamedTuple):
    """What a score depends on beside tensors.

    Attributes:
        factor: Scale of a dot product, negative slope of an additive score.
        loops: Self-loops of each row, 0 or 1.
        first_loop: Number of the first self-loop, 0 if none; loops of lower number are masked.
    """

    factor: Any
    loops: int
    first_loop: int


class Dropout(NamedTuple):
    """Which edges dropout keeps: those whose random word is at least the threshold.

    Attributes:
        seed: int64.
        threshold: uint64, at most 2^32; 0 keeps every edge.
        kept: What the weights of kept edges are multiplied with.
    """

    seed: int
    threshold: Any
    kept: Any


class Inputs(NamedTuple):
    """What an edge's score and weight depend on beside its ends.

    Attributes:
        numbers: Scale or slope, and self-loops.
        dropout: Which edges are kept.
        weight: w [H, D] of an additive score, None beside a dot product.
        bias: [e', H], of size zero where absent.
        edge: Vectors a [e', H, D] that join the keys, or None.
        value_edge: Those that join the values, or None.
    """

    numbers: Numbers
    dropout: Dropout
    weight: Any
    bias: Any
    edge: Any
    value_edge: Any


@inlined
def term(weight, numbers, h, d, query, key):
    """Parts t(q, x) of scores."""
    if weight is None:
        return query * key
    return weight_of(weight, h, d) * leaky(query + key, numbers)


@inlined
def term_slope(weight, numbers, h, d, a, b):
    """The derivative in a of t(a, b), which is symmetric."""
    if weight is None:
        return b
    w = weight_of(weight, h, d)
    return choose(a + b > 0, w, w * numbers.factor)


@inlined
def weight_of(weight, h, d):
    """Channels of an additive weight, or its only one in every lane."""
    return spread(weight[h]) if weight.ndim == 1 else load(weight, (h, d))


@inlined
def leaky(x, numbers):
    """Leaky ReLU."""
    return choose(x > 0, x, x * numbers.factor)


@inlined
def scaled(weight, numbers, x):
    """A score from the sum of its terms, and the slope of those from that of the score."""
    return x * numbers.factor if weight is None else x


@inlined
def largest_of(s):
    """The largest score; NaN does not count."""
    return largest_number(choose(s == s, s, -np.inf))


@inlined
def fading(old, new):
    """What sums relative to one score are multiplied with to be relative to a larger one."""
    return largest_number(exp(spread(old - new)))


@inlined
def shares_of(s, top):
    """exp(s - top): one for the largest score, also where it is +inf, zero for a masked edge."""
    p = choose(s == top, 1, exp(s - top))
    return choose(s == -np.inf, 0, p)


@inlined
def settled(total, top):
    """The sum of a row's shares: NaN where two scores are +inf, which share nothing."""
    return total - np.float32(np.nan) if top == np.inf and total > 1 else total


@inlined
def factors_of(dropout, number, h, dtype):
    """The dropout factors m of edges."""
    if dropout.threshold == 0:
        return spread(dtype.type(1))
    kept = word(dropout.seed, number, h) >= dropout.threshold
    return choose(kept, spread(dropout.kept), 0)
