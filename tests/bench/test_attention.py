"""Every form of attend: its name, its inputs, and peers that compute the same."""

from typing import Any

import pytest
import torch

from neighborgraph.bench.attention import DROPPED, Attention
from neighborgraph.bench.peers import TOLERANCES, Segments, largest_difference, pyg_segments
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph

FORMS = [
    f"{base}{extras}"
    for base in ("dot", "gat", "gatv2")
    for extras in ("", "+edge", "+bias", "+edge+bias")
]
HEADS, WIDTH = 2, 8


@pytest.fixture
def graph() -> Graph:
    """Rows of 0 to many edges in no order, duplicates, and more sources than receivers."""
    edge_index = torch.stack([torch.randint(40, (300,)), torch.randint(25, (300,))])
    return Graph.from_edge_index(edge_index, (40, 30))


def made_inputs(form: Attention, graph: Graph, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return form.inputs(graph, dtype, HEADS, WIDTH, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("text", "name"),
    [("dot", "dot"), ("gatv2+dropout+edge", "gatv2+edge+dropout"), ("gat+bias+bias", "gat+bias")],
)
def test_names(text: str, name: str) -> None:
    assert str(Attention.parse(text)) == name
    assert Attention.parse(name) == Attention.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gat2", r"'gat2' is none of dot, gat, gatv2; did you mean 'gatv2'\?"),
        ("dot+egde", r"score 'dot\+egde': 'egde' is none of edge, bias, dropout; .*'edge'"),
        ("", "'' is none of dot"),
    ],
)
def test_unknown_name(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Attention.parse(text)


def test_inputs_of_a_form(graph: Graph) -> None:
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in made_inputs(Attention.parse("gat+edge+bias"), graph, torch.half).items()
    }
    assert shapes == {
        "q": (30, 2, 1),
        "k": (40, 2, 1),
        "v": (40, 2, 8),
        "edge": (300, 2, 1),
        "bias": (300, 2),
    }
    values = made_inputs(Attention.parse("gatv2+edge"), graph, torch.half)
    assert list(values) == ["q", "k", "edge", "weight"]
    assert values["edge"].shape == (300, 2, 8)
    assert all(t.requires_grad and t.any() and t.dtype == torch.half for t in values.values())


@pytest.mark.parametrize("text", FORMS)
def test_pyg_agrees(text: str, graph: Graph) -> None:
    form = Attention.parse(text)
    inputs = made_inputs(form, graph, torch.float64)
    answers = []
    for prepare in (form.peers()["pyg"], form.ours):
        out = prepare(graph, torch.float64)(**inputs)
        answers.append([out, *torch.autograd.grad(out.square().sum(), tuple(inputs.values()))])
    assert largest_difference(*answers) < TOLERANCES[torch.float64]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pyg_agrees_in_16_bits(dtype: torch.dtype, graph: Graph) -> None:
    form = Attention.parse("dot+edge")
    inputs = made_inputs(form, graph, dtype)
    pyg, ours = (make(graph, dtype)(**inputs) for make in (form.peers()["pyg"], form.ours))
    assert largest_difference([pyg], [ours]) < TOLERANCES[dtype]


def test_compose_equals_the_layers_of_pyg() -> None:
    """The composition beside TransformerConv, GATConv and GATv2Conv, given what they project."""
    from torch_geometric.nn import GATConv, GATv2Conv, TransformerConv

    edge_index = torch.randint(20, (2, 90))
    graph = Graph.from_edge_index(edge_index, 20)
    x, vectors = torch.randn(20, 6), torch.randn(90, 5)
    sizes: dict[str, Any] = {"in_channels": 6, "out_channels": WIDTH, "heads": HEADS}

    def composed(text: str, **inputs: torch.Tensor) -> torch.Tensor:
        return Attention.parse(text).compose(graph, torch.float32, pyg_segments())(**inputs)

    layer = TransformerConv(**sizes, edge_dim=5, root_weight=False)
    q, k, v = (
        lin(x).view(20, HEADS, WIDTH) for lin in (layer.lin_query, layer.lin_key, layer.lin_value)
    )
    edge = layer.lin_edge(vectors).view(90, HEADS, WIDTH)
    expected = layer(x, edge_index, vectors).view(20, HEADS, WIDTH)
    torch.testing.assert_close(composed("dot+edge", q=q, k=k, v=v, edge=edge), expected)

    layer: Any = GATConv(**sizes, add_self_loops=False, bias=False)
    v = layer.lin(x).view(20, HEADS, WIDTH)
    q, k = ((v * att).sum(-1, keepdim=True) for att in (layer.att_dst, layer.att_src))
    expected = layer(x, edge_index).view(20, HEADS, WIDTH)
    torch.testing.assert_close(composed("gat", q=q, k=k, v=v), expected)

    layer = GATv2Conv(**sizes, edge_dim=5, add_self_loops=False, bias=False)
    k, q = (lin(x).view(20, HEADS, WIDTH) for lin in (layer.lin_l, layer.lin_r))
    edge = layer.lin_edge(vectors).view(90, HEADS, WIDTH)
    expected = layer(x, edge_index, vectors).view(20, HEADS, WIDTH)
    inputs = {"q": q, "k": k, "edge": edge, "weight": layer.att[0]}
    torch.testing.assert_close(composed("gatv2+edge", **inputs), expected)


def test_dropout_drops_in_ours_and_in_the_peer() -> None:
    # One row that attends equally to 4000 sources, whose values are one.
    sources = torch.arange(4000)
    graph = Graph.from_edge_index(torch.stack([sources, torch.zeros_like(sources)]), (4000, 1))
    form = Attention.parse("dot+dropout")
    assert form.is_random
    inputs = {"q": torch.zeros(1, 1, 4), "k": torch.ones(4000, 1, 4), "v": torch.ones(4000, 1, 4)}
    for make in (form.ours, form.peers()["pyg"]):
        kept = make(graph, torch.float32)(**inputs)[0, 0, 0] * (1 - DROPPED)
        assert 0.85 < kept < 0.95


def test_a_score_is_gathered_once_a_side(graph: Graph) -> None:
    """Segments are the only thing in which libraries differ."""
    seen: list[tuple[int, ...]] = []

    def softmax(score: torch.Tensor, receiver: torch.Tensor, size: int) -> torch.Tensor:
        seen.append(tuple(score.shape))
        return torch.zeros_like(score)

    def reduce(message: torch.Tensor, receiver: torch.Tensor, size: int, how: str) -> torch.Tensor:
        seen.append(tuple(message.shape))
        assert how == "sum" and size == 30
        return message.new_zeros(size, *message.shape[1:])

    form = Attention.parse("gatv2")
    run = form.compose(graph, torch.float32, Segments(softmax, reduce))
    assert run(**made_inputs(form, graph, torch.float32)).shape == (30, 2, 8)
    assert seen == [(300, 2), (300, 2, 8)]


@pytest.mark.parametrize("text", ["dot", "dot+edge", "gat+bias+dropout", "gatv2+edge"])
def test_passes_of_the_backward_run_alone(text: str, graph: Graph) -> None:
    form = Attention.parse(text)
    inputs = made_inputs(form, graph, torch.float32)
    grad = torch.randn(30, HEADS, WIDTH)
    passes = form.passes(graph, inputs, grad)
    assert list(passes) == ["grad q", "backward"]
    if form.is_random:
        return
    alone = passes["backward"]()
    out = form.ours(graph, torch.float32)(**inputs)
    names = ["q", "k", "v"] if "v" in inputs else ["q"]
    together = torch.autograd.grad(out, [inputs[name] for name in names], grad)
    assert largest_difference(alone[: len(together)], together) == 0
    assert torch.equal(passes["grad q"]()[0], alone[0])
