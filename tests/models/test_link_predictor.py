"""LinkPredictor against its formula, with features and with embeddings; what it refuses."""

import pytest
import torch

from neighborgraph.errors import ConfigError, InputError
from neighborgraph.models import GCN, SAGE, LinkPredictor, build_link_predictor

PREDICTOR = {"hidden_channels": 8, "layers": 3, "dropout": 0.5}
PAIRS = torch.tensor([[0, 5, 7], [1, 5, 2]])


def test_formula(graph) -> None:
    model = build_link_predictor("gcn", 6, 40, PREDICTOR, hidden_channels=4, dropout=0.5).eval()
    assert isinstance(model.encoder, GCN)
    assert model.embedding is None
    x = torch.randn(40, 6)
    z = model.encode(x, graph)
    assert torch.equal(z, model.encoder(x, graph))
    assert z.shape == (40, 8)
    first, second = model.hidden
    expected = model.out(second(first(z[PAIRS[0]] * z[PAIRS[1]]).relu()).relu()).view(-1)
    torch.testing.assert_close(model(z, PAIRS), expected)
    assert torch.equal(model(z, PAIRS), model(z, PAIRS.flip(0)))


def test_nodes_without_features_have_an_embedding(graph) -> None:
    model = build_link_predictor("sage", None, 40, PREDICTOR, hidden_channels=4, dropout=0.5)
    assert isinstance(model.encoder, SAGE)
    assert model.embedding is not None
    assert model.embedding.shape == (40, 8)
    model.eval()
    assert torch.equal(model.encode(None, graph), model.encoder(model.embedding, graph))
    model(model.encode(None, graph), PAIRS).sum().backward()
    assert model.embedding.grad is not None
    with pytest.raises(InputError, match="x must be None"):
        model.encode(torch.randn(40, 8), graph)


def test_dropout_only_while_training(graph) -> None:
    model, z = LinkPredictor(torch.nn.Identity(), **PREDICTOR), torch.randn(40, 8)
    assert not torch.equal(model(z, PAIRS), model(z, PAIRS))
    model.eval()
    assert torch.equal(model(z, PAIRS), model(z, PAIRS))


def test_one_layer_is_linear() -> None:
    model, z = LinkPredictor(torch.nn.Identity(), **{**PREDICTOR, "layers": 1}), torch.randn(40, 8)
    torch.testing.assert_close(model(z, PAIRS), model.out(z[PAIRS[0]] * z[PAIRS[1]]).view(-1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_channels": 0}, "hidden_channels=0 must be at least 1"),
        ({"layers": 0}, "layers=0 must be at least 1"),
        ({"dropout": 1.0}, r"dropout=1.0 is outside \[0, 1\)"),
        ({"num_nodes": 0}, "num_nodes=0 must be at least 1"),
    ],
)
def test_out_of_range(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LinkPredictor(torch.nn.Identity(), **{**PREDICTOR, **change})


def test_neither_features_nor_embedding(graph) -> None:
    with pytest.raises(InputError, match="x is None; give the nodes' features"):
        LinkPredictor(torch.nn.Identity(), **PREDICTOR).encode(None, graph)


def test_a_recommender_is_no_encoder() -> None:
    with pytest.raises(ConfigError, match="lightgcn cannot be built from in_channels"):
        build_link_predictor("lightgcn", 6, 40, PREDICTOR)
