"""The benchmark of training steps, on pairs so few that it takes seconds."""

from pathlib import Path

import pytest
import torch

from neighborgraph.bench import recommend
from neighborgraph.bench.ranking import CATALOGUES
from neighborgraph.bench.recommend import (
    MODELS,
    Data,
    gowalla,
    recommend_rows,
)
from neighborgraph.errors import DataFileError

CPU = torch.device("cpu")


@pytest.fixture
def data() -> Data:
    pairs = torch.stack([torch.randint(0, 300, (6000,)), torch.randint(0, 400, (6000,))])
    return Data(300, 400, pairs.unique(dim=1), "made-up pairs")


def test_rows(data: Data, monkeypatch) -> None:
    monkeypatch.setattr(recommend, "gowalla", lambda device, root: data)
    monkeypatch.setitem(CATALOGUES, "amazon-book", CATALOGUES["tiny"])
    for name, (_, trainees_of) in MODELS.items():
        monkeypatch.setitem(MODELS, name, (32, trainees_of))
    rows = list(recommend_rows(CPU, 0.01))
    stages = ["draw", "embeddings", "loss", "loss + backward", "Adam", "whole step"]
    expected = [
        (form, provider, stage)
        for form, peer in (("lightgcn", "PyG eager"), ("ultragcn", "published batch"))
        for provider in ("ours", peer)
        for stage in stages
    ]
    *steps, item_graph = rows
    assert [(row.form, row.provider, row.stage) for row in steps] == expected
    assert (item_graph.stage, item_graph.edges) == ("item graph", 3_000)
    for row in rows:
        assert row.timing is not None
        assert row.ratio is not None
        assert (row.ratio == 1) or row.provider != "ours"
        assert ", made-up pairs" in row.note
    assert {row.provider for row in recommend_rows(CPU, 0.01, peers=False)} == {"ours"}


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
