"""The table of models: every way a name or an option can be wrong."""

import pytest
import torch

from neighborgraph import models
from neighborgraph.errors import ConfigError

GOOD = {"hidden_channels": 8, "hops": 2, "dropout": 0.5}


def test_build() -> None:
    model = models.build("dagnn", 5, 3, **GOOD)
    assert isinstance(model, models.DAGNN)


def test_an_int_is_a_fine_float() -> None:
    models.build("dagnn", 5, 3, **{**GOOD, "dropout": 0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hopps": 3}, "no option 'hopps'; did you mean 'hops'"),
        ({"hops": 2.0}, "'hops' must be int, got 2.0 .float"),
        ({"hops": True}, "'hops' must be int, got True"),
        ({"dropout": "0.5"}, "'dropout' must be float, got '0.5'"),
        ({"dropout": 1.0}, r"dropout=1.0 is outside \[0, 1\)"),
        ({"hidden_channels": 0}, "hidden_channels=0 must be at least 1"),
        ({"hops": -1}, "hops=-1 is negative"),
    ],
)
def test_wrong_options(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        models.build("dagnn", 5, 3, **{**GOOD, **change})


def test_missing_option() -> None:
    with pytest.raises(ConfigError, match="dagnn needs the option 'hops'"):
        models.build("dagnn", 5, 3, hidden_channels=8, dropout=0.5)


def test_unknown_model() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'dagn'; did you mean 'dagnn'\?"):
        models.find("dagn")


SIZES = {"num_users": 2, "num_items": 3, "train_pairs": torch.tensor([[0, 0, 1], [0, 2, 1]])}


def test_an_option_may_be_a_list() -> None:
    model = models.build_recommender("lightgcn", **SIZES, num_layers=1, alpha=[1, 0.5])
    assert isinstance(model, models.LightGCN)
    assert model.alpha == (1.0, 0.5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lightgcn", {"alpha": 0.5}, r"'alpha' must be list\[float\] . None, got 0.5 .float"),
        ("lightgcn", {"alpha": [1.0]}, "alpha has 1 layer weights"),
        ("lightgcn", {"num_layer": 3}, "no option 'num_layer'; did you mean 'num_layers'"),
        ("ultragcn", {"w1": "1"}, "'w1' must be float, got '1'"),
        ("dagnn", GOOD, "dagnn cannot be built from num_users, num_items, train_pairs"),
    ],
)
def test_wrong_options_of_recommenders(name: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        models.build_recommender(name, **SIZES, **options)
