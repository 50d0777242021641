"""The table: numbers by hand, columns aligned."""

from dataclasses import replace
from typing import Any

from neighborgraph.bench.record import Record
from neighborgraph.cli.table import Row, render, spread
from neighborgraph.tasks.settings import Published, PublishedRanking


def record(test_acc: float, seconds: float) -> Record:
    values: dict[str, Any] = dict.fromkeys(Record.__dataclass_fields__, "")
    metrics = {"test_acc": test_acc, "val_acc": 0.5}
    own = {"metrics": metrics, "seconds": seconds, "protocol": "validation"}
    return Record(**{**values, **own})


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


def ranking(protocol: str, **metrics: float) -> Record:
    named = {name.replace("_20", "@20"): value for name, value in metrics.items()}
    return replace(record(0.0, 2.0), metrics=named, protocol=protocol)


def test_table_of_recommenders_says_what_selected() -> None:
    published = PublishedRanking(recall_20=0.1823, ndcg_20=0.1555, source="A paper, Table 3")
    own = ranking("validation", test_recall_20=0.1712, test_ndcg_20=0.14, val_recall_20=0.1)
    as_published = ranking("published", test_recall_20=0.18241, test_ndcg_20=0.15)
    rows = [Row("a", "gowalla", [as_published], published), Row("b", "gowalla", [own, own], None)]
    header, _, first, second = render(rows).splitlines()
    assert "acc" not in header
    assert header.index("recall@20 %") == first.index("18.24 ± n/a") == second.index("17.12 ± 0.00")
    assert header.index("ndcg@20 %") == first.index("15.00 ± n/a")
    assert header.index("val recall@20 %") == first.index("-", 40) == second.index("10.00 ± 0.00")
    assert header.index("selected on") == first.index("test") == second.index("validation")
    assert header.index("published %") == first.index("18.23, 15.55")
