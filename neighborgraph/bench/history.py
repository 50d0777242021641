"""What each evaluation of a run found: kept as JSON lines, read back, and drawn over time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from neighborgraph.bench.measurement import writing
from neighborgraph.bench.plot import DOTS_PER_INCH, expect_matplotlib
from neighborgraph.checks import nearest
from neighborgraph.data.download import write_whole
from neighborgraph.errors import ConfigError, DataFileError

Moments = Sequence[dict[str, float]]
"""Evaluations in order, each with ``epoch``, ``seconds``, ``loss`` and the metrics."""


class History(NamedTuple):
    """One seed of a model on a data set."""

    name: str
    """Model and data set."""
    seed: int
    moments: Moments


def write_history(out: Path, history: History) -> None:
    """Write ``history/NAME/seed-N.jsonl`` in the output folder of a run.

    Raises:
        DataFileError: The file cannot be written.
    """
    path = out / "history" / history.name / f"seed-{history.seed}.jsonl"
    lines = "".join(json.dumps(moment) + "\n" for moment in history.moments)
    with writing(path):
        write_whole(path, lines.encode())


def read_histories(out: Path) -> list[History]:
    """All histories in the output folder of runs, by name and seed.

    Raises:
        ConfigError: There is none.
        DataFileError: One cannot be read.
    """
    found = []
    for path in out.glob("history/*/seed-*.jsonl"):
        try:
            moments = [json.loads(line) for line in path.read_text().splitlines()]
            seed = int(path.stem.removeprefix("seed-"))
            found.append(History(path.parent.name, seed, moments))
            if not moments:
                raise ValueError("it is empty")
        except (OSError, ValueError) as error:
            raise DataFileError(f"{path} is not the history of a seed: {error}") from error
    if not found:
        raise ConfigError(f"{out} holds no history; name the --out folder of neighborgraph run")
    return sorted(found, key=lambda history: history[:2])


def draw_histories(histories: Sequence[History], metric: str, path: Path) -> None:
    """Write a PNG with a curve of ``metric`` over the seconds of training for each history.

    Raises:
        ConfigError: A history has no such metric.
        BackendUnavailable: Matplotlib is not installed.
        DataFileError: The file cannot be written.
    """
    expect_matplotlib()
    from matplotlib.figure import Figure

    picture = Figure((7, 4), layout="constrained")
    axes = picture.subplots()
    names = list(dict.fromkeys(history.name for history in histories))
    for name, seed, moments in histories:
        expect_metric(metric, name, moments)
        label = name if seed == min(h.seed for h in histories if h.name == name) else None
        seconds, values = ([moment[key] for moment in moments] for key in ("seconds", metric))
        axes.plot(seconds, values, color=f"C{names.index(name)}", lw=1.4, marker=".", label=label)
    axes.set(xscale="log", xlabel="seconds of training and evaluation", ylabel=metric)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    with writing(path):
        picture.savefig(path, dpi=DOTS_PER_INCH, format="png")


def expect_metric(metric: str, name: str, moments: Moments) -> None:
    """Refuse a metric that an evaluation lacks."""
    for moment in moments:
        if metric not in moment:
            known = [key for key in moment if key not in ("epoch", "seconds")]
            raise ConfigError(
                f"the history of {name} has no {metric!r}; it has {', '.join(known)}"
                f"{nearest(metric, known)}"
            )
