"""Bars of one run: for every case ours, the peers and the floor, forward and forward+backward."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neighborgraph.bench.measurement import Circumstances, Measurement, figure, writing
from neighborgraph.bench.peers import TITLES
from neighborgraph.errors import BackendUnavailable

STAGES = ("forward", "forward+backward")
COLORS = dict(
    zip(
        ("ours", *TITLES.values()),
        ("#0a6c4e", "#c44e52", "#dd8a52", "#8172b3", "#5b87b8", "#93b7d8", "#b0b0b0"),
        strict=True,
    )
)
"""Ours stands out; the floor, which is no competitor, is grey."""
GAP = 1
"""Between the bars of two cases, in bars."""
MOST_BARS = 45
"""Of one column; more are set in two columns, so that a screen shows them."""
INCHES_PER_BAR = 0.18
INCHES_PER_COLUMN = 14
ROOM_FOR_TEXT = 6.0
"""The time axis ends at this many times the slowest bar, so that its label fits."""
DOTS_PER_INCH = 100


@dataclass(frozen=True)
class Group:
    """The rows of one case.

    Attributes:
        title: The case in two lines.
        rows: By pass and provider.
    """

    title: str
    rows: dict[tuple[str, str], Measurement]

    @property
    def providers(self) -> list[str]:
        """Those that have a row in any pass, in the order of ``COLORS``."""
        return [name for name in COLORS if any(name == provider for _, provider in self.rows)]

    @property
    def height(self) -> int:
        """Its bars and the gap below them."""
        return len(self.providers) + GAP


def expect_matplotlib() -> None:
    """Refuse to go on without Matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise BackendUnavailable(
            "a plot needs Matplotlib: pip install 'neighborgraph[plot]', or leave out --plot"
        )


def draw(rows: Sequence[Measurement], circumstances: Circumstances, path: Path) -> None:
    """Write the picture as a PNG.

    Raises:
        BackendUnavailable: Matplotlib is not installed.
        DataFileError: The file cannot be written.
    """
    expect_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = in_columns(grouped(rows))
    height = max((sum(group.height for group in groups) for groups in columns), default=0)
    size = INCHES_PER_COLUMN * max(1, len(columns)), 1.8 + INCHES_PER_BAR * height
    picture = Figure(size, layout="constrained")
    axes = picture.subplots(1, max(1, len(columns)) * len(STAGES), squeeze=False)[0]
    for number, groups in enumerate(columns):
        for axis, stage in zip(axes[number * len(STAGES) :], STAGES, strict=False):
            draw_stage(axis, groups, stage, height)
        label_groups(axes[number * len(STAGES)], groups)
    timed = {row.provider for row in rows if row.timing and row.stage in STAGES}
    handles = [Patch(color=color, label=name) for name, color in COLORS.items() if name in timed]
    picture.legend(
        handles=handles, loc="outside upper center", ncols=max(1, len(handles)), frameon=False
    )
    picture.supxlabel(
        f"median milliseconds, logarithmic; × is the time over ours\n{circumstances.hardware}, "
        f"torch {circumstances.versions['torch']}, {circumstances.date[:10]}",
        fontsize=9,
    )
    with writing(path):
        picture.savefig(path, dpi=DOTS_PER_INCH, format="png")


def grouped(rows: Sequence[Measurement]) -> list[Group]:
    """The rows of both passes by case, in the order in which they were measured."""
    cases: dict[str, dict[tuple[str, str], Measurement]] = {}
    for row in rows:
        if row.stage in STAGES:
            title = f"{row.op} {row.form}\n{row.graph}  {row.heads}x{row.width}  {row.dtype}"
            cases.setdefault(title, {})[row.stage, row.provider] = row
    return [Group(title, found) for title, found in cases.items()]


def in_columns(groups: Sequence[Group]) -> list[list[Group]]:
    """All groups, or two halves of about the same height."""
    total = sum(group.height for group in groups)
    if total <= MOST_BARS:
        return [list(groups)]
    left: list[Group] = []
    for group in groups:
        if sum(each.height for each in left) >= total / 2:
            break
        left.append(group)
    return [left, list(groups[len(left) :])]


def draw_stage(axis: Any, groups: Sequence[Group], stage: str, height: int) -> None:
    """The bars of one pass, each with its time and its factor."""
    timed = [
        row.timing.median_ms
        for group in groups
        for (name, _), row in group.rows.items()
        if name == stage and row.timing
    ]
    left, right = min(timed, default=0.1) / 2, max(timed, default=1.0) * ROOM_FOR_TEXT
    axis.set(xscale="log", xlim=(left, right), ylim=(max(height - GAP, 0), -1))
    axis.set_title(stage, fontsize=11, weight="bold")
    top = 0
    for group in groups:
        for place, provider in enumerate(group.providers):
            row = group.rows.get((stage, provider))
            if row is not None:
                draw_bar(axis, top + place, row, left)
        top += group.height
    axis.xaxis.set_major_formatter(lambda milliseconds, _: f"{milliseconds:g}")
    axis.tick_params(axis="x", labeltop=True, labelsize=8)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_yticks([])
    axis.spines[["top", "right", "left"]].set_visible(False)


def draw_bar(axis: Any, height: float, row: Measurement, left: float) -> None:
    """One bar, or the reason why there is none."""
    style = {"va": "center", "fontsize": 7.5}
    if row.timing is None:
        text = f"{row.provider}: {row.note.partition(';')[0]}"[:60]
        axis.text(left * 1.05, height, text, color="#888888", style="italic", **style)
        return
    milliseconds = row.timing.median_ms
    axis.barh(height, milliseconds - left, 0.88, left, color=COLORS[row.provider])
    factor = "" if row.ratio is None or row.provider == "ours" else f"   {row.ratio:.2g}×"
    if row.ratio is not None and row.ratio >= 99.5:
        factor = f"   {row.ratio:.0f}×"
    weight = "bold" if row.provider == "ours" else "normal"
    label = f"{figure(milliseconds)} ms{factor}"
    axis.text(milliseconds * 1.06, height, label, weight=weight, **style)


def label_groups(axis: Any, groups: Sequence[Group]) -> None:
    """The case beside the middle of its bars."""
    middles, top = [], 0
    for group in groups:
        middles.append(top + (len(group.providers) - 1) / 2)
        top += group.height
    axis.set_yticks(middles, [group.title for group in groups], fontsize=8)
    axis.tick_params(axis="y", length=0)
