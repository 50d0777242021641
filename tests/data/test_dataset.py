"""NodeDataset refuses what does not fit together."""

from dataclasses import replace

import pytest
import torch

from neighborgraph.data import BinaryDataset, MultiLabelDataset, NodeDataset, Split
from neighborgraph.data.split import fixed
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph

TINY = load_tiny()
WITH_NAN = TINY.x.clone()
WITH_NAN[7, 2] = torch.nan


def with_split(train: list[int], val: list[int], test: list[int]) -> NodeDataset:
    split = Split(*(torch.tensor(ids, dtype=torch.int64) for ids in (train, val, test)))
    return replace(TINY, split_rule=fixed(split))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": TINY.x[:-1]}, r"120 nodes, but features \[119, 16\]"),
        ({"y": TINY.y[:-1]}, r"120 nodes, but .* labels \[119\]"),
        ({"num_classes": 3}, r"label 3 of node 90 is outside \[0, 3\)"),
        ({"y": TINY.y - 1}, r"label -1 of node 0 is outside"),
        ({"x": WITH_NAN}, "1 features are NaN or infinite, the first at node 7, column 2"),
    ],
)
def test_inconsistent_parts(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **change)


def test_labels_of_a_set() -> None:
    several = (torch.rand(120, 4) < 0.5).long()
    rest = TINY.x, several, 4, TINY.split_rule, "made up"
    assert MultiLabelDataset("several", TINY.graph, *rest).y is several
    with pytest.raises(InputError, match=r"120 nodes, but .* labels \[120, 4\]"):
        replace(TINY, y=several)
    with pytest.raises(InputError, match=r"120 nodes, but .* labels \[120\]"):
        MultiLabelDataset("several", TINY.graph, TINY.x, TINY.y, 4, TINY.split_rule, "made up")
    several[9, 2] = 2
    with pytest.raises(InputError, match="label 2 of node 9 is 2, neither 0 nor 1"):
        MultiLabelDataset("several", TINY.graph, *rest)


def test_a_binary_data_set_has_two_classes() -> None:
    y = TINY.y % 2
    rest = TINY.split_rule, "made up"
    assert BinaryDataset("binary", TINY.graph, TINY.x, y, 2, *rest).num_classes == 2
    with pytest.raises(InputError, match="data set binary: 4 classes, but a binary one has two"):
        BinaryDataset("binary", TINY.graph, TINY.x, TINY.y, 4, *rest)
    with pytest.raises(InputError, match=r"label 2 of node .* is outside \[0, 2\)"):
        BinaryDataset("binary", TINY.graph, TINY.x, TINY.y % 3, 2, *rest)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (([], [1], [2]), "the train split is empty"),
        (([0], [1], []), "the test split is empty"),
        (([0, 5], [1], [2, 5]), "node 5 occurs twice"),
        (([0, 0], [1], [2]), "node 0 occurs twice"),
        (([0], [120], [2]), r"the val split holds node ids outside \[0, 120\)"),
        (([-1], [1], [2]), "the train split holds node ids outside"),
    ],
)
def test_leaking_and_broken_splits(split: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_split(*split).split(0)


def test_digest_tells_versions_apart() -> None:
    assert load_tiny().digest == TINY.digest
    assert replace(TINY, x=TINY.x + 1).digest != TINY.digest
    assert replace(TINY, y=TINY.y.flip(0)).digest != TINY.digest
    fewer = Graph.from_edge_index(TINY.graph.edge_index[:, 1:], 120)
    assert replace(TINY, graph=fewer).digest != TINY.digest
