"""The named mixtures: which experts they have, and that their options arrive."""

import pytest
import torch

from neighborgraph import models
from neighborgraph.errors import ConfigError
from neighborgraph.models import GCN, MLP, MODELS, SAGE, MowstModel, MowstStarModel

OPTIONS = {"hidden_channels": 8, "dropout": 0.5}


@pytest.mark.parametrize(
    ("name", "strong", "star"),
    [
        ("mowst-gcn", GCN, False),
        ("mowst-sage", SAGE, False),
        ("mowst-star-gcn", GCN, True),
        ("mowst-star-sage", SAGE, True),
    ],
)
def test_experts(name: str, strong: type, star: bool, graph) -> None:
    model = models.build(name, 6, 3, **OPTIONS)
    assert isinstance(model, MowstModel)
    assert isinstance(model, MowstStarModel) == star
    assert (type(model.weak), type(model.strong)) == (MLP, strong)
    assert model.eval()(torch.randn(40, 6), graph).shape == (40, 3)


def test_options_arrive() -> None:
    model = models.build(
        "mowst-gcn",
        6,
        3,
        **OPTIONS,
        gate_channels=5,
        gate_dropout=0.25,
        self_features=True,
        evaluation="released",
    )
    assert isinstance(model, MowstModel)
    gate = model.gate
    assert isinstance(gate, models.ConfidenceGate)
    assert gate.features is not None
    assert (gate.features.weight.shape, gate.dropout) == ((5, 6), 0.25)
    assert model.evaluation == "released"
    plain = models.build("mowst-gcn", 6, 3, **OPTIONS)
    assert isinstance(plain, MowstModel)
    assert isinstance(plain.gate, models.ConfidenceGate)
    assert plain.gate.features is None


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("mowst")])
def test_wrong_option(name: str) -> None:
    with pytest.raises(ConfigError, match="evaluation='code' must be one of paper, released"):
        models.build(name, 6, 3, **OPTIONS, evaluation="code")
