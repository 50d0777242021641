"""The table: numbers by hand, columns aligned."""

from typing import Any

from neighborgraph.bench.record import Record
from neighborgraph.cli.table import Row, render, spread
from neighborgraph.tasks.recipe import Published


def record(test_acc: float, seconds: float) -> Record:
    values: dict[str, Any] = dict.fromkeys(Record.__dataclass_fields__, "")
    metrics = {"test_acc": test_acc, "val_acc": 0.5}
    return Record(**{**values, "metrics": metrics, "seconds": seconds})


def test_unbiased_deviation() -> None:
    # Deviations -1, 0, 1 and two degrees of freedom.
    assert spread([0.80, 0.81, 0.82]) == "81.0 ± 1.0"
    assert spread([0.8125]) == "81.2 ± n/a"


def test_table() -> None:
    published = Published(test_acc=0.844, std=0.005, source="A paper, Table 2")
    rows = [
        Row("dagnn", "cora", [record(0.84, 1.0), record(0.85, 3.0)], published),
        Row("mlp", "cora", [record(0.6, 0.5)], None),
    ]
    header, line, first, second = render(rows).splitlines()
    assert set(line) == {"-"}
    assert len(line) == len(header)
    assert first.split("  ")[0] == "dagnn"
    assert "84.5 ± 0.7" in first
    assert "84.4 ± 0.5" in first
    assert first.endswith("A paper, Table 2")
    assert first.index("84.5") == header.index("test acc") == second.index("60.0")
    assert second.split()[-1] == "-"
