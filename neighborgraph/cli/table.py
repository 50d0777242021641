"""The table at the end of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from neighborgraph.bench.record import Record
from neighborgraph.tasks.recipe import Published


@dataclass(frozen=True)
class Row:
    """One model's results.

    Attributes:
        model: Its name.
        dataset: The data set's name.
        records: One a seed.
        published: What its paper reports.
    """

    model: str
    dataset: str
    records: Sequence[Record]
    published: Published | None


HEADER = ("model", "dataset", "seeds", "test acc %", "val acc %", "s/seed", "published %", "source")


def render(rows: Sequence[Row]) -> str:
    """All rows under one header, in aligned columns."""
    cells = [HEADER, *(row_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADER))]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def row_cells(row: Row) -> tuple[str, ...]:
    """One row as text."""
    published = row.published
    return (
        row.model,
        row.dataset,
        str(len(row.records)),
        spread([record.metrics["test_acc"] for record in row.records]),
        spread([record.metrics["val_acc"] for record in row.records]),
        f"{mean(record.seconds for record in row.records):.1f}",
        "-"
        if published is None
        else f"{published.test_acc:.1%} ± {published.std:.1%}".replace("%", ""),
        "" if published is None else published.source,
    )


def spread(fractions: Sequence[float]) -> str:
    """Mean and unbiased standard deviation in percent; one value has no deviation."""
    deviation = f"{100 * stdev(fractions):.1f}" if len(fractions) > 1 else "n/a"
    return f"{100 * mean(fractions):.1f} ± {deviation}"
