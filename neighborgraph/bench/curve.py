"""Curves: a metric over time or against a number of the recipes, and speed over a stream."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from neighborgraph.bench.history import History
from neighborgraph.bench.long_stream import LONG_STREAMS, speed
from neighborgraph.bench.measurement import Measurement, writing
from neighborgraph.bench.plot import DOTS_PER_INCH, expect_matplotlib
from neighborgraph.bench.report import Group
from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.tasks.recipe import load_recipe

INCHES = (7, 4.5)


@dataclass(frozen=True)
class Point:
    """Runs that share all numbers.

    Attributes:
        value: Of the number that the curve is drawn against.
        mean: Of the metric over seeds.
        std: Its unbiased standard deviation; 0 of a single seed.
        seeds: How many there are.
    """

    value: float
    mean: float
    std: float
    seeds: int


def comparable(groups: Sequence[Group], key: str) -> dict[str, list[Group]]:
    """The groups of each curve, by its title, which names what else was changed in a recipe.

    Args:
        groups: Runs; those whose recipes have no such number, or that share it with no others, are
            left out.
        key: A number of recipes, as ``--set`` spells it.

    Raises:
        ConfigError: No runs differ in this number.
    """
    found: dict[str, list[Group]] = {}
    known: dict[str, None] = {}
    for group in groups:
        numbers = numbers_of(group)
        known |= dict.fromkeys(numbers)
        if key in numbers:
            others = [text for text in group.first.overrides if not text.startswith(f"{key}=")]
            title = " ".join([group.first.model, "on", group.first.dataset, *others])
            found.setdefault(title, []).append(group)
    found = {title: runs for title, runs in found.items() if len(runs) > 1}
    if not found:
        raise ConfigError(
            f"no runs differ in {key}{nearest(key, known)}; their recipes have {', '.join(known)}"
        )
    return found


def numbers_of(group: Group) -> dict[str, float]:
    """The numbers of a group's recipe, with what was changed in it."""
    model, dataset = group.first.recipe.split("/")
    flat = load_recipe(model, dataset, group.first.overrides).flat()
    return {name: value for name, value in flat.items() if type(value) in (int, float)}


def points(groups: Sequence[Group], key: str, metric: str) -> list[Point]:
    """Each group's place, from left to right.

    Raises:
        ConfigError: A record has no such metric.
    """
    found = []
    for group in groups:
        for record in group.records:
            expect_metric(metric, group.title, record.metrics)
        figures = [record.metrics[metric] for record in group.records]
        spread = stdev(figures) if len(figures) > 1 else 0.0
        found.append(Point(numbers_of(group)[key], mean(figures), spread, len(figures)))
    return sorted(found, key=lambda point: point.value)


def draw_against(groups: Sequence[Group], key: str, metric: str | None, path: Path) -> None:
    """Write a PNG with a curve for the runs that differ in one number; bars are over seeds.

    Raises:
        BackendUnavailable: Matplotlib is not installed.
        ConfigError: No runs differ in this number, or there is no such metric.
        DataFileError: The file cannot be written.
    """
    found = comparable(groups, key)
    metric = metric or first_of_test(next(iter(found.values()))[0].first.metrics)
    curves = {title: points(runs, key, metric) for title, runs in found.items()}
    values = sorted({point.value for curve in curves.values() for point in curve})
    with picture(path, key, metric) as axes:
        for title, curve in curves.items():
            seeds = ", ".join(str(count) for count in sorted({p.seeds for p in curve}))
            places, means, spreads = zip(*((p.value, p.mean, p.std) for p in curve), strict=True)
            label = f"{title}, seeds: {seeds}"
            axes.errorbar(places, means, spreads, marker="o", capsize=3, label=label)
        if values[0] > 0:
            axes.set_xscale("log", base=2)
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()


def draw_over_time(histories: Sequence[History], metric: str | None, path: Path) -> None:
    """Write a PNG with a curve over the seconds of training for each history.

    Raises:
        BackendUnavailable: Matplotlib is not installed.
        ConfigError: A history has no such metric.
        DataFileError: The file cannot be written.
    """
    metric = metric or first_of_test(histories[0].moments[0])
    names = list(dict.fromkeys(history.name for history in histories))
    labels = dict.fromkeys(names)
    with picture(path, "seconds of training and evaluation", metric) as axes:
        for name, _, moments in histories:
            for moment in moments:
                expect_metric(metric, name, moment)
            seconds, values = ([moment[key] for moment in moments] for key in ("seconds", metric))
            label = name if name in labels else None  # of the first of its seeds
            labels.pop(name, None)
            axes.plot(seconds, values, color=f"C{names.index(name)}", marker=".", label=label)
        axes.set_xscale("log")


def draw_over_events(rows: Sequence[Measurement], path: Path) -> None:
    """Write a PNG with a curve over the events seen for each policy of each long stream.

    Raises:
        BackendUnavailable: Matplotlib is not installed.
        DataFileError: The file cannot be written.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.timing is not None:
            stream = LONG_STREAMS[row.graph]
            title = f"{row.form}, {stream.nodes:,} x {stream.slots}, batches of {stream.batch:,}"
            point = row.edges / 1e6, speed(stream, row.timing)
            curves.setdefault(title, []).append(point)
    with picture(path, "million events seen", "million events a second") as axes:
        for title, curve in curves.items():
            axes.plot(*zip(*curve, strict=True), marker=".", label=title)
        axes.set_ylim(bottom=0)


@contextmanager
def picture(path: Path, xlabel: str, ylabel: str) -> Iterator[Any]:
    """Axes to draw on, which are then written as a PNG."""
    expect_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(INCHES, layout="constrained")
    axes = figure.subplots()
    yield axes
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DOTS_PER_INCH, format="png")


def first_of_test(metrics: Mapping[str, float]) -> str:
    """The metric that is drawn where none is named."""
    return next(name for name in metrics if name.startswith("test_"))


def expect_metric(metric: str, name: str, metrics: Mapping[str, float]) -> None:
    """Refuse a metric that a run lacks."""
    if metric not in metrics:
        known = [key for key in metrics if key not in ("epoch", "seconds")]
        raise ConfigError(
            f"{name} has no {metric!r}; it has {', '.join(known)}{nearest(metric, known)}"
        )
