"""The benchmark of ranking."""

import pytest
import torch

from neighborgraph.bench import ranking
from neighborgraph.bench.ranking import (
    CATALOGUES,
    DEFAULT_CATALOGUES,
    STAGES,
    Ranking,
    chosen_catalogues,
    ranking_rows,
)
from neighborgraph.errors import ConfigError

CPU = torch.device("cpu")


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ranking.PEER_SCORES, "cpu", 7 * 500)
    rows = list(ranking_rows(CATALOGUES["tiny"], CPU, 0.01, ["pyg", "floor", "scatter"]))
    assert [(row.stage, row.provider) for row in rows] == [
        (stage, title) for stage, functions in STAGES.items() for title, _ in functions.values()
    ]
    for row in rows:
        assert row.timing is not None, row.note
        assert (row.op, row.graph, row.nodes, row.note) == ("topk", "tiny", 300, "500 items")
        assert (row.ratio == 1) == (row.provider == "ours")
    alone = list(ranking_rows(CATALOGUES["tiny"], CPU, 0.01, []))
    assert [row.provider for row in alone] == ["ours", "ours"]


def test_a_peer_that_disagrees_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ("torch.topk", lambda ranking: lambda: (ranking.users[:, :20], None))
    monkeypatch.setitem(STAGES["lists"], "pyg", wrong)
    row = list(ranking_rows(CATALOGUES["tiny"], CPU, 0.01, ["pyg"]))[1]
    assert (row.timing, row.ratio, row.note) == (None, None, "disagrees with ours")


def test_pairs_are_distinct_in_order_and_of_every_user() -> None:
    drawn = Ranking.draw(CATALOGUES["tiny"], CPU)
    for pairs in (drawn.pairs, drawn.held_out):
        assert torch.equal(pairs, pairs.unique(dim=1))
        assert pairs[0].unique().numel() == 300


def test_catalogues_by_name() -> None:
    assert chosen_catalogues([], "cpu") == [CATALOGUES["gowalla"]]
    assert set(DEFAULT_CATALOGUES) == {"cpu", "cuda"}
    assert [c.name for c in chosen_catalogues(["tiny"], "cuda")] == ["tiny"]
    with pytest.raises(ConfigError, match="did you mean 'gowalla'"):
        chosen_catalogues(["gowala"], "cpu")
