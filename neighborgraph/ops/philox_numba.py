"""The generator of ``philox.py`` for CPU kernels."""

import numpy as np

from neighborgraph.jit.numba_inline import inlined
from neighborgraph.ops.philox import KEY_STEPS, MULTIPLIERS, ROUNDS, WORD

FIRST_MULTIPLIER, SECOND_MULTIPLIER = (np.uint64(m) for m in MULTIPLIERS)
FIRST_STEP, SECOND_STEP = (np.uint64(s) for s in KEY_STEPS)
MASK = np.uint64(WORD - 1)
BITS = np.uint64(32)
ROUND_COUNT = ROUNDS


@inlined
def words(seed, a, b, c, d):
    """Four words of an int64 seed and a counter of four; words are uint64 or lanes of them."""
    key = np.uint64(seed)
    first, second = key & MASK, key >> BITS
    for _ in range(ROUND_COUNT):
        left, right = FIRST_MULTIPLIER * a, SECOND_MULTIPLIER * c
        a, b = (right >> BITS) ^ b ^ first, right & MASK
        c, d = (left >> BITS) ^ d ^ second, left & MASK
        first, second = (first + FIRST_STEP) & MASK, (second + SECOND_STEP) & MASK
    return a, b, c, d


@inlined
def word(seed, edge, head):
    """The word of an int64 seed, an edge and a head; ``edge`` and the word are uint64 or lanes."""
    zero = edge & np.uint64(0)
    a, b, c, d = words(seed, edge & MASK, edge >> BITS, zero + np.uint64(head // 4), zero)
    which = head % 4
    return a if which == 0 else b if which == 1 else c if which == 2 else d
