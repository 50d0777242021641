"""Curves: of groups, each in its place by the number of its recipe, and of histories over time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neighborgraph.bench.curve import (
    Point,
    comparable,
    draw_against,
    draw_over_events,
    draw_over_time,
    points,
)
from neighborgraph.bench.history import History
from neighborgraph.bench.long_stream import LONG_STREAMS, long_stream_rows
from neighborgraph.bench.record import Record
from neighborgraph.bench.report import Group, group_records
from neighborgraph.errors import BackendUnavailable, ConfigError, DataFileError


def record(model: str, overrides: Sequence[str], seed: int, accuracy: float) -> Record:
    return Record(
        model=model,
        dataset="cora",
        recipe=f"{model}/default",
        overrides=tuple(overrides),
        seed=seed,
        metrics={"test_acc": accuracy},
        best_epoch=1,
        seconds=1.0,
        peak_memory_mb=1.0,
        device="cpu",
        versions={},
        commit="",
        command="",
        date="",
    )


MOMENTS = [
    {"epoch": 1, "seconds": 0.1, "loss": 0.7, "val_acc": 0.2, "test_acc": 0.25},
    {"epoch": 5, "seconds": 0.5, "loss": 0.5, "val_acc": 0.4, "test_acc": 0.35},
]
HISTORIES = [History(name, seed, MOMENTS) for name in ("gat-cora", "gcn-cora") for seed in (0, 1)]


@pytest.fixture
def groups() -> list[Group]:
    return group_records(
        [
            record("largegt", ["sampling.nodes=64"], 0, 0.8),
            record("largegt", ["sampling.nodes=64"], 1, 0.9),
            record("largegt", [], 0, 0.7),
            record("largegt", ["sampling.nodes=4", "model.codes=9"], 0, 0.5),
            record("largegt", ["sampling.nodes=8", "model.codes=9"], 0, 0.6),
            record("largegt-local", [], 0, 0.5),
            record("gcn", [], 0, 0.5),
        ]
    )


def test_points_of_each_curve(groups: list[Group]) -> None:
    found = comparable(groups, "sampling.nodes")
    assert list(found) == ["largegt on cora", "largegt on cora model.codes=9"]
    nine, plain = (
        points(found[title], "sampling.nodes", "test_acc") for title in reversed(list(found))
    )
    assert [p.value for p in nine] == [4, 8]
    own, typed = plain
    assert own == Point(20, 0.7, 0.0, 1)  # the default recipe's K
    assert (typed.value, typed.seeds) == (64, 2)
    assert typed.mean == pytest.approx(0.85)
    assert typed.std == pytest.approx(0.005**0.5)


def test_picture(groups: list[Group], tmp_path: Path) -> None:
    path = tmp_path / "new" / "curve.png"
    draw_against(groups, "sampling.nodes", None, path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("key", ["sampling.node", "data.row_normalize", "optimizer.lr"])
def test_what_no_runs_differ_in_is_refused(key: str, groups: list[Group]) -> None:
    with pytest.raises(ConfigError, match=f"no runs differ in {key}"):
        comparable(groups, key)


def test_any_metric_is_drawn_that_the_compared_runs_have(
    groups: list[Group], tmp_path: Path
) -> None:
    ranked = replace(groups[0].first, metrics={"test_recall@20": 0.3, "test_ndcg@20": 0.2})
    alone = replace(ranked, model="largegt-local", overrides=(), metrics={"test_rocauc": 0.5})
    runs = group_records([alone, ranked, replace(ranked, overrides=())])
    (compared,) = comparable(runs, "sampling.nodes").values()
    assert [p.mean for p in points(compared, "sampling.nodes", "test_ndcg@20")] == [0.2, 0.2]
    draw_against(runs, "sampling.nodes", None, tmp_path / "curve.png")
    with pytest.raises(ConfigError, match="has no 'test_acc'; it has test_recall@20"):
        draw_against(runs, "sampling.nodes", "test_acc", tmp_path / "curve.png")


def test_a_picture_comes_out(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.png"
    draw_over_time(HISTORIES, "test_acc", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataFileError, match="cannot write"):
        draw_over_time(HISTORIES, None, path / "curves.png")


def test_unknown_metrics_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match=r"no 'test_ac'; .* did you mean 'test_acc'"):
        draw_over_time(HISTORIES, "test_ac", tmp_path / "curves.png")


def test_without_matplotlib(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match="neighborgraph\\[plot\\]"):
        draw_over_time(HISTORIES, "test_acc", tmp_path / "curves.png")


def test_speed_over_the_events_of_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "new" / "stream.png"
    draw_over_events(list(long_stream_rows(LONG_STREAMS["tiny"], torch.device("cpu"))), path)
    assert path.stat().st_size > 10_000
