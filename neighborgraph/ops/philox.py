"""Random numbers that depend on what they are for: Philox 4x32-10 keyed by a seed.

"Parallel Random Numbers: As Easy as 1, 2, 3", https://doi.org/10.1145/2063384.2063405. A number is
a function of the seed, an edge and a head, so that every implementation draws the same bits in any
order and the backward pass draws them again. This is the definition, in plain torch;
``philox_numba.py`` and ``cuda/common/philox.cuh`` are the same.
"""

import torch
from torch import Tensor

WORD = 2**32
MASK = WORD - 1
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10


def philox(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four random 32-bit words for each counter, as int64 tensors.

    Args:
        counter: Four words, int64 tensors in [0, 2^32) that broadcast.
        key: Two words.
    """
    a, b, c, d = counter
    first, second = key
    for _ in range(ROUNDS):
        # The products wrap around in int64; their 64 bits are right all the same.
        left, right = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b, c, d = high(right) ^ b ^ first, right & MASK, high(left) ^ d ^ second, left & MASK
        first, second = (first + KEY_STEPS[0]) & MASK, (second + KEY_STEPS[1]) & MASK
    return a, b, c, d


def high(product: Tensor) -> Tensor:
    """The upper 32 bits."""
    return (product >> 32) & MASK


def keep(seed: int, edge: Tensor, heads: int, dropout: float) -> Tensor:
    """Which edges dropout keeps, bool [e, H].

    Edge e and head h use word h mod 4 of the counter (e mod 2^32, e div 2^32, h div 4, 0), and keep
    when it is at least `threshold`.

    Args:
        seed: int64, taken as two words.
        edge: int64 [e], numbers of edges.
        heads: Heads H.
        dropout: Probability of dropping, in [0, 1].
    """
    head = torch.arange(heads, device=edge.device)
    zero = torch.zeros_like(head)
    counter = (edge & MASK)[:, None], (edge >> 32)[:, None], head // 4, zero
    words = philox(counter, (seed & MASK, (seed >> 32) & MASK))
    word = torch.stack([w.expand(edge.numel(), heads) for w in words])
    drawn = word.gather(0, (head % 4).expand(1, edge.numel(), heads))[0]
    return drawn >= threshold(dropout)


def threshold(dropout: float) -> int:
    """The words below it are dropped: dropout · 2^32."""
    return int(dropout * WORD)


def kept_factor(dropout: float) -> float:
    """What a kept weight is multiplied with, 1/(1 - dropout), so that its mean stays; 0 at 1."""
    return 0.0 if dropout == 1 else 1 / (1 - dropout)
