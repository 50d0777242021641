"""The random words of dropout: known answers, and how a mask uses them."""

import pytest
import torch

from neighborgraph.ops.philox import keep, kept_factor, philox, threshold

# Counter, key and words published with the generator.
KNOWN = {
    "zeros": ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    "ones": (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    "pi": (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name: str) -> None:
    counter, key, words = KNOWN[name]
    a, b, c, d = (torch.tensor([word]) for word in counter)
    found = philox((a, b, c, d), key)
    assert [int(word) for word in found] == list(words)


def test_a_mask_compares_the_word_of_its_edge_and_head() -> None:
    edge = torch.tensor([0, 5, 2**31 - 1, 2**33 + 7])
    seed = -(2**40) - 3
    key = seed % 2**32, (seed >> 32) % 2**32
    mask = keep(seed, edge, 7, 0.5)
    assert mask.shape == (4, 7)
    for row, number in enumerate(edge.tolist()):
        for head in range(7):
            parts = (number % 2**32, number // 2**32, head // 4, 0)
            a, b, c, d = (torch.tensor(part) for part in parts)
            word = philox((a, b, c, d), key)[head % 4]
            assert bool(mask[row, head]) == (int(word) >= 2**31)


def test_limits_of_the_rate() -> None:
    edge = torch.arange(1000)
    assert keep(1, edge, 3, 0.0).all()
    assert not keep(1, edge, 3, 1.0).any()
    assert [threshold(p) for p in (0.0, 0.25, 1.0)] == [0, 2**30, 2**32]
    assert [kept_factor(p) for p in (0.0, 0.75, 1.0)] == [1.0, 4.0, 0.0]
