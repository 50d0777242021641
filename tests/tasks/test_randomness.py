"""Numbers that follow from a seed and an epoch alone."""

import torch

from neighborgraph.tasks.randomness import keyed_generator


def drawn(seed: int, epoch: int) -> list[float]:
    return torch.rand(5, generator=keyed_generator(torch.device("cpu"), seed, epoch)).tolist()


def test_seed_and_epoch_decide() -> None:
    before = drawn(1, 2)
    torch.rand(100)
    assert drawn(1, 2) == before
    others = [drawn(seed, epoch) for seed in range(3) for epoch in range(12)]
    assert len(set(map(tuple, others))) == 36
    assert drawn(2**40, 2) != drawn(0, 2)
