"""Split rules: counts, disjointness, repeatability."""

import torch

from neighborgraph.data import Split
from neighborgraph.data.split import cycle, fixed, random_per_class, rank_in_class

Y = torch.randint(0, 3, (300,), generator=torch.Generator().manual_seed(0))


def test_rank_in_class_by_hand() -> None:
    assert rank_in_class(torch.tensor([1, 0, 1, 1, 0])).tolist() == [0, 0, 1, 2, 1]


def test_twenty_a_class_and_totals() -> None:
    split = random_per_class(Y, train=20, val=50, test=100)(3)
    assert Y[split.train].bincount().tolist() == [20, 20, 20]
    assert (len(split.val), len(split.test)) == (50, 100)


def test_validation_a_class_leaves_all_the_rest() -> None:
    split = random_per_class(Y, train=20, val=30, val_per_class=True)(3)
    assert Y[split.val].bincount().tolist() == [30, 30, 30]
    everything = torch.cat([split.train, split.val, split.test]).sort().values
    assert torch.equal(everything, torch.arange(300))


def test_seed_decides() -> None:
    rule = random_per_class(Y, train=20, val=50)
    assert torch.equal(rule(1).train, rule(1).train)
    assert not torch.equal(rule(1).train, rule(2).train)


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    random_per_class(Y, train=20, val=50)(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_cycle_starts_again() -> None:
    splits = [Split(*torch.tensor([[i], [i], [i]])) for i in range(10)]
    rule = cycle(splits)
    assert rule(3) is splits[3]
    assert rule(13) is splits[3]


def test_fixed_ignores_the_seed() -> None:
    split = Split(*torch.tensor([[0], [1], [2]]))
    assert fixed(split)(7) is split
