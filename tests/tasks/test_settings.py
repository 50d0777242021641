"""Fields of settings: ranges, choices, and when a training looks at its validation nodes."""

from dataclasses import MISSING, fields

import pytest

from neighborgraph.tasks import settings
from neighborgraph.tasks.settings import TrainingSettings, TurnSettings

KINDS = [value for value in vars(settings).values() if hasattr(value, "__dataclass_fields__")]


def test_kinds_are_found() -> None:
    assert len(KINDS) >= 10


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_lie_in_their_ranges(kind: type) -> None:
    for field in fields(kind):
        if "low" in field.metadata and field.default not in (MISSING, None):
            assert field.metadata["low"] <= field.default <= field.metadata["high"]
        if "values" in field.metadata:
            assert field.default == field.metadata["values"][0]


def test_the_last_epoch_is_evaluated() -> None:
    training = TrainingSettings(epochs=7, evaluate_every=3)
    assert [epoch for epoch in range(1, 8) if training.evaluates(epoch)] == [3, 6, 7]


def test_turns_begin_with_what_a_recipe_leaves_out() -> None:
    assert TurnSettings().pretrain == "none"
