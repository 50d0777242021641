"""Checks shared by the models' constructors."""

import pytest

from neighborgraph.errors import InputError
from neighborgraph.models.options import (
    expect_counts,
    expect_dropout,
    expect_options,
    expect_weights,
)


def test_good_options_pass() -> None:
    expect_options(dropout=0.0, in_channels=1)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_outside_its_range(dropout: float) -> None:
    with pytest.raises(InputError, match=r"dropout=.* is outside \[0, 1\)"):
        expect_options(dropout=dropout)


def test_width_below_one() -> None:
    with pytest.raises(InputError, match="hidden_channels=0 must be at least 1"):
        expect_options(dropout=0.5, hidden_channels=0)


def test_every_option_of_a_kind_is_checked_by_name() -> None:
    with pytest.raises(InputError, match="b=0 must be at least 1"):
        expect_counts(a=1, b=0)
    with pytest.raises(InputError, match=r"b=1 is outside \[0, 1\)"):
        expect_dropout(a=0, b=1)


@pytest.mark.parametrize("weight", [-1e-9, float("inf"), float("nan")])
def test_weights_are_finite_and_not_negative(weight: float) -> None:
    expect_weights(a=0.0, b=1e9)
    with pytest.raises(InputError, match=r"b=.* must be finite and 0 or more"):
        expect_weights(a=0.0, b=weight)
