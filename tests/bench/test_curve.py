"""Curves: each group in its place, by the number of its recipe or by what was typed instead."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from neighborgraph.bench.curve import Point, curves, draw_curves
from neighborgraph.bench.record import Record
from neighborgraph.bench.report import Group, group_records
from neighborgraph.errors import ConfigError


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
    found = curves(groups, "sampling.nodes")
    assert list(found) == ["largegt on cora", "largegt on cora model.codes=9"]
    assert [p.value for p in found["largegt on cora model.codes=9"]] == [4, 8]
    own, typed = found["largegt on cora"]
    assert own == Point(20, 70.0, 0.0, 1)  # the default recipe's K
    assert (typed.value, typed.seeds) == (64, 2)
    assert typed.mean == pytest.approx(85)
    assert typed.std == pytest.approx(50**0.5)


def test_picture(groups: list[Group], tmp_path: Path) -> None:
    path = tmp_path / "new" / "curve.png"
    draw_curves(groups, "sampling.nodes", path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("key", ["sampling.node", "data.row_normalize", "optimizer.lr"])
def test_what_no_runs_differ_in_is_refused(key: str, groups: list[Group]) -> None:
    with pytest.raises(ConfigError, match=f"no runs differ in {key}"):
        curves(groups, key)
