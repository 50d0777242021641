"""The generator of CPU kernels draws the bits of its definition."""

import numpy as np
import pytest
import torch

from neighborgraph.ops.philox import philox
from neighborgraph.ops.philox_numba import word


def test_known_answer() -> None:
    words = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert [word(0, np.uint64(0), head) for head in range(4)] == words


@pytest.mark.parametrize("seed", [0, 1, -1, 2**32, -(2**63), 2**63 - 1, 123_456_789_123])
def test_words_are_those_of_the_definition(seed: int) -> None:
    for edge in (0, 1, 2**31 - 1, 2**32, 2**40 + 17):
        for head in (0, 1, 2, 3, 4, 5, 11, 1023):
            parts = (edge % 2**32, edge // 2**32, head // 4, 0)
            a, b, c, d = (torch.tensor(part) for part in parts)
            key = seed % 2**32, (seed >> 32) % 2**32
            expected = int(philox((a, b, c, d), key)[head % 4])
            assert word(seed, np.uint64(edge), head) == expected
