"""LargeGT's peer: the same layer with the same gradients, and batches of tables from workers."""

from itertools import islice

import torch

from neighborgraph.bench.largegt_peers import TokenTables, plain
from neighborgraph.models import LargeGT

CPU = torch.device("cpu")


def test_the_same_model_in_plain_pytorch() -> None:
    sizes = {"in_channels": 5, "hidden_channels": 8, "out_channels": 3, "num_nodes": 40}
    ours = LargeGT(**sizes, global_channels=4, codes=6).double().eval()
    theirs = plain(ours)
    batch = torch.randn(7, 6, 3, 5).double(), torch.randn(7, 4).double(), torch.arange(7)
    gradients = []
    for model in (ours, theirs):
        scores = model(*batch)
        gradients.append(
            [scores, *torch.autograd.grad(scores.square().sum(), list(model.parameters()))]
        )
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)
    assert not any(a is b for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_batches_of_tables_without_end() -> None:
    features, position = torch.randn(20, 3, 5), torch.randn(20, 2)
    drawn = torch.randint(20, (10, 4))
    tables = TokenTables(features, position, drawn)
    assert len(tables) == 10
    batches = list(islice(tables.batches(4, CPU), 5))
    assert [len(ids) for *_, ids in batches] == [4, 4, 2, 4, 4]
    for (tokens, where, ids), rows in zip(batches, drawn.split(4), strict=False):
        assert torch.equal(tokens, features[rows])
        assert torch.equal(where, position[rows[:, 0]])
        assert torch.equal(ids, rows[:, 0])
