"""Every model of the bench: ours and the peer are the same function with the same parameters."""

from typing import Any

import pytest
import torch

from neighborgraph.bench.cases import Case
from neighborgraph.bench.kernels import Bench, forward, forward_backward
from neighborgraph.bench.models import ARGUMENTS, CLASSES, WholeModel
from neighborgraph.bench.peers import largest_difference
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph
from neighborgraph.models import DAGNN


@pytest.fixture
def graph() -> Graph:
    return Graph.from_edge_index(torch.randint(30, (2, 100)), 30)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_ours_and_theirs_agree(name: str, graph: Graph) -> None:
    form = WholeModel.parse(name)
    inputs = form.inputs(graph, torch.float64, *form.shape, torch.Generator().manual_seed(0))
    ours: Any = form.ours(graph, torch.float64)
    theirs: Any = form.peers()["pyg"](graph, torch.float64)
    assert isinstance(ours, type(theirs)) == (name != "DAGNN")
    out = ours(**inputs)
    assert out.shape == (30, 1, CLASSES)
    grad = torch.randn_like(out)
    assert largest_difference(forward(theirs, inputs, grad), forward(ours, inputs, grad)) < 1e-10
    found, wanted = (forward_backward(f, inputs, grad) for f in (ours, theirs))
    assert len(found) == len(list(ours.parameters()))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", ["GCN", "GraphSAGE", "GAT"])
def test_only_our_layers_are_swapped(name: str, graph: Graph) -> None:
    form = WholeModel.parse(name)
    ours: Any = form.ours(graph, torch.float32)
    theirs: Any = form.peers()["pyg"](graph, torch.float32)
    for model, package in ((ours, "neighborgraph."), (theirs, "torch_geometric.")):
        assert len(model.layer.convs) == 3
        assert all(type(conv).__module__.startswith(package) for conv in model.layer.convs)


def test_dagnn_is_the_model_that_is_trained(graph: Graph) -> None:
    ours: Any = WholeModel.parse("DAGNN").ours(graph, torch.float32)
    assert isinstance(ours.model, DAGNN)
    assert ours.graph.num_edges >= graph.num_edges + 1


def test_rows_of_a_case(graph: Graph) -> None:
    case = Case("models", "tiny", "DAGNN", "float32", *WholeModel.shape)
    rows = list(Bench(case, graph, 0.01).rows(["pyg", "floor"]))
    assert [(row.stage, row.provider) for row in rows] == [
        (stage, provider)
        for stage in ("forward", "forward+backward")
        for provider in ("ours", "PyG eager")
    ]
    assert all(row.timing for row in rows), [row.note for row in rows]


def test_names() -> None:
    assert str(WholeModel.parse("GraphSAGE")) == "GraphSAGE"
    with pytest.raises(ConfigError, match=r"unknown model 'DAGN'; known are .*'DAGNN'\?"):
        WholeModel.parse("DAGN")


@pytest.mark.cuda
@pytest.mark.parametrize("name", ARGUMENTS)
def test_cuda_rows(name: str, graph: Graph) -> None:
    case = Case("models", "tiny", name, "float32", *WholeModel.shape)
    rows = list(Bench(case, graph.to("cuda"), 0.01).rows(["pyg", "compiled", "floor"]))
    assert [row.note for row in rows if row.timing is None] == []
    assert {row.provider for row in rows} == {"ours", "PyG eager", "PyG compiled"}
