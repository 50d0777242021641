"""Swapping layers in place: which, where, what stays, and back again."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn
from torch_geometric.explain import Explainer, GNNExplainer

from neighborgraph import nn as ours
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.nn import Report, accelerate, restore
from neighborgraph.nn.accelerate import Layer, originals

WIDTH = 8
LAYERS: dict[str, Callable[[], Any]] = {
    "APPNP": lambda: pyg.APPNP(K=3, alpha=0.1),
    "GATConv": lambda: pyg.GATConv(WIDTH, 4, heads=2),
    "GATv2Conv": lambda: pyg.GATv2Conv(WIDTH, 4, heads=2, share_weights=True),
    "GCNConv": lambda: pyg.GCNConv(WIDTH, WIDTH),
    "GINConv": lambda: pyg.GINConv(nn.Linear(WIDTH, WIDTH), train_eps=True),
    "GraphConv": lambda: pyg.GraphConv(WIDTH, WIDTH),
    "LGConv": pyg.LGConv,
    "SAGEConv": lambda: pyg.SAGEConv(WIDTH, WIDTH, project=True),
    "TransformerConv": lambda: pyg.TransformerConv(WIDTH, 4, heads=2, beta=True),
}


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Features of 30 nodes, and 100 edges between them."""
    return torch.randn(30, WIDTH, dtype=dtype), torch.randint(30, (2, 100))


def names(found: tuple[Layer, ...]) -> dict[str, str]:
    return {layer.path: layer.name for layer in found}


def test_every_layer_of_ours_is_tried() -> None:
    assert sorted(LAYERS) == sorted(layer.__name__ for layer in originals())


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_alone_there_and_back(name: str) -> None:
    layer = LAYERS[name]().double()
    kind, state, shown, held = (
        type(layer),
        copy.deepcopy(layer.state_dict()),
        repr(layer),
        id(layer),
    )
    tensors = [id(tensor) for tensor in (*layer.parameters(), *layer.buffers())]
    attributes = set(vars(layer))
    x, edge_index = inputs()
    expected = layer(x, edge_index)

    assert accelerate(layer) == Report((Layer("", name),), ())
    assert type(layer) is getattr(ours, name)
    assert isinstance(layer, kind)
    assert layer.path(x, edge_index)[0]
    torch.testing.assert_close(layer(x, edge_index), expected)
    assert repr(layer) == shown
    assert set(vars(layer)) == attributes

    assert restore(layer) == Report((Layer("", name),), ())
    assert type(layer) is kind
    assert torch.equal(layer(x, edge_index), expected)
    assert set(vars(layer)) == attributes
    assert id(layer) == held
    assert [id(tensor) for tensor in (*layer.parameters(), *layer.buffers())] == tensors
    assert all(torch.equal(value, state[key]) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("name", LAYERS)
def test_state_dict_both_ways(name: str) -> None:
    theirs, swapped = (LAYERS[name]().double() for _ in range(2))
    accelerate(swapped)
    x, edge_index = inputs()
    for source, target in ((theirs, swapped), (swapped, theirs)):
        for parameter in source.parameters():
            nn.init.normal_(parameter)
        assert list(source.state_dict()) == list(target.state_dict())
        target.load_state_dict(source.state_dict())
        torch.testing.assert_close(target(x, edge_index), source(x, edge_index))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: saved(layer)])
def test_copies_and_pickles(name: str, copied: Callable[[nn.Module], nn.Module]) -> None:
    layer = LAYERS[name]().double()
    accelerate(layer)
    twin = copied(layer)
    assert type(twin) is type(layer)
    x, edge_index = inputs()
    assert torch.equal(twin(x, edge_index), layer(x, edge_index))
    restore(layer)
    assert b"neighborgraph" not in pickle.dumps(layer)


def saved(layer: nn.Module) -> nn.Module:
    """The layer, written and read."""
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


class Doubled(pyg.GCNConv):
    """A user's layer."""

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        """Twice PyG's."""
        return 2 * super().message(x_j, edge_weight)


def test_what_is_left_has_a_reason() -> None:
    model = nn.ModuleDict(
        {
            "gcn": pyg.GCNConv(4, 4),
            "edge": pyg.EdgeConv(nn.Linear(8, 4)),
            "user": Doubled(4, 4),
            "head": nn.Linear(4, 4),
            "before": ours.SAGEConv(4, 4),
        }
    )
    report = accelerate(model)
    assert report.swapped == (Layer("gcn", "GCNConv"),)
    assert {layer.path: layer.reason for layer in report.left} == {
        "edge": "has no fused form",
        "user": "a subclass of GCNConv, whose own code may do something else",
        "before": "is neighborgraph's already",
    }
    assert type(model["user"]) is Doubled
    assert names(restore(model).swapped) == {"gcn": "GCNConv", "before": "SAGEConv"}


def test_second_time_changes_nothing() -> None:
    model = pyg.GAT(WIDTH, 16, 2, 4, v2=True)
    first = accelerate(model)
    kinds = [type(module) for module in model.modules()]
    second = accelerate(model)
    assert names(second.left) == names(first.swapped) == {p: "GATv2Conv" for p in PATHS}
    assert second.swapped == ()
    assert [type(module) for module in model.modules()] == kinds


PATHS = ("convs.0", "convs.1")


def test_the_report_is_a_table() -> None:
    model = nn.Sequential(pyg.GCNConv(4, 4), pyg.EdgeConv(nn.Linear(8, 4)))
    assert str(accelerate(model)).splitlines() == [
        "1 of 2 message passing layers swapped",
        "",
        "layer  class     what was done",
        "----------------------------------------",
        "0      GCNConv   swapped",
        "1      EdgeConv  left: has no fused form",
    ]
    assert str(accelerate(nn.Linear(2, 2))) == "0 of 0 message passing layers swapped"
    assert "(the model)  GCNConv" in str(accelerate(pyg.GCNConv(4, 4)))


@pytest.mark.parametrize("call", [accelerate, restore])
def test_what_is_no_module_is_refused(call: Callable) -> None:
    with pytest.raises(DtypeError, match=r"model must be a torch.nn.Module, got dict"):
        call({})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_are_refused_or_left() -> None:
    scripted = torch.jit.script(pyg.SAGEConv(4, 4))
    with pytest.raises(InputError, match=r"torch\.jit has fixed; accelerate or restore it before"):
        accelerate(scripted)
    report = accelerate(nn.ModuleDict({"fixed": scripted, "free": pyg.SAGEConv(4, 4)}))
    assert names(report.swapped) == {"free": "SAGEConv"}
    assert [(layer.path, layer.reason) for layer in report.left] == [
        ("fixed", "torch.jit has fixed its code")
    ]


def test_hooks_stay() -> None:
    seen = []
    layer = pyg.GCNConv(WIDTH, 4).double()
    layer.register_forward_hook(lambda module, args, out: seen.append("forward"))
    layer.register_message_forward_hook(lambda module, args, out: seen.append("message"))
    accelerate(layer)
    layer(*inputs())
    assert seen == ["message", "forward"]


@pytest.mark.parametrize("name", ["GCNConv", "GATConv", "TransformerConv"])
def test_explanations_stay(name: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = LAYERS[name]()

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.conv(x, edge_index)

    x, edge_index = inputs(torch.float32)
    model = Model()
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        explainer = Explainer(
            model,
            GNNExplainer(epochs=3),
            explanation_type="model",
            edge_mask_type="object",
            model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
        )
        found.append(explainer(x, edge_index, index=3).edge_mask)
        accelerate(model)
    torch.testing.assert_close(found[1], found[0])
    assert found[0].any()


def test_decomposed_layers_stay() -> None:
    layer = pyg.GCNConv(WIDTH, 4, decomposed_layers=2).double()
    x, edge_index = inputs()
    expected = layer(x, edge_index)
    accelerate(layer)
    torch.testing.assert_close(layer(x, edge_index), expected)
    layer.decomposed_layers = 1
    torch.testing.assert_close(layer(x, edge_index), expected)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_export(name: str) -> None:
    layer = LAYERS[name]().double()
    example, other = inputs(), inputs()
    expected = torch.export.export(layer, example).module()(*other)
    accelerate(layer)
    exported = torch.export.export(layer, example)
    assert any("neighborgraph" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(*other), expected)
