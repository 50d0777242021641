"""The benchmark of training steps, on pairs so few that it takes seconds."""

from pathlib import Path

import pytest
import torch

from neighborgraph.bench import recommend
from neighborgraph.bench.recommend import (
    MODELS,
    Data,
    PublishedUltraGCN,
    PygLightGCN,
    gowalla,
    recommend_rows,
)
from neighborgraph.errors import DataFileError
from neighborgraph.models import LightGCN, UltraGCN

CPU = torch.device("cpu")


@pytest.fixture
def data() -> Data:
    pairs = torch.stack([torch.randint(0, 300, (6000,)), torch.randint(0, 400, (6000,))])
    return Data(300, 400, pairs.unique(dim=1), "made-up pairs")


def test_rows(data: Data, monkeypatch) -> None:
    monkeypatch.setattr(recommend, "gowalla", lambda device, root: data)
    for name, (_, trainees_of) in MODELS.items():
        monkeypatch.setitem(MODELS, name, (32, trainees_of))
    rows = list(recommend_rows(CPU, 0.01))
    stages = ["draw", "loss", "loss + backward", "whole step"]
    expected = [
        (form, provider, stage)
        for form, peer in (("lightgcn", "PyG eager"), ("ultragcn", "published batch"))
        for provider in ("ours", peer)
        for stage in stages
    ]
    assert [(row.form, row.provider, row.stage) for row in rows] == expected
    for row in rows:
        assert row.timing is not None
        assert row.ratio is not None
        assert (row.ratio == 1) or row.provider != "ours"
        assert row.note.endswith(", made-up pairs")
    assert [row.provider for row in recommend_rows(CPU, 0.01, peers=False)] == ["ours"] * 8


def test_the_published_batch_has_the_same_loss_and_gradients(data: Data) -> None:
    ours = UltraGCN(*data.sizes, init_std=0.3)
    theirs = PublishedUltraGCN(ours)
    assert sum(p.numel() for p in theirs.parameters()) == 700 * 64
    batch = data.pairs[:, :64]
    negatives = theirs.draw(batch)
    losses = [model.loss(batch, negatives) for model in (ours, theirs)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)
    ours_grads, theirs_grads = (
        torch.autograd.grad(loss, list(model.parameters()))
        for loss, model in zip(losses, (ours, theirs), strict=True)
    )
    torch.testing.assert_close(ours_grads, theirs_grads, rtol=1e-4, atol=1e-6)


def test_pyg_trains_on_the_same_scores(data: Data) -> None:
    theirs = PygLightGCN(*data.sizes)
    ours = LightGCN(*data.sizes)
    ours.embedding.weight.data = theirs.model.embedding.weight.data
    actual = theirs.model.get_embedding(theirs.edge_index)
    torch.testing.assert_close(actual, ours.get_embedding(), rtol=1e-5, atol=1e-6)
    batch = data.pairs[:, torch.arange(0, 600, 100)]  # no node twice, so the penalties agree
    negatives = torch.tensor([i for i in range(400) if i not in batch[1]][:6])
    assert batch[0].unique().numel() == batch[1].unique().numel() == 6
    ours.reg = 2e-4
    losses = [model.loss(batch, negatives) for model in (ours, theirs)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)


def test_without_the_files_pairs_of_its_size_are_made_up(tmp_path: Path) -> None:
    data = gowalla(CPU, tmp_path)
    assert (data.num_users, data.num_items, data.pairs.shape[1]) == (29_858, 40_981, 810_128)
    assert data.origin == "made-up pairs"
    keys = data.pairs[0] * data.num_items + data.pairs[1]
    assert (keys.diff() > 0).all()


def test_damaged_files_are_not_taken_for_absent_ones(tmp_path: Path) -> None:
    (tmp_path / "gowalla").mkdir()
    for name in ("train.txt", "test.txt"):
        (tmp_path / "gowalla" / name).write_text("0 1 x\n")
    with pytest.raises(DataFileError, match="line 1"):
        gowalla(CPU, tmp_path)
