"""Pairs of an epoch: only training pairs, the stated probabilities, repeatable from the seed."""

import pytest
import torch

from neighborgraph.tasks.pairs import SAMPLERS, EdgeSampler, UserSampler

# User 0 has one item, 2 has three, 5 has two; users 1, 3 and 4 have none.
PAIRS = torch.tensor([[0, 2, 2, 2, 5, 5], [9, 1, 3, 4, 0, 9]])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_only_training_pairs_as_many_as_there_are(sampler) -> None:
    known = set(map(tuple, PAIRS.t().tolist()))
    drawn = sampler(PAIRS).draw(generator())
    assert drawn.shape == PAIRS.shape
    assert set(map(tuple, drawn.t().tolist())) <= known
    assert torch.equal(drawn, sampler(PAIRS).draw(generator()))


def test_edges_are_a_shuffle_of_all() -> None:
    one, other = (EdgeSampler(PAIRS).draw(generator(seed)) for seed in (1, 2))
    assert sorted(one.t().tolist()) == sorted(other.t().tolist()) == PAIRS.t().tolist()
    assert not torch.equal(one, other)


def test_a_user_uniformly_then_one_of_its_items() -> None:
    sampler, random, draws = UserSampler(PAIRS), generator(), 5000
    drawn = torch.cat([sampler.draw(random) for _ in range(draws)], dim=1)
    key = drawn[0] * 10 + drawn[1]
    found, count = key.unique(return_counts=True)
    assert found.tolist() == (PAIRS[0] * 10 + PAIRS[1]).tolist()
    expected = 6 * draws * torch.tensor([1 / 3, *[1 / 9] * 3, *[1 / 6] * 2])
    chi_square = ((count - expected) ** 2 / expected).sum()
    assert chi_square < 20.5  # five degrees of freedom, one in a thousand


@pytest.mark.cuda
@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_drawn_on_the_gpu_without_waiting(sampler, waiting_refused) -> None:
    ready, random = sampler(PAIRS.cuda()), torch.Generator("cuda").manual_seed(0)
    with waiting_refused():
        drawn = ready.draw(random)
    known = set(map(tuple, PAIRS.t().tolist()))
    assert set(map(tuple, drawn.t().tolist())) <= known
