"""The table at the end of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from neighborgraph.bench.record import Record
from neighborgraph.tasks.recipe import PublishedFigures, Recipe


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
    published: PublishedFigures | None


SELECTED_ON = {"validation": "validation", "published": "test"}
"""Protocol of a record to the part that selected its best epoch."""


@dataclass(frozen=True)
class Column:
    """How a metric is shown.

    Attributes:
        heading: Without the percent sign.
        metric: Its name in a record.
        digits: After the decimal point of a percentage; of the deviation too.
    """

    heading: str
    metric: str
    digits: int


COLUMNS = (
    Column("test acc", "test_acc", 1),
    Column("val acc", "val_acc", 1),
    Column("test ROC-AUC", "test_rocauc", 2),
    Column("val ROC-AUC", "val_rocauc", 2),
    *(
        Column(f"{part} {name}", f"{part}_{metric}", 2)
        for name, metric in (("Hits@20", "hits@20"), ("Hits@50", "hits@50"), ("MRR", "mrr"))
        for part in ("test", "val")
    ),
    *(
        Column(f"{part} {name}", f"{part.replace(' ', '_')}_{metric}", 2)
        for part in ("test", "test new", "val")
        for name, metric in (("AP", "ap"), ("AUC", "auc"))
    ),
    Column("recall@20", "test_recall@20", 2),
    Column("ndcg@20", "test_ndcg@20", 2),
    Column("val recall@20", "val_recall@20", 2),
)
"""Metrics that a table shows where its records have them, in this order."""


def published_for(recipe: Recipe, dataset: str) -> PublishedFigures | None:
    """The recipe's published figure, if it is about this data set.

    A figure for the whole data set says nothing about a tiny or a made-up one.
    """
    return recipe.published if recipe.name.endswith(f"/{dataset}") else None


def render(rows: Sequence[Row]) -> str:
    """All rows under one header, in aligned columns."""
    seen = {name for row in rows for record in row.records for name in record.metrics}
    columns = [column for column in COLUMNS if column.metric in seen]
    headings = [f"{column.heading} %" for column in columns]
    header = ("model", "dataset", "seeds", *headings, "selected on", "s/seed", "published %")
    cells = [(*header, "source"), *(row_cells(row, columns) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def row_cells(row: Row, columns: Sequence[Column]) -> tuple[str, ...]:
    """One row as text."""
    measured = [
        spread([record.metrics[c.metric] for record in row.records], c.digits)
        if all(c.metric in record.metrics for record in row.records)
        else "-"
        for c in columns
    ]
    return (
        row.model,
        row.dataset,
        str(len(row.records)),
        *measured,
        " and ".join(sorted({SELECTED_ON[record.protocol] for record in row.records})),
        f"{mean(record.seconds for record in row.records):.1f}",
        "-" if row.published is None else published_cell(row.published, columns),
        "" if row.published is None else row.published.source,
    )


def published_cell(published: PublishedFigures, columns: Sequence[Column]) -> str:
    """The published figures in the order of the columns, with deviations where they are given."""
    figures = []
    for column in columns:
        if column.metric in published.metrics:
            figure, deviation = published.metrics[column.metric]
            text = f"{100 * figure:.{column.digits}f}"
            figures.append(text if deviation is None else f"{text} ± {100 * deviation:.1f}")
    return ", ".join(figures)


def spread(fractions: Sequence[float], digits: int = 1) -> str:
    """Mean and unbiased standard deviation in percent; one value has no deviation."""
    deviation = f"{100 * stdev(fractions):.{digits}f}" if len(fractions) > 1 else "n/a"
    return f"{100 * mean(fractions):.{digits}f} ± {deviation}"
