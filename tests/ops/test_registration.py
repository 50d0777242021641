"""Every operator passes Torch's own checks, and the public functions compile as a whole."""

import importlib
from collections.abc import Callable, Iterator

import pytest
import torch
from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._python_dispatch import TorchDispatchMode

from neighborgraph.graph import Graph
from neighborgraph.ops import (
    Additive,
    Dot,
    aggregate,
    attend,
    attend_with_lse,
    attend_with_weights,
)
from neighborgraph.ops.compress import compress  # noqa: F401, so that it is registered
from neighborgraph.ops.neighbor_cache import NeighborTable, Recent
from neighborgraph.ops.registration import (
    OPERATORS,
    accumulation_dtype,
    is_watched,
)
from neighborgraph.ops.sample import Population, TwoHops
from neighborgraph.ops.topk import topk  # noqa: F401, so that it is registered
from neighborgraph.testing import from_degrees, from_pairs, random_graph

# Shape and dtype classes: a graph, a dtype, heads, width, and how tensors lie in memory.
CLASSES = {
    "no receivers": (lambda: from_pairs([], 7, 0), torch.float32, 2, 4, "plain"),
    "no edges": (lambda: from_pairs([], 5, 5), torch.float32, 2, 4, "plain"),
    "width 1": (lambda: random_graph(0, 6, 6, 20), torch.float32, 1, 1, "plain"),
    "width 33": (lambda: random_graph(0, 6, 6, 20), torch.float32, 3, 33, "plain"),
    "empty rows": (lambda: from_degrees([0, 3, 0, 5, 0], 5, 1), torch.float32, 2, 4, "plain"),
    "cut rows": (lambda: from_degrees([1100, 2], 5, 1), torch.float32, 2, 4, "plain"),
    "bipartite": (lambda: random_graph(0, 9, 4, 20), torch.float32, 2, 4, "plain"),
    "float64": (lambda: random_graph(0, 6, 6, 20), torch.float64, 2, 4, "plain"),
    "float16": (lambda: random_graph(0, 6, 6, 20), torch.float16, 2, 4, "plain"),
    "bfloat16": (lambda: random_graph(0, 6, 6, 20), torch.bfloat16, 2, 4, "plain"),
    "strided": (lambda: random_graph(0, 6, 6, 20), torch.float32, 2, 4, "strided"),
    "offset": (lambda: random_graph(0, 6, 6, 20), torch.float32, 2, 4, "offset"),
    "requires grad": (lambda: random_graph(0, 6, 6, 20), torch.float32, 2, 4, "requires grad"),
}


Draw = Callable[[int], Tensor]


def aggregate_arguments(operator: str, graph: Graph, draw: Draw) -> Iterator[tuple]:
    """Argument lists of an operator of aggregate, with optional arguments absent and present."""
    n, m, e = graph.num_rows, graph.num_cols, graph.num_edges
    rows, cols = list(graph.rows), list(graph.cols or ())
    x, grad, add = (draw(size).flatten(1) for size in (m, n, n))
    heads = draw(1).shape[1]

    def factor(*shape: int) -> Tensor:
        return torch.rand(shape, dtype=accumulation_dtype(x.dtype), device=x.device)

    winner = torch.randint(max(e, 1), grad.shape, dtype=torch.int32, device=x.device)
    weight, row_scale, col_scale = factor(e, heads), factor(n), factor(m)
    if operator == "aggregate_sum":
        yield rows, x, None, None, None, None, None, 1.0
        yield rows, x, weight, row_scale, None, None, add, 0.5
        yield cols, grad, weight, col_scale, row_scale, winner, None, 1.0
    elif operator == "aggregate_max":
        yield rows, x, None, None, None, None, 1.0
        yield rows, x, weight, row_scale, col_scale, add, 0.5
    elif operator == "aggregate_weight_grad":
        yield rows, grad, x, None, None, None, 1
        yield rows, grad, x, row_scale, col_scale, winner, heads


def attend_arguments(operator: str, graph: Graph, draw: Draw) -> Iterator[tuple]:
    """Argument lists of an operator of attend: plain, and with everything there is."""
    n, m, e = graph.num_rows, graph.num_cols, graph.num_edges
    q, k, v, out = draw(n), draw(m), draw(m), draw(n)
    heads, width = q.shape[1:]
    options = {"dtype": accumulation_dtype(q.dtype), "device": q.device}
    seed = torch.tensor([7], device=q.device)
    weight, self_loops = torch.rand(heads, width, **options), n == m
    edges = e + n * self_loops
    bias, edge = torch.rand(edges, heads, **options), draw(edges)
    whole = (weight, bias, edge, seed, 0.2, 0.5, self_loops)
    for settings in ((None, None, None, None, 0.5, 0.0, False), (None, *whole[1:]), whole):
        additive = settings[0] is not None
        values = torch.cat([v, v], dim=-1) if additive else v
        outs = torch.cat([out, out], dim=-1) if additive else out
        state = torch.rand(n, heads, 2, **options)
        lse, rows, cols = state[..., 0], list(graph.rows), list(graph.cols or ())
        if operator == "attend":
            yield rows, q, k, values, *settings
        elif operator == "attend_weights":
            yield rows, q, k, state, *settings
        elif operator == "attend_backward":
            saved, inputs = (outs, state, outs, lse), (q, k, values, *settings[:3])
            for wanted in (tuple(x is not None for x in inputs), (True,) + (False,) * 5):
                yield rows, cols, q, k, values, *saved, wanted, *settings


def sample_arguments(operator: str, graph: Graph, draw: Draw) -> Iterator[tuple]:
    """Argument lists of an operator of sample, with optional arguments absent and present."""
    row = torch.arange(graph.num_rows, device=graph.device)
    if operator == "sample_relabel":
        yield row, graph.edge_index[0]
        return
    if operator == "sample_two_hops":
        hops = TwoHops.of(
            Graph.from_edge_index(graph.edge_index, max(graph.num_rows, graph.num_cols))
        )
        yield [hops.ptr, hops.idx, hops.ends], row, row, 3, 7, [1, 2]
        return
    time = torch.arange(graph.num_edges, device=graph.device)
    weight = torch.rand(graph.num_edges, device=graph.device)
    population = Population.of(graph, weight=weight, time=time)
    csr = [population.ptr, population.idx, population.edge_id]
    numbers = 7, [1, 2]
    yield csr, row, row, None, None, None, 2, False, False, False, *numbers
    times = population.time, row * 3, population.cumulative
    yield csr, row, row, *times, 2, True, True, True, *numbers


def compress_arguments(operator: str, graph: Graph, draw: Draw) -> Iterator[tuple]:
    """Both directions, with self-loops where a graph can have them."""
    n, m = graph.num_rows, graph.num_cols
    for transpose in (False, True):
        yield graph.edge_index, n, m, transpose, n == m
        yield graph.edge_index.int(), n, m, transpose, False


def topk_arguments(operator: str, graph: Graph, draw: Draw) -> Iterator[tuple]:
    """Rows as users and columns as items; neighbours are seen, then nothing is."""
    users, items = draw(graph.num_rows).flatten(1), draw(graph.num_cols).flatten(1)
    yield users, items, 3, graph.rows.ptr, graph.rows.idx
    yield users, items, graph.num_cols + 1, None, None


def neighbor_cache_arguments(operator: str, graph: Graph, draw: Draw) -> Iterator[tuple]:
    """Edges as events, with and without features; rows as queries, and their neighbours joined."""
    n, device = graph.num_rows, graph.device
    node = torch.arange(n, device=device)
    if operator == "neighbor_cache_join":
        yield graph.edge_index[:, : 4 * n].reshape(2, -1), graph.edge_index[0, : 4 * n]
        return
    edges = min(graph.num_edges, 40)
    ends = graph.edge_index[:, :edges].flip(0).unbind()
    event = torch.arange(edges, device=device)
    channels = draw(1).flatten(1).shape[1]
    options: dict = {"channels": channels, "dtype": draw(1).dtype, "device": device}
    for feature, vector, mirrored in ((False, False, False), (True, True, False)):
        table = NeighborTable.empty(n, Recent(3), **options)
        kept = table.feature if feature else None
        given = draw(edges).detach().flatten(1) if vector else None
        slots, last = (table.neighbor, table.time, table.event), (table.last_time, table.last_event)
        lines = *ends, event, event, given, mirrored
        if operator == "neighbor_cache_recent":
            yield *slots, table.count, kept, *last, *lines
        elif operator == "neighbor_cache_hashed":
            yield *slots, kept, *last, *lines, 2**31, 5
        else:
            yield *slots, table.count if feature else None, last[0], node, None, False
            yield *slots, None, last[0], node, node, True


ARGUMENTS = {
    "aggregate": aggregate_arguments,
    "attend": attend_arguments,
    "compress": compress_arguments,
    "neighbor": neighbor_cache_arguments,
    "sample": sample_arguments,
    "topk": topk_arguments,
}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_opcheck(device: str, operator: str, kind: str) -> None:
    make, dtype, heads, width, layout = CLASSES[kind]

    def draw(size: int) -> Tensor:
        if layout == "strided":
            return torch.randn(size, heads, 2 * width).to(device, dtype)[..., ::2]
        if layout == "offset":
            return torch.randn(size + 1, heads, width).to(device, dtype)[1:]
        features = torch.randn(size, heads, width).to(device, dtype)
        return features.requires_grad_(layout == "requires grad")

    arguments = ARGUMENTS[operator.partition("_")[0]]
    calls = list(arguments(operator, make().to(device), draw))
    assert calls, f"{operator} has no arguments here: add them"
    overload = getattr(torch.ops.neighborgraph, operator).default
    checks = ["test_schema", "test_faketensor"]
    if layout != "requires grad":
        checks.append("test_aot_dispatch_dynamic")
    # Gradients are those of the functions around the operators; the operators have none.
    for call in calls:
        torch.library.opcheck(overload, call, test_utils=checks)


def test_every_operator_of_the_namespace_is_listed() -> None:
    defined = {
        name.removeprefix("neighborgraph::").removesuffix(".default")
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("neighborgraph::")
    }
    assert defined == set(OPERATORS)
    assert len(OPERATORS) == len(set(OPERATORS)) == 15


def test_operators_work_on_meta_tensors() -> None:
    graph = random_graph(0, 6, 5, 20).to("meta")
    q, k = torch.empty(6, 2, 3, device="meta"), torch.empty(5, 2, 3, device="meta")
    out, lse = attend_with_lse(graph, q.half(), k.half(), k.half())
    assert (out.shape, out.dtype, lse.dtype) == ((6, 2, 3), torch.float16, torch.float32)
    assert aggregate(graph, k, "max").shape == (6, 2, 3)


# receivers, sources, edges; the first two compilations learn which sizes are free
SIZES = [(5, 5, 12), (7, 4, 20), (1, 1, 1), (9, 9, 0), (12, 3, 40), (2, 30, 1500), (20, 20, 60)]


def qkv(graph: Graph) -> list[Tensor]:
    sizes = graph.num_rows, graph.num_cols, graph.num_cols
    return [torch.randn(size, 2, 4, device=graph.device) for size in sizes]


def attend_options(graph: Graph) -> list[Tensor]:
    e, device = graph.num_edges, graph.device
    return [*qkv(graph), torch.randn(e, 2, device=device), torch.randn(e, 2, 4, device=device)]


def x_and_weight(graph: Graph) -> list[Tensor]:
    return [
        torch.randn(graph.num_cols, 6, device=graph.device),
        torch.randn(graph.num_edges, device=graph.device),
    ]


COMPILED = {
    "attend": (lambda graph, q, k, v: attend(graph, q, k, v), qkv),
    "attend_with_lse": (
        lambda graph, q, k, v: attend_with_lse(graph, q, k, v, score=Dot(0.5)),
        qkv,
    ),
    "attend with edge inputs": (
        lambda graph, q, k, v, bias, edge: attend(
            graph, q, k, v, bias=bias, edge=edge, dropout=0.4, seed=3
        ),
        attend_options,
    ),
    "attend additive": (
        lambda graph, q, k, v, bias, edge, weight: attend_with_weights(
            graph, q, k, v, score=Additive(weight), bias=bias, edge=edge, dropout=0.4, seed=3
        ),
        lambda graph: [*attend_options(graph), torch.randn(2, 4, device=graph.device)],
    ),
    "sum": (lambda graph, x, w: aggregate(graph, x, weight=w), x_and_weight),
    "mean": (lambda graph, x, w: aggregate(graph, x, "mean", weight=w), x_and_weight),
    "max": (lambda graph, x, w: aggregate(graph, x, "max", weight=w), x_and_weight),
    "min": (lambda graph, x, w: aggregate(graph, x, "min", weight=w), x_and_weight),
    "scaled": (
        lambda graph, x, w: aggregate(graph, x, row_scale=x.detach().new_ones(graph.num_rows)),
        x_and_weight,
    ),
}


# Torch's tracer makes an instance of each autograd.Function it meets.
traces = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")


@traces
@pytest.mark.parametrize("name", COMPILED)
def test_compiles_cold_and_whole(device: str, name: str) -> None:
    function, draw = COMPILED[name]
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend=counter)
    for seed, size in enumerate(SIZES):
        graph = random_graph(seed, *size).to(device)
        inputs = draw(graph)

        def both_passes(function, graph=graph, inputs=inputs) -> list[Tensor]:
            leaves = [t.clone().requires_grad_() for t in inputs]
            results = function(graph, *leaves)
            out = results[0] if isinstance(results, tuple) else results
            out.square().sum().backward()
            outs = results if isinstance(results, tuple) else (results,)
            return [*outs, *(t.grad for t in leaves if t.grad is not None)]

        expected, actual = both_passes(function), both_passes(compiled)
        assert len(expected) == len(actual)
        for e, a in zip(expected, actual, strict=True):
            assert torch.equal(e, a)
    # Square and bipartite, one node, no edges, cut rows: then no more.
    assert counter.frame_count <= 6


@traces
def test_a_scale_may_change_between_compiled_calls(device: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda graph, q, k, v, scale: attend(graph, q, k, v, score=Dot(scale)),
        fullgraph=True,
        dynamic=True,
        backend="aot_eager",
    )
    graph = random_graph(0, 6, 6, 20).to(device)
    for scale in (0.5, 0.25, -1.0, 2.0):
        q, k, v = qkv(graph)
        expected = attend(graph, q, k, v, score=Dot(scale))
        assert torch.equal(compiled(graph, q, k, v, scale), expected)


@traces
def test_self_loops_compile(device: str) -> None:
    torch._dynamo.reset()

    def function(graph: Graph, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(graph, q, k, v, score=Additive(), self_loops=True)

    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    for seed, (size, edges) in enumerate([(5, 12), (7, 20), (9, 0)]):
        graph = random_graph(seed, size, size, edges).to(device)
        leaves = [t.requires_grad_() for t in qkv(graph)]
        expected, actual = function(graph, *leaves), compiled(graph, *leaves)
        assert torch.equal(actual, expected)
        for e, a in zip(
            torch.autograd.grad(expected.sum(), leaves),
            torch.autograd.grad(actual.sum(), leaves),
            strict=True,
        ):
            assert torch.equal(a, e)


@pytest.mark.parametrize("op", ["aggregate", "attend"])
def test_code_of_cpu_kernels_is_kept_on_disk(op: str) -> None:
    """Otherwise every process would compile them anew, for seconds."""
    module = importlib.import_module(f"neighborgraph.ops.{op}.cpu")
    kernels = [k for k in vars(module).values() if isinstance(k, Dispatcher)]
    kernels = [k for k in kernels if k.py_func.__name__.endswith("_rows")]
    assert len(kernels) >= 3
    for kernel in kernels:
        assert type(kernel._cache) is not NullCache


class Watch(TorchDispatchMode):
    """Notes the names of the operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def test_whoever_watches_sees_the_operators() -> None:
    graph, x = random_graph(0, 6, 6, 20), torch.randn(6, 2, 3)
    plain = attend(graph, x, x, x)
    with Watch() as watch:
        watched = attend(graph, x, x, x)
    assert "neighborgraph.attend.default" in watch.seen
    with torch.profiler.profile() as profile:
        profiled = attend(graph, x, x, x)
    assert "neighborgraph::attend" in {event.key for event in profile.key_averages()}
    assert torch.equal(plain, watched) and torch.equal(plain, profiled)


def test_what_watches() -> None:
    class Counted(torch.Tensor):
        pass

    x = torch.randn(2)
    assert not is_watched(x) and not is_watched(torch.nn.Parameter(x))
    assert is_watched(x.as_subclass(Counted)) and is_watched(x.to("meta"))
    seen = []
    torch.vmap(lambda row: seen.append(is_watched(row)) or row)(x)
    assert seen == [True]
