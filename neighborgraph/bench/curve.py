"""Curves of runs: a metric of the test nodes against one number of the recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from neighborgraph.bench.measurement import writing
from neighborgraph.bench.plot import DOTS_PER_INCH, expect_matplotlib
from neighborgraph.bench.report import METRICS, Group
from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.tasks.recipe import load_recipe

INCHES = (7, 4.5)


@dataclass(frozen=True)
class Point:
    """Runs that share all numbers.

    Attributes:
        value: Of the number that the curve is drawn against.
        mean: Of the metric over seeds, in percent.
        std: Its unbiased standard deviation; 0 of a single seed.
        seeds: How many there are.
    """

    value: float
    mean: float
    std: float
    seeds: int


def curves(groups: Sequence[Group], key: str) -> dict[str, list[Point]]:
    """The points of each curve, by its title; a title names what else was changed in a recipe.

    Args:
        groups: Runs; those whose recipes have no such number, or that share it with no others, are
            left out.
        key: A number of recipes, as ``--set`` spells it.

    Raises:
        ConfigError: No runs differ in this number.
    """
    found: dict[str, list[Point]] = {}
    known: dict[str, None] = {}
    for group in groups:
        numbers = numbers_of(group)
        known |= dict.fromkeys(numbers)
        if key in numbers:
            others = [text for text in group.first.overrides if not text.startswith(f"{key}=")]
            title = " ".join([group.first.model, "on", group.first.dataset, *others])
            found.setdefault(title, []).append(point(group, numbers[key]))
    found = {title: points for title, points in found.items() if len(points) > 1}
    if not found:
        raise ConfigError(
            f"no runs differ in {key}{nearest(key, known)}; their recipes have {', '.join(known)}"
        )
    return {title: sorted(points, key=lambda p: p.value) for title, points in found.items()}


def numbers_of(group: Group) -> dict[str, float]:
    """The numbers of a group's recipe, with what was changed in it."""
    model, dataset = group.first.recipe.split("/")
    flat = load_recipe(model, dataset, group.first.overrides).flat()
    return {name: value for name, value in flat.items() if type(value) in (int, float)}


def point(group: Group, value: float) -> Point:
    """One group's place."""
    metric = next(name for name, _ in METRICS if f"test_{name}" in group.first.metrics)
    figures = [100 * record.metrics[f"test_{metric}"] for record in group.records]
    spread = stdev(figures) if len(figures) > 1 else 0.0
    return Point(value, mean(figures), spread, len(figures))


def draw_curves(groups: Sequence[Group], key: str, path: Path) -> None:
    """Write the curves as a PNG; bars are the standard deviation over seeds.

    Raises:
        BackendUnavailable: Matplotlib is not installed.
        ConfigError: No runs differ in this number.
        DataFileError: The file cannot be written.
    """
    expect_matplotlib()
    from matplotlib.figure import Figure

    picture = Figure(INCHES, layout="constrained")
    axis = picture.subplots()
    values = set()
    for title, points in curves(groups, key).items():
        x = [p.value for p in points]
        seeds = ", ".join(str(seeds) for seeds in sorted({p.seeds for p in points}))
        axis.errorbar(
            x,
            [p.mean for p in points],
            [p.std for p in points],
            marker="o",
            capsize=3,
            label=f"{title}, seeds: {seeds}",
        )
        values.update(x)
    if min(values) > 0:
        axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(values), [f"{value:g}" for value in sorted(values)])
    axis.minorticks_off()
    axis.set(xlabel=key, ylabel="test metric, percent")
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path, dpi=DOTS_PER_INCH, format="png")
