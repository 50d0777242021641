"""Swapping inside the models and wrappers that PyG and Torch offer."""

from collections.abc import Callable

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from neighborgraph import nn as ours
from neighborgraph.nn import accelerate, restore

WIDTH = 8


def inputs() -> tuple[Tensor, Tensor]:
    """Features of 30 nodes, and 100 edges between them."""
    return torch.randn(30, WIDTH, dtype=torch.float64), torch.randint(30, (2, 100))


BASIC = {
    "GCNConv": lambda: pyg.GCN(WIDTH, 16, 2, 4),
    "GATConv": lambda: pyg.GAT(WIDTH, 16, 2, 4, heads=2),
    "GATv2Conv": lambda: pyg.GAT(WIDTH, 16, 2, 4, v2=True, jk="cat"),
    "SAGEConv": lambda: pyg.GraphSAGE(WIDTH, 16, 2, 4, norm="batch"),
    "GINConv": lambda: pyg.GIN(WIDTH, 16, 2, 4),
}


@pytest.mark.parametrize("name", BASIC)
def test_basic_models(name: str) -> None:
    model = BASIC[name]().double().eval()
    x, edge_index = inputs()
    expected = model(x, edge_index)
    report = accelerate(model)
    assert [(layer.path, layer.name) for layer in report.swapped] == [
        ("convs.0", name),
        ("convs.1", name),
    ]
    assert report.left == ()
    torch.testing.assert_close(model(x, edge_index), expected)
    restore(model)
    assert torch.equal(model(x, edge_index), expected)


def sequential() -> nn.Module:
    """PyG's own container."""
    conv = pyg.SAGEConv(WIDTH, WIDTH)
    steps = [(conv, "x, edge_index -> x"), nn.ReLU(), (pyg.GCNConv(WIDTH, 4), "x, edge_index -> x")]
    return pyg.Sequential("x, edge_index", steps)


class Nested(nn.Module):
    """One layer used twice, at two places, and one further down."""

    def __init__(self) -> None:
        super().__init__()
        self.first = pyg.GATConv(WIDTH, WIDTH)
        self.again = self.first
        self.deep = nn.ModuleList([nn.ModuleDict({"inner": pyg.GraphConv(WIDTH, 4)})])

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Three steps."""
        x = self.again(self.first(x, edge_index), edge_index)
        return self.deep[0]["inner"](x, edge_index)


def gps() -> nn.Module:
    """A local layer and dense attention."""
    return pyg.GPSConv(WIDTH, pyg.GINConv(nn.Linear(WIDTH, WIDTH)), heads=2)


WRAPPED: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "pyg.Sequential": (sequential, ["module_0", "module_2"]),
    "shared and deep": (Nested, ["first", "deep.0.inner"]),
    "GPSConv": (gps, ["conv"]),
    "DataParallel": (lambda: nn.DataParallel(Nested()), ["module.first", "module.deep.0.inner"]),
    "DirGNNConv": (lambda: pyg.DirGNNConv(pyg.SAGEConv(WIDTH, 4)), ["conv_in", "conv_out"]),
    "compiled": (
        lambda: torch.compile(pyg.GCN(WIDTH, 8, 2), backend="eager"),
        ["_orig_mod.convs.0", "_orig_mod.convs.1"],
    ),
}


OF_DYNAMO = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf",
    "ignore:.*should not be instantiated:DeprecationWarning",
)


@OF_DYNAMO
@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped(name: str) -> None:
    make, paths = WRAPPED[name]
    model = make().double().eval()
    x, edge_index = inputs()
    expected = model(x, edge_index)
    report = accelerate(model)
    assert [layer.path for layer in report.swapped] == paths
    assert all(
        type(model.get_submodule(path)).__module__.startswith("neighborgraph") for path in paths
    )
    torch.testing.assert_close(model(x, edge_index), expected)
    assert [layer.path for layer in restore(model).swapped] == paths
    torch.testing.assert_close(model(x, edge_index), expected)


@OF_DYNAMO
def test_compiled_code_does_not_outlive_the_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.compile(pyg.GraphSAGE(WIDTH, 8, 2).double(), backend="eager")
    x, edge_index = inputs()
    expected = model(x, edge_index)
    accelerate(model)
    calls = []
    forward = ours.SAGEConv.forward

    def counted(self, *args, **kwargs):
        calls.append(self)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(ours.SAGEConv, "forward", torch.compiler.disable(counted))
    torch.testing.assert_close(model(x, edge_index), expected)
    assert len(calls) == 2


def hetero() -> HeteroData:
    """Two types of nodes, edges both ways and within one."""
    data = HeteroData()
    data["a"].x = torch.randn(20, WIDTH, dtype=torch.float64)
    data["b"].x = torch.randn(10, WIDTH, dtype=torch.float64)
    data["a", "to", "b"].edge_index = ends(20, 10)
    data["b", "to", "a"].edge_index = ends(10, 20)
    data["a", "to", "a"].edge_index = ends(20, 20)
    return data


def ends(sources: int, receivers: int) -> Tensor:
    return torch.stack([torch.randint(sources, (60,)), torch.randint(receivers, (60,))])


def same(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert sorted(actual) == sorted(expected) == ["a", "b"]
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name])


def test_to_hetero() -> None:
    data = hetero()
    model = pyg.to_hetero(pyg.GraphSAGE(WIDTH, 16, 2, 4), data.metadata()).double()
    expected = model(data.x_dict, data.edge_index_dict)
    report = accelerate(model)
    assert [layer.name for layer in report.swapped] == ["SAGEConv"] * 6
    assert report.left == ()
    same(model(data.x_dict, data.edge_index_dict), expected)
    restore(model)
    same(model(data.x_dict, data.edge_index_dict), expected)


def test_hetero_conv() -> None:
    data = hetero()
    model = pyg.HeteroConv(
        {
            ("a", "to", "b"): pyg.GATv2Conv((WIDTH, WIDTH), 4, add_self_loops=False),
            ("b", "to", "a"): pyg.TransformerConv((WIDTH, WIDTH), 4),
            ("a", "to", "a"): pyg.GCNConv(WIDTH, 4),
        }
    ).double()
    expected = model(data.x_dict, data.edge_index_dict)
    assert len(accelerate(model).swapped) == 3
    same(model(data.x_dict, data.edge_index_dict), expected)


def test_lazy_layers_swap_before_they_know_their_width() -> None:
    model = pyg.GraphSAGE(-1, 16, 2, 4).double()
    assert len(accelerate(model).swapped) == 2
    x, edge_index = inputs()
    assert model(x, edge_index).shape == (30, 4)
    actual = model(x, edge_index)
    restore(model)
    torch.testing.assert_close(model(x, edge_index), actual)
