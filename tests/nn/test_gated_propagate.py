"""GatedPropagate: by hand, against the stacked formula and its gradient, and what it keeps."""

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph, add_self_loops, to_undirected
from neighborgraph.nn import GatedPropagate, KHopPropagate


def directed(n: int = 30, edges: int = 100) -> Graph:
    """A random graph in which some nodes receive nothing."""
    return Graph.from_edge_index(torch.randint(0, n, (2, edges)), n)


def stacked(gate: GatedPropagate, graph: Graph, x: Tensor) -> Tensor:
    """The formula, with all hops side by side and Torch's own gradient."""
    stack = torch.stack(KHopPropagate(gate.hops)(graph, x), dim=1)
    return (gate.score(stack).sigmoid() * stack).sum(dim=1)


def test_by_hand() -> None:
    gate = GatedPropagate(2, hops=1)
    gate.score.weight.data.copy_(torch.tensor([[0.0, 1.0]]))
    torch.nn.init.zeros_(gate.score.bias)
    pair = add_self_loops(to_undirected(Graph.from_edge_index(torch.tensor([[0], [1]]), 2)))
    x = torch.tensor([[2.0, 0.0], [4.0, 0.0]])  # scores sigma(0), so every hop counts half
    expected = torch.tensor([[(2 + 3) / 2, 0.0], [(4 + 3) / 2, 0.0]])
    torch.testing.assert_close(gate(pair, x), expected)


@pytest.mark.parametrize("hops", [0, 1, 7])
def test_equals_the_stacked_formula(hops: int) -> None:
    gate, graph = GatedPropagate(3, hops).double(), directed()
    x = torch.randn(30, 3, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(30, 3, dtype=torch.float64)
    inputs = (x, *gate.parameters())
    ours, expected = gate(graph, x), stacked(gate, graph, x)
    torch.testing.assert_close(ours, expected)
    for found, wanted in zip(
        torch.autograd.grad(ours, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)


def test_gradient() -> None:
    gate, graph = GatedPropagate(2, hops=2).double(), directed(6, 12)
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)

    def mixed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        named = {"score.weight": weight, "score.bias": bias}
        return torch.func.functional_call(gate, named, (graph, x))

    assert torch.autograd.gradcheck(mixed, (x, gate.score.weight, gate.score.bias))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves(dtype: torch.dtype) -> None:
    gate, graph = GatedPropagate(8, hops=3), directed()
    x = torch.randn(30, 8).to(dtype).requires_grad_()
    out = gate(graph, x)
    assert out.dtype == dtype
    exact = stacked(gate, graph, x.detach().float())
    torch.testing.assert_close(out.float(), exact, rtol=2e-2, atol=2e-2)
    out.float().square().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype
    assert gate.score.weight.grad is not None


def test_autocast_does_not_round_the_scores() -> None:
    gate, graph = GatedPropagate(8, hops=3), directed()
    x = torch.randn(30, 8, requires_grad=True)
    plain = gate(graph, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = gate(graph, x)
    assert torch.equal(cast, plain)


def test_features_without_a_gradient() -> None:
    gate = GatedPropagate(3, hops=4)
    gate(directed(), torch.randn(30, 3)).sum().backward()
    assert gate.score.bias.grad is not None


def test_it_keeps_two_numbers_a_node_and_hop() -> None:
    gate, n, channels, hops = GatedPropagate(16, hops=20), 30, 16, 20
    kept = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        gate(directed(), torch.randn(n, channels, requires_grad=True))
    assert sum(kept) == n * channels + channels + n + n * (hops + 1)


@pytest.mark.cuda
def test_memory_does_not_grow_by_matrices() -> None:
    n, channels = 100_000, 64
    graph = directed(n, 500_000).to("cuda")
    x = torch.randn(n, channels, device="cuda", requires_grad=True)

    def peak(hops: int) -> int:
        gate = GatedPropagate(channels, hops).to("cuda")
        gate(graph, x).sum().backward()
        torch.cuda.reset_peak_memory_stats()
        gate(graph, x).sum().backward()
        return torch.cuda.max_memory_allocated()

    # Scores and slopes, which the step from slopes to their product holds twice.
    assert peak(18) - peak(2) <= 3 * 16 * n * 4 + n * channels * 4


def test_refusals() -> None:
    with pytest.raises(InputError, match="hops=-1 is negative"):
        GatedPropagate(3, -1)
    with pytest.raises(InputError, match="channels=0 must be at least 1"):
        GatedPropagate(0, 3)
    gate = GatedPropagate(3, 2)
    with pytest.raises(InputError, match=r"x must have shape \[30, 3\], got \[30, 4\]"):
        gate(directed(), torch.randn(30, 4))
    bipartite = Graph.from_edge_index(torch.tensor([[0], [1]]), (2, 3))
    with pytest.raises(InputError, match="propagation needs a square graph"):
        gate(bipartite, torch.randn(3, 3))
