"""Checks shared by the models' constructors."""

import pytest

from neighborgraph.errors import InputError
from neighborgraph.models.options import expect_options


def test_good_options_pass() -> None:
    expect_options(dropout=0.0, in_channels=1)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_outside_its_range(dropout: float) -> None:
    with pytest.raises(InputError, match=r"dropout=.* is outside \[0, 1\)"):
        expect_options(dropout=dropout)


def test_width_below_one() -> None:
    with pytest.raises(InputError, match="hidden_channels=0 must be at least 1"):
        expect_options(dropout=0.5, hidden_channels=0)
