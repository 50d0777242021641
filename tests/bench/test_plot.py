"""The picture of a run: which bars, in which order, and that a file comes out."""

from pathlib import Path

import pytest

from neighborgraph.bench import plot
from neighborgraph.bench.measurement import Circumstances, Measurement
from neighborgraph.bench.timer import Timing
from neighborgraph.errors import BackendUnavailable, DataFileError

HERE = Circumstances("a CPU", {"torch": "2.13"}, "", "2026-01-02T03:04:05+00:00", "bench")


def row(provider: str, stage: str, median: float | None, form: str = "dot") -> Measurement:
    timing = None if median is None else Timing(median, median, median, 5, 1.0)
    return Measurement(
        op="attend",
        provider=provider,
        graph="mesh",
        nodes=5,
        edges=7,
        form=form,
        dtype="float16",
        heads=4,
        width=32,
        stage=stage,
        timing=timing,
        ratio=None if median is None else median / 0.2,
        note="" if timing else "torch-scatter is not installed; pip install torch-scatter",
    )


ROWS = [
    row("ours", "forward", 0.2),
    row("floor", "forward", 0.1),
    row("torch-scatter", "forward", None),
    row("PyG eager", "forward", 40.0),
    row("ours", "forward+backward", 0.6),
    row("ours", "grad q", 0.3),
    row("ours", "host forward", 0.03),
    row("ours", "forward", 0.3, "gat"),
]


def test_groups_hold_the_two_passes_in_a_fixed_order() -> None:
    first, second = plot.grouped(ROWS)
    assert first.title == "attend dot\nmesh  4x32  float16"
    assert first.providers == ["ours", "PyG eager", "torch-scatter", "floor"]
    assert {stage for stage, _ in first.rows} == {"forward", "forward+backward"}
    assert (second.title.splitlines()[0], second.providers) == ("attend gat", ["ours"])


def test_many_groups_are_two_columns_of_like_height() -> None:
    groups = plot.grouped([row("ours", "forward", 1.0, f"form {n}") for n in range(60)])
    left, right = plot.in_columns(groups)
    assert [*left, *right] == groups
    assert len(left) == len(right) == 30
    assert plot.in_columns(groups[:5]) == [groups[:5]]


def drawn_texts(rows: list[Measurement]) -> list[str]:
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    plot.draw_stage(axis, plot.grouped(rows), "forward", 10)
    return [text.get_text() for text in axis.texts]


def test_bars_are_labelled_with_time_and_factor() -> None:
    assert drawn_texts(ROWS) == [
        "0.2 ms",
        "40 ms   200×",
        "torch-scatter: torch-scatter is not installed",
        "0.1 ms   0.5×",
        "0.3 ms",
    ]


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        [row("ours", "forward", None)],
        [],
        [row("ours", "forward", 1.0, f"form {n}") for n in range(60)],
    ],
    ids=["bars", "no bar", "nothing", "two columns"],
)
def test_a_picture_comes_out(rows: list[Measurement], tmp_path: Path) -> None:
    path = tmp_path / "run.png"
    plot.draw(rows, HERE, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_unwritable_picture(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"cannot write .*run\.png: "):
        plot.draw(ROWS, HERE, tmp_path / "absent" / "run.png")


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'neighborgraph\[plot\]'"):
        plot.expect_matplotlib()
