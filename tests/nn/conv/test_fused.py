"""What all layers promise: no state of their own, PyG's code where they cannot fuse, one graph."""

import copy
import io
import warnings
from typing import Any

import pytest
import torch
import torch_geometric.nn
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.nn import MessagePassing
from torch_geometric.typing import OptTensor

import neighborgraph.nn
from neighborgraph.graph import Graph
from neighborgraph.nn import CONVS, GATConv, SAGEConv, TransformerConv
from neighborgraph.nn.conv.fused import HOOKS, Fused

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "APPNP": (3, 0.2),
    "GATConv": (5, 4, 2),
    "GATv2Conv": (5, 4, 2),
    "GCNConv": (5, 4),
    "GINConv": (nn.Linear(5, 4),),
    "GraphConv": (5, 4),
    "LGConv": (),
    "SAGEConv": (5, 4),
    "TransformerConv": (5, 4, 2),
}
EDGES = torch.tensor([[0, 1, 1, 2, 4, 3, 3], [1, 0, 2, 1, 3, 3, 4]])


@pytest.fixture(params=CONVS)
def layers(request: pytest.FixtureRequest, pair) -> tuple[Any, Any]:
    """Each layer beside PyG's."""
    return pair(request.param, *ARGUMENTS[request.param])


@pytest.fixture
def x(features) -> Tensor:
    return features(6, 5)


def test_every_layer_is_listed() -> None:
    assert set(ARGUMENTS) == set(CONVS)
    assert set(CONVS) <= set(dir(neighborgraph.nn))
    with pytest.raises(AttributeError, match="no attribute 'EdgeConv'"):
        neighborgraph.nn.EdgeConv  # noqa: B018


def test_it_is_a_layer_of_pyg_and_looks_like_it(layers) -> None:
    ours, pyg = layers
    assert isinstance(ours, type(pyg))
    assert repr(ours) == repr(pyg)
    assert type(ours).__name__ == type(pyg).__name__
    assert type(ours).__init__ is type(pyg).__init__
    assert list(ours.state_dict()) == list(pyg.state_dict())
    assert set(vars(ours)) == set(vars(pyg))
    pyg.load_state_dict(ours.state_dict())
    ours.load_state_dict(pyg.state_dict())


def test_the_calls_of_pyg_are_known(layers) -> None:
    for method in ("propagate", "edge_updater"):
        found = [
            {
                name: parameter.type
                for name, parameter in layer.inspector.get_params_from_method_call(
                    method, exclude=[0, "edge_index", "size"]
                ).items()
            }
            for layer in layers
        ]
        assert found[0] == found[1]
    assert "_propagate" in type(layers[0]).propagate.__module__


def test_a_layer_of_pyg_becomes_ours_and_back(layers, x) -> None:
    ours, pyg = layers
    expected = pyg(x, EDGES)
    attributes = set(vars(pyg))
    pyg.__class__ = type(ours)
    assert pyg.path(x, EDGES).fused
    torch.testing.assert_close(pyg(x, EDGES), expected)
    copied = copy.deepcopy(pyg)
    torch.testing.assert_close(copied(x, EDGES), expected)
    pyg.register_message_forward_hook(lambda *_: None)
    assert not pyg.path(x, EDGES).fused
    torch.testing.assert_close(pyg(x, EDGES), expected)
    pyg.__class__ = ours.pyg
    torch.testing.assert_close(pyg(x, EDGES), expected)
    assert set(vars(pyg)) == attributes


def test_pickles_and_copies(layers, x) -> None:
    ours, _ = layers
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    for other in (torch.load(file, weights_only=False), copy.deepcopy(ours)):
        assert type(other) is type(ours)
        assert torch.equal(other(x, EDGES), ours(x, EDGES))


def test_two_runs_agree_bit_for_bit(layers, x) -> None:
    ours, _ = layers
    results = []
    for _ in range(2):
        x.grad = None
        out = ours(x, EDGES)
        out.square().sum().backward()
        results.append((out, x.grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("hook", [h for h in HOOKS if "edge_update" not in h])
def test_hooks_go_to_pyg(layers, x, hook: str) -> None:
    ours, pyg = layers
    seen = []
    getattr(ours, f"register_{hook[1:-1]}")(lambda *args: seen.append(args))
    assert ours.path(x, EDGES) == (False, f"there is a hook in {hook}")
    torch.testing.assert_close(ours(x, EDGES), pyg(x, EDGES))
    assert seen or "message_and_aggregate" in hook


def test_explanations_go_to_pyg(layers, x) -> None:
    ours, pyg = layers  # PyG's class has its generated code already
    assert ours.path(x, EDGES).fused
    mask = torch.zeros(7).double().requires_grad_()
    grads = []
    for layer in (ours, pyg):
        layer.explain = True
        layer._edge_mask, layer._apply_sigmoid = mask, True
        layer._loop_mask = EDGES[0] != EDGES[1]
        mask.grad = None
        layer(x, EDGES).square().sum().backward()
        grads.append(mask.grad)
    assert ours.path(x, EDGES) == (False, "explain is on")
    assert grads[0] is not None
    torch.testing.assert_close(*grads)
    ours.explain = False
    assert ours.path(x, EDGES).fused


def test_an_explainer_sees_the_edges() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = SAGEConv(5, 3)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.conv(x, edge_index)

    explain = Explainer(
        Model(),
        GNNExplainer(epochs=3),
        explanation_type="model",
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "raw",
        },
    )
    found = explain(torch.randn(6, 5), EDGES, index=2)
    assert float(found.edge_mask.sum()) > 0


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"flow": "target_to_source"}, "flow='target_to_source'"),
        ({"aggr": "mul"}, "aggr='mul'"),
    ],
)
@pytest.mark.parametrize("name", CONVS)
def test_options_go_to_pyg(pair, assert_same, x, name: str, option, reason: str) -> None:
    layers = pair(name, *ARGUMENTS[name], **option)
    assert layers[0].path(x, EDGES).reason == reason
    assert_same(layers, x, EDGES, fused=False)


@pytest.mark.parametrize("name", ["GCNConv", "LGConv"])
def test_decomposed_layers_go_to_pyg(pair, assert_same, x, name: str) -> None:
    layers = pair(name, *ARGUMENTS[name], decomposed_layers=2)
    assert layers[0].path(x, EDGES).reason == "decomposed_layers=2"
    assert_same(layers, x, EDGES, fused=False)


class Doubled(neighborgraph.nn.GCNConv):
    """A user's own layer over ours."""

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        return 2 * super().message(x_j, edge_weight)


class Extended(neighborgraph.nn.SAGEConv):
    """One that passes more on than ours does."""

    def forward(self, x, edge_index, factor):
        # propagate_type: (x: OptPairTensor, factor: Tensor)
        return self.propagate(edge_index, x=(x, x), factor=factor, size=None)

    def message(self, x_j: Tensor, factor: Tensor) -> Tensor:
        return x_j * factor


def test_a_users_own_message_is_heeded(x) -> None:
    layer = Doubled(5, 4, bias=False).double()
    plain = torch_geometric.nn.GCNConv(5, 4, bias=False).double()
    plain.load_state_dict(layer.state_dict())
    assert layer.path(x, EDGES) == (False, "Doubled has its own message")
    torch.testing.assert_close(layer(x, EDGES), 2 * plain(x, EDGES))
    factor = torch.tensor([3.0]).double()
    extended = Extended(5, 4).double()
    torch.testing.assert_close(extended(x, EDGES, factor)[0], 3 * x[1])


def test_a_subclass_that_changes_nothing_is_fused(x) -> None:
    GATConv(5, 4)  # for which PyG generates code

    class Same(GATConv):
        pass

    class OwnPropagate(Same):
        def propagate(self, edge_index, size=None, **kwargs):
            return super().propagate(edge_index, size=size, **kwargs)

    class OwnForward(OwnPropagate):
        def forward(self, x, edge_index):
            return 2 * super().forward(x, edge_index)

    layer = Same(5, 4).double()
    assert layer.path(x, EDGES).fused
    for kind in (OwnPropagate, OwnForward):
        other = kind(5, 4).double()
        assert other.path(x, EDGES).reason == f"{kind.__name__} has its own propagate"
        other.load_state_dict(layer.state_dict())
        factor = 2 if kind is OwnForward else 1
        torch.testing.assert_close(other(x, EDGES), factor * layer(x, EDGES))


def test_a_message_set_on_the_layer_is_heeded(x) -> None:
    layer = GATConv(5, 4).double()
    layer.message = lambda x_j, alpha: torch.zeros_like(x_j)
    assert layer.path(x, EDGES) == (False, "the layer has its own message")


def test_inputs_that_go_to_pyg() -> None:
    layer = TransformerConv(5, 4)
    x = torch.randn(6, 5)
    assert layer.path(x.long(), EDGES).reason == "features are torch.int64, torch.strided"
    assert layer.path(x[None], EDGES).reason == "features have 3 dimensions"
    assert layer.path(x, EDGES.to("meta")).reason == "edge_index is on meta, the features on cpu"
    assert layer.path(x.to("meta"), EDGES.to("meta")).reason == "features are on meta"
    assert layer.path(x, EDGES.short()).reason == "edge_index is torch.int16"
    assert layer.path(x, EDGES[0]).reason == "edge_index has shape [7]"
    assert layer.path(x, None).reason == "edge_index is a NoneType"


def test_transforms_go_to_pyg(x) -> None:
    layer = SAGEConv(5, 4).double()

    def loss(features: Tensor) -> Tensor:
        assert layer.path(features, EDGES).reason == "a transform of torch.func"
        return layer(features, EDGES).square().sum()

    grad = torch.func.grad(loss)(x.detach())
    layer(x, EDGES).square().sum().backward()
    torch.testing.assert_close(grad, x.grad)
    with torch.autograd.forward_ad.dual_level():
        assert layer.path(x, EDGES).reason == "forward-mode differentiation"


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("name", ["TransformerConv", "GCNConv", "SAGEConv", "LGConv", "GINConv"])
def test_torchscript_gets_the_layer_of_pyg(pair, name: str) -> None:
    class Model(nn.Module):
        def __init__(self, conv: nn.Module) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.conv(x, edge_index)

    ours, _ = pair(name, *ARGUMENTS[name])
    x = torch.randn(6, 5).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(Model(ours))
        traced: Any = torch.jit.trace(Model(ours), (x, EDGES))
        torch.testing.assert_close(scripted(x, EDGES), ours(x, EDGES))
    assert isinstance(ours, Fused)
    torch.testing.assert_close(traced(x, EDGES), ours(x, EDGES))


class Stack(nn.Module):
    """All layers, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        made = (getattr(neighborgraph.nn, name) for name in CONVS)
        wide = {"GATConv": (5, 5), "GATv2Conv": (5, 5), "TransformerConv": (5, 5)}
        arguments = [
            wide.get(name) or ((nn.Linear(5, 5),) if name == "GINConv" else ARGUMENTS[name])
            for name in CONVS
        ]
        arguments = [(5, 5) if args == (5, 4) else args for args in arguments]
        self.convs = nn.ModuleList(conv(*args) for conv, args in zip(made, arguments, strict=True))

    def forward(self, x: Tensor, edge_index: Any) -> Tensor:
        for conv in self.convs:
            x = conv(x, edge_index)
        return x


FORMATS = {
    "int32": EDGES.int(),
    "EdgeIndex": EdgeIndex(EDGES, sparse_size=(6, 6)),  # pyright: ignore[reportCallIssue]
    "Graph": Graph.from_edge_index(EDGES, 6),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_layer_compiles_in_every_format(compiled, x, name: str) -> None:
    compiled(Stack().double(), x, FORMATS[name])


def test_compiles_once_for_graphs_of_every_size(features) -> None:
    torch._dynamo.reset()
    model = Stack().double()
    compiles: list[int] = []

    def backend(graph_module, inputs):
        compiles.append(len(inputs))
        return graph_module

    whole: Any = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*should not be instantiated", DeprecationWarning)
        for nodes, edges in ((6, 9), (30, 100), (9, 1500)):
            x, edge_index = features(nodes, 5), torch.randint(nodes, (2, edges))
            torch.testing.assert_close(whole(x, edge_index), model(x, edge_index))
    assert len(compiles) == 1


def test_torch_export(x) -> None:
    model = Stack().double()
    x = x.detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exported = torch.export.export(model, (x, EDGES))
    torch.testing.assert_close(exported.module()(x, EDGES), model(x, EDGES))


def test_a_compiled_layer_takes_a_sparse_matrix_with_a_break(x) -> None:
    # torch.compile itself refuses sparse tensors; a Graph made from one compiles as a whole.
    layer = SAGEConv(5, 4).double()
    matrix = torch.eye(6).double().to_sparse()
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = torch.compile(layer, backend="eager")(x, matrix)
    torch.testing.assert_close(out, layer(x, matrix))


def test_it_is_a_leaf_of_message_passing_for_pyg() -> None:
    assert issubclass(TransformerConv, MessagePassing)
