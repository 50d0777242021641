"""The benchmark of LargeGT's step, on a graph so small that it takes seconds."""

from dataclasses import replace

import pytest
import torch

from neighborgraph.bench import largegt
from neighborgraph.bench.largegt import (
    DEFAULT_GRAPHS,
    PARTS,
    SIZES,
    covered_share,
    expect_equal,
    largegt_rows,
    made_up,
)
from neighborgraph.bench.largegt_peers import plain
from neighborgraph.models import LargeGT
from neighborgraph.tasks import SampledClassification

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch) -> None:
    sizes = replace(SIZES["cpu"], nodes=3, batch=50, hidden=8, positions=4, codes=10)
    monkeypatch.setitem(SIZES, "cpu", sizes)
    monkeypatch.setattr(largegt, "STEPS", (2, 3))
    monkeypatch.setattr(largegt, "PEER_STEPS", 2)


@pytest.mark.usefixtures("small")
def test_rows() -> None:
    rows = list(largegt_rows("cora", CPU, 0.01))
    named = [(row.provider, row.stage) for row in rows]
    assert named[:5] == [("ours", part) for part in PARTS]
    assert set(named[5:]) == {("released data path", part) for part in PARTS[2:]}
    for row in rows:
        assert (row.op, row.graph, row.form, row.dtype) == (
            "largegt",
            "cora-clustered",
            "K=3",
            "float32",
        )
        assert row.timing is not None
        assert row.note.startswith("batch 50, features of the ")
    ours, theirs = (row for row in rows if row.stage == "whole step")
    assert ours.ratio == 1
    assert "s an epoch of 1,354 nodes, sampling by itself " in ours.note
    assert theirs.note.endswith("4 workers, tables of 32 batches made before")
    assert "sampling by itself" not in theirs.note


@pytest.mark.usefixtures("small")
def test_features_of_the_host(monkeypatch) -> None:
    monkeypatch.setitem(SIZES, "cora", replace(SIZES["cpu"], features="host"))
    rows = list(largegt_rows("cora", CPU, 0.01, peers=False))
    assert all("features of the host" in row.note for row in rows)


@pytest.mark.usefixtures("small")
def test_without_peers() -> None:
    assert {row.provider for row in largegt_rows("cora", CPU, 0.01, peers=False)} == {"ours"}


def test_models_that_differ_are_not_timed() -> None:
    task = SampledClassification(made_up("cora", SIZES["cpu"], CPU), nodes=3, position_channels=4)
    sizes = {"in_channels": 100, "hidden_channels": 8, "out_channels": 47, "num_nodes": 2708}
    model = LargeGT(**sizes, global_channels=4, codes=10)
    theirs, batch = plain(model), next(task.shares(0))
    expect_equal(task, model, theirs, batch)
    assert model.training and theirs.training
    torch.nn.init.normal_(theirs.near.merge.weight)
    with pytest.raises(AssertionError, match="models differ by"):
        expect_equal(task, model, theirs, batch)


def test_a_share_is_of_the_time_that_any_span_covers() -> None:
    assert covered_share([(0, 1), (3, 4)]) == 0.5
    assert covered_share([(3, 4), (0, 2), (1, 3), (1, 1.5)]) == 1
    assert covered_share([(0, 10), (1, 2), (18, 20)]) == 0.6
    assert covered_share([]) != covered_share([])


def test_every_device_has_sizes() -> None:
    assert set(DEFAULT_GRAPHS) == {"cpu", "cuda"} <= set(SIZES)
    assert (SIZES["cuda"].nodes, SIZES["cuda"].batch, SIZES["cuda"].hidden) == (100, 1024, 256)
