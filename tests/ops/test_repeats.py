"""The same inputs give the same bits: on every call, thread count, stream and fresh memory."""

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, aggregate, attend_with_lse
from neighborgraph.testing import assert_close, awkward_graphs, from_degrees, random_graph

OPS = ["attend", "attend dot", "attend additive", "sum", "mean", "max", "min"]


def draw(op: str, graph: Graph, seed: int = 0) -> list[Tensor]:
    """Inputs, and last the gradient of the output."""
    generator = torch.Generator().manual_seed(seed)
    n, m, e, inner = graph.num_rows, graph.num_cols, graph.num_edges, (2, 8)
    shapes = [(m, *inner), (e,)]
    if op.startswith("attend"):
        options = {"attend": [], "attend dot": [(e, 2), (e, *inner)]}
        more = options.get(op, [*options["attend dot"], inner])
        shapes = [(n, *inner), (m, *inner), (m, *inner), *more]
    shapes.append((n, *inner))
    return [torch.randn(shape, generator=generator).to(graph.device) for shape in shapes]


def both_passes(op: str, graph: Graph, tensors: list[Tensor]) -> list[Tensor]:
    """Every output, then the gradient of every input."""
    *inputs, grad = (t.detach() for t in tensors)
    leaves = [t.requires_grad_() for t in inputs]
    if op == "attend":
        outs = attend_with_lse(graph, *leaves)
    elif op == "attend dot":
        q, k, v, bias, edge = leaves
        outs = attend_with_lse(graph, q, k, v, bias=bias, edge=edge, dropout=0.4, seed=7)
    elif op == "attend additive":
        q, k, v, bias, edge, weight = leaves
        score = Additive(weight)
        outs = attend_with_lse(graph, q, k, v, score=score, bias=bias, edge=edge)
    else:
        outs = (aggregate(graph, leaves[0], op, weight=leaves[1]),)
    return [*(out.detach() for out in outs), *torch.autograd.grad(outs[0], leaves, grad)]


def assert_same_bits(actual: list[Tensor], expected: list[Tensor]) -> None:
    for a, e in zip(actual, expected, strict=True):
        assert torch.equal(a, e)


def large_graph(device: str) -> Graph:
    """Enough rows and edges for several threads, and rows that are cut."""
    return random_graph(0, 4000, 3000, 60_000).to(device)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("op", OPS)
def test_repeats_and_threads_on_the_cpu(op: str, threads) -> None:
    graph = large_graph("cpu")
    tensors = draw(op, graph)
    expected = both_passes(op, graph, tensors)
    for count in (1, 2, 3):
        threads(count)
        for _ in range(7):
            assert_same_bits(both_passes(op, graph, tensors), expected)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("name", ["degrees", "no_edges", "no_receivers", "empty_rows", "one_row"])
def test_nothing_is_left_unwritten(device: str, op: str, name: str, monkeypatch) -> None:
    graph = awkward_graphs(device)[name]
    tensors = draw(op, graph)
    expected = both_passes(op, graph, tensors)
    torch.use_deterministic_algorithms(True)
    try:
        monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
        actual = both_passes(op, graph, tensors)
    finally:
        torch.use_deterministic_algorithms(False)
    assert_same_bits(actual, expected)


@pytest.mark.cuda
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("shape", ["large", "degrees", "one_row"])
def test_repeats_beside_other_work_on_the_gpu(op: str, shape: str) -> None:
    graph = large_graph("cuda") if shape == "large" else awkward_graphs("cuda")[shape]
    assert graph.rows.split_row.numel() > 0
    tensors = draw(op, graph)
    expected = both_passes(op, graph, tensors)
    other = torch.cuda.Stream()
    noise = torch.randn(1024, 1024, device="cuda")
    for _ in range(250):
        with torch.cuda.stream(other):
            noise = (noise @ noise).tanh()
        assert_same_bits(both_passes(op, graph, tensors), expected)


@pytest.mark.cuda
@pytest.mark.parametrize("op", OPS)
def test_follows_the_current_stream(op: str) -> None:
    graph = awkward_graphs("cuda")["degrees"]
    tensors = draw(op, graph)
    expected = both_passes(op, graph, tensors)
    producer, consumer = torch.cuda.Stream(), torch.cuda.Stream()
    torch.cuda.synchronize()
    for _ in range(10):
        late = [torch.zeros_like(t) for t in tensors]
        torch.cuda.synchronize()
        with torch.cuda.stream(producer):
            torch.cuda._sleep(100_000_000)  # 50 ms and more
            for empty, full in zip(late, tensors, strict=True):
                empty.copy_(full)
        consumer.wait_stream(producer)
        with torch.cuda.stream(consumer):
            results = both_passes(op, graph, late)
        torch.cuda.synchronize()
        assert_same_bits(results, expected)


@pytest.mark.cuda
@pytest.mark.parametrize("op", OPS)
def test_a_captured_graph_replays_the_same_bits(op: str) -> None:
    graph = awkward_graphs("cuda")["degrees"]
    first, second = draw(op, graph, seed=0), draw(op, graph, seed=1)
    expected = [both_passes(op, graph, tensors) for tensors in (first, second)]
    fixed = [t.clone() for t in first]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        both_passes(op, graph, fixed)
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        results = both_passes(op, graph, fixed)
    for turn in range(100):
        for t, source in zip(fixed, (first, second)[turn % 2], strict=True):
            t.copy_(source)
        captured.replay()
        assert_same_bits(results, expected[turn % 2])


@pytest.mark.cuda
@pytest.mark.parametrize("op", OPS)
def test_cpu_and_gpu_agree(op: str) -> None:
    graph = from_degrees([5, 0, 40, 3, 600, 1, 31, 1500], 70, seed=2)
    tensors = draw(op, graph)
    exact = both_passes(op, graph, [t.double() for t in tensors])
    cpu = both_passes(op, graph, tensors)
    gpu = both_passes(op, graph.to("cuda"), [t.cuda() for t in tensors])
    for a, e, p in zip(gpu, exact, cpu, strict=True):
        slack = p + 6 * torch.finfo(p.dtype).eps * e.abs().nan_to_num(posinf=0).max().float()
        assert_close(a, e, slack, factor=3)
