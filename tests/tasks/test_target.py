"""Targets by hand, and which belongs to which data set."""

import math
from dataclasses import replace

import pytest
import torch

from neighborgraph.data import BinaryDataset, MultiLabelDataset
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.tasks.target import OneOfSeveral, OneOfTwo, YesOrNo, target_of

TINY = load_tiny()


def test_one_of_several_by_hand() -> None:
    target = OneOfSeveral()
    scores = torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    assert target.loss(scores[:1], torch.tensor([1])).item() == pytest.approx(math.log(3))
    assert target.measure(scores, torch.tensor([2, 0])) == 0.5
    assert target.predict(scores).tolist() == [0, 0]


def test_one_of_two_by_hand() -> None:
    target = OneOfTwo()
    scores = torch.tensor([[0.0, 3.0], [1.0, 2.0], [0.0, 2.0], [5.0, 0.0]])  # 3, 1, 2, -5 ahead
    assert target.predict(scores).tolist() == [3, 1, 2, -5]
    assert target.measure(scores, torch.tensor([1, 1, 0, 0])) == 0.75
    assert target.loss(scores[:1], torch.tensor([1])).item() == pytest.approx(
        math.log1p(math.e**-3)
    )


def test_yes_or_no_by_hand() -> None:
    target = YesOrNo()
    scores, labels = torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.tensor([[1, 1], [0, 0]])
    assert (
        target.measure(scores, labels) == 0.5
    )  # none of the first label's pairs, the second's one
    assert target.loss(scores[:1, :1], labels[:1, :1]).item() == pytest.approx(math.log(2))
    assert target.predict(scores) is scores


def test_the_type_of_the_data_set_decides() -> None:
    rest = TINY.split_rule, "made up"
    binary = BinaryDataset("two", TINY.graph, TINY.x, TINY.y % 2, 2, *rest)
    several = MultiLabelDataset("some", TINY.graph, TINY.x, torch.ones(120, 4).long(), 4, *rest)
    for dataset, kind in ((TINY, OneOfSeveral), (binary, OneOfTwo), (several, YesOrNo)):
        assert type(target_of(dataset)) is kind
        assert type(target_of(replace(dataset, name="other"))) is kind
