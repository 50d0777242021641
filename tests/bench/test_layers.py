"""Every layer of the bench: ours and PyG's are the same function with the same parameters."""

from typing import Any

import pytest
import torch

from neighborgraph.bench import layers
from neighborgraph.bench.cases import Case
from neighborgraph.bench.kernels import Bench, forward, forward_backward
from neighborgraph.bench.layers import ARGUMENTS, ConvLayer
from neighborgraph.bench.peers import largest_difference
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph


@pytest.fixture
def graph() -> Graph:
    return Graph.from_edge_index(torch.randint(30, (2, 100)), 30)


@pytest.mark.parametrize("text", [*ARGUMENTS, "GATConv+fresh"])
def test_ours_and_theirs_agree(text: str, graph: Graph) -> None:
    form = ConvLayer.parse(text)
    inputs = form.inputs(graph, torch.float64, *form.shape, torch.Generator().manual_seed(0))
    ours: Any = form.ours(graph, torch.float64)
    theirs: Any = form.peers()["pyg"](graph, torch.float64)
    assert type(ours.layer).__module__.startswith("neighborgraph.")
    assert type(theirs.layer).__module__.startswith("torch_geometric.")
    assert ours.layer.path(inputs["x"], graph.edge_index).fused
    out = ours(**inputs)
    assert out.shape == (30, *form.shape) and form.shape[0] * form.shape[1] == layers.CHANNELS
    grad = torch.randn_like(out)
    for stage in (forward, forward_backward):
        assert largest_difference(*(stage(f, inputs, grad)[:1] for f in (theirs, ours))) < 1e-10
    assert len(forward_backward(ours, inputs, grad)) == 1 + len(list(theirs.parameters()))


@pytest.mark.parametrize(("text", "count"), [("GCNConv", 1), ("GCNConv+fresh", 3)])
def test_edges_are_new_where_they_should_be(text: str, count: int, graph: Graph) -> None:
    form = ConvLayer.parse(text)
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            seen.append(edge_index)
            return x

    function = layers.OnEdges(Spy(), graph, form.shape, fresh=form.fresh)
    for _ in range(3):
        function(torch.randn(30, layers.CHANNELS))
    assert len({id(edge_index) for edge_index in seen}) == count
    assert all(torch.equal(edge_index, graph.edge_index) for edge_index in seen)


def test_rows_of_a_case(graph: Graph) -> None:
    case = Case("layers", "tiny", "TransformerConv+fresh", "float32", 4, 32)
    rows = list(Bench(case, graph, 0.01).rows(["pyg", "floor"]))
    assert [(row.stage, row.provider) for row in rows] == [
        (stage, provider)
        for stage in ("forward", "forward+backward")
        for provider in ("ours", "PyG eager")
    ]
    assert all(row.timing for row in rows), [row.note for row in rows]


def test_names() -> None:
    assert str(ConvLayer.parse("SAGEConv")) == "SAGEConv"
    assert str(ConvLayer.parse("SAGEConv+fresh")) == "SAGEConv+fresh"
    with pytest.raises(ConfigError, match=r"unknown layer 'GAT2Conv'; known are Tr.*'GATv2Conv'\?"):
        ConvLayer.parse("GAT2Conv")
    with pytest.raises(ConfigError, match=r"'GATConv\+edge': only \+fresh can follow GATConv"):
        ConvLayer.parse("GATConv+edge")


@pytest.mark.cuda
@pytest.mark.parametrize("text", ["GATConv", "TransformerConv+fresh", "SAGEConv+fresh"])
def test_cuda_rows(text: str, graph: Graph) -> None:
    case = Case("layers", "tiny", text, "float32", *ConvLayer.parse(text).shape)
    rows = list(Bench(case, graph.to("cuda"), 0.01).rows(["pyg", "compiled", "floor"]))
    assert [row.note for row in rows if row.timing is None] == []
    assert {row.provider for row in rows} == {"ours", "PyG eager", "PyG compiled"}
