"""LargeGT: its modules put together, each alone, and what reaches which."""

from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import InputError
from neighborgraph.models import LargeGT, LargeGTGlobal, LargeGTLocal
from neighborgraph.models.largegt import TokenModel

SIZES = {"in_channels": 5, "hidden_channels": 8, "out_channels": 3}
GLOBAL = {**SIZES, "num_nodes": 40, "global_channels": 4, "codes": 6}


def build(kind: type[TokenModel]) -> TokenModel:
    return kind(**(SIZES if kind is LargeGTLocal else GLOBAL))


def inputs(model: TokenModel, nodes: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    position = torch.randn(nodes, model.position_channels)
    return torch.randn(nodes, 6, 3, 5), position, torch.randperm(40)[:nodes]


def test_both_modules_side_by_side() -> None:
    model: Any = build(LargeGT).eval()
    tokens, position, node = inputs(model)
    near = model.near(tokens.view(7, 18, 5))
    far = model.far(tokens[:, 0, 0], position, node)
    expected = model.head(torch.cat([near, far], dim=1))
    assert torch.equal(model(tokens, position, node), expected)


@pytest.mark.parametrize("kind", [LargeGT, LargeGTLocal, LargeGTGlobal])
def test_every_parameter_learns(kind: type[TokenModel]) -> None:
    model = build(kind)
    scores = model(*inputs(model))
    assert scores.shape == (7, 3)
    scores.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # A key's bias adds the same to all of a query's scores, a bias before a norm nothing.
        if not name.endswith(("key.bias", "head.0.bias")):
            assert parameter.grad.any(), name


def test_what_each_module_sees() -> None:
    local, far = build(LargeGTLocal).eval(), build(LargeGTGlobal).eval()
    tokens, position, node = inputs(far)
    around = tokens.clone()
    around[:, 1:] += 1
    assert torch.equal(far(tokens, position, node), far(around, position, node))
    assert not torch.allclose(local(tokens, position, node), local(around, position, node))
    assert torch.equal(local(tokens, position, node), local(tokens, position + 1, node))
    assert not torch.allclose(far(tokens, position, node), far(tokens, position + 1, node))


def test_refusals() -> None:
    with pytest.raises(InputError, match="out_channels=0 must be at least 1"):
        LargeGTLocal(**{**SIZES, "out_channels": 0})
    with pytest.raises(InputError, match=r"dropout=1.5 is outside \[0, 1\)"):
        LargeGT(**GLOBAL, dropout=1.5)
    with pytest.raises(InputError, match="num_codes=0 must be at least 1"):
        LargeGTGlobal(**{**GLOBAL, "codes": 0})
