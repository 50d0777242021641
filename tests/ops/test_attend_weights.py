"""The weights of attend, and which of them dropout takes."""

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, Dot, attend, attend_with_lse, attend_with_weights
from neighborgraph.ops.attend import reference
from neighborgraph.testing import AWKWARD, awkward_graphs, from_degrees, random_graph


def qkv(graph: Graph, heads: int = 3, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = graph.num_rows, graph.num_cols, graph.num_cols
    tensors = (torch.randn(size, heads, 5, generator=generator) for size in sizes)
    return [t.to(graph.device, dtype) for t in tensors]


@pytest.mark.parametrize("score", [Dot(), Additive()], ids=["dot", "additive"])
@pytest.mark.parametrize("name", AWKWARD)
def test_weights_sum_to_one_and_mix_the_values(device: str, name: str, score) -> None:
    graph = awkward_graphs(device)[name]
    q, k, v = qkv(graph)
    out, weights = attend_with_weights(graph, q, k, v, score=score)
    source, receiver = graph.edge_index
    sums = torch.zeros(graph.num_rows, 3, device=device, dtype=torch.float64)
    sums.index_add_(0, receiver, weights.double())
    filled = (graph.degree > 0).double()[:, None].expand_as(sums)
    torch.testing.assert_close(sums, filled, rtol=0, atol=5e-6)
    mixed = torch.zeros_like(q).index_add(0, receiver, weights[..., None] * v[source])
    torch.testing.assert_close(mixed, out, rtol=1e-5, atol=1e-5)
    assert torch.equal(out, attend(graph, q, k, v, score=score))


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str
)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("self_loops", [False, True])
def test_weights_are_those_of_the_definition(
    device: str, dtype: torch.dtype, dropout: float, self_loops: bool
) -> None:
    graph = random_graph(1, 15, 15, 90).to(device)
    q, k, v = qkv(graph, heads=5, dtype=dtype)
    rest = {"dropout": dropout, "seed": 3, "self_loops": self_loops}
    weights = attend_with_weights(graph, q, k, v, **rest)[1]
    exact = reference.attend(graph, q.double(), k.double(), v.double(), **rest)[2]
    assert weights.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(weights == 0, exact == 0)
    torch.testing.assert_close(weights.double(), exact, rtol=1e-5, atol=1e-6)


def test_the_output_beside_weights_is_differentiable_and_they_are_not(device: str) -> None:
    graph = random_graph(1, 15, 15, 90).to(device)
    q, k, v = (t.requires_grad_() for t in qkv(graph))
    out, weights = attend_with_weights(graph, q, k, v)
    assert not weights.requires_grad
    alone = torch.autograd.grad(attend(graph, q, k, v).sum(), (q, k, v))
    for a, e in zip(torch.autograd.grad(out.sum(), (q, k, v)), alone, strict=True):
        assert torch.equal(a, e)


def hub(device: str) -> Graph:
    """40,000 edges, of which a quarter goes to each of two rows."""
    return from_degrees([10_000, 10_000, *[20] * 1000], 500, seed=2).to(device)


def dropped(graph: Graph, dropout: float, seed: int | Tensor, heads: int = 6) -> Tensor:
    """Which edges have no weight, bool [e, H], where all scores are alike."""
    zeros = [torch.zeros(n, heads, 1, device=graph.device) for n in (graph.num_rows, 500, 500)]
    return attend_with_weights(graph, *zeros, dropout=dropout, seed=seed)[1] == 0


@pytest.mark.parametrize("dropout", [0.02, 0.5, 0.9])
def test_as_many_edges_are_dropped_as_was_asked(device: str, dropout: float) -> None:
    graph = hub(device)
    taken = dropped(graph, dropout, seed=11).double()
    allowed = 5 * (dropout * (1 - dropout) / graph.num_edges) ** 0.5
    rate = taken.mean(0)
    assert ((rate - dropout).abs() < allowed).all(), rate
    # Heads and seeds are independent: both drop an edge as often as chance has it.
    both = (taken[:, :-1] * taken[:, 1:]).mean(0)
    assert ((both - dropout**2).abs() < allowed).all(), both
    with_other = (taken * dropped(graph, dropout, seed=12)).mean(0)
    assert ((with_other - dropout**2).abs() < allowed).all(), with_other


def test_equal_seeds_drop_equal_edges(device: str) -> None:
    graph = hub(device)
    taken = dropped(graph, 0.5, seed=-7)
    assert torch.equal(taken, dropped(graph, 0.5, seed=-7))
    as_tensor = torch.tensor([-7], device=device)
    assert torch.equal(taken, dropped(graph, 0.5, seed=as_tensor))
    for other in (-8, -7 + 2**32, -7 - 2**63 + 2**32 + 2**40):
        assert not torch.equal(taken, dropped(graph, 0.5, seed=other))
    # A lower rate drops a subset: both compare the same words.
    fewer = dropped(graph, 0.2, seed=-7)
    assert not (fewer & ~taken).any()
    assert fewer.sum() < taken.sum()


def test_without_a_seed_torch_draws_one(device: str) -> None:
    graph = random_graph(1, 15, 15, 90).to(device)
    inputs = qkv(graph)
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(attend(graph, *inputs, dropout=0.5))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[1], outs[2])
    assert not torch.equal(outs[2], attend(graph, *inputs, dropout=0.5))


def test_kept_weights_grow_and_the_log_sum_exp_stays(device: str) -> None:
    graph = random_graph(1, 15, 15, 90).to(device)
    inputs = qkv(graph)
    _, whole = attend_with_weights(graph, *inputs)
    _, weights = attend_with_weights(graph, *inputs, dropout=0.25, seed=0)
    kept = weights > 0
    assert 0.5 < kept.float().mean() < 0.95
    torch.testing.assert_close(weights[kept], whole[kept] / 0.75)
    lse = attend_with_lse(graph, *inputs)[1]
    assert torch.equal(attend_with_lse(graph, *inputs, dropout=0.25, seed=0)[1], lse)


def test_dropout_of_all_edges_gives_zeros(device: str) -> None:
    graph = random_graph(1, 15, 15, 90).to(device)
    leaves = [t.requires_grad_() for t in qkv(graph)]
    out, weights = attend_with_weights(graph, *leaves, dropout=1.0)
    assert not out.any()
    assert not weights.any()
    assert not any(grad.any() for grad in torch.autograd.grad(out.sum(), leaves))


def test_no_dropout_needs_no_seed_and_changes_no_bit(device: str) -> None:
    graph = random_graph(1, 15, 15, 90).to(device)
    inputs = qkv(graph)
    expected = attend(graph, *inputs)
    state = torch.random.get_rng_state()
    assert torch.equal(attend(graph, *inputs, dropout=0.0, seed=4), expected)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.cuda
@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("heads", [1, 4, 6])
def test_cpu_and_gpu_drop_the_same_edges(heads: int, self_loops: bool) -> None:
    for seed, dropout in ((0, 0.5), (-1, 0.1), (2**62 + 12345, 0.9)):
        graph = random_graph(3, 900, 900, 40_000)
        rest = {"dropout": dropout, "seed": seed, "self_loops": self_loops}
        inputs = qkv(graph, heads)
        cpu = attend_with_weights(graph, *inputs, **rest)[1]
        gpu = attend_with_weights(graph.to("cuda"), *(t.cuda() for t in inputs), **rest)[1]
        assert torch.equal(cpu == 0, gpu.cpu() == 0)
