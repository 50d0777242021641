"""Gradients of attend: by finite differences, for each argument alone, and only once."""

import pytest
import torch

from neighborgraph.graph import Graph
from neighborgraph.ops import attend, attend_with_lse
from neighborgraph.testing import from_pairs, random_graph


def draw(graph: Graph, heads: int, width: int, wanted: str = "qkv") -> list[torch.Tensor]:
    """q, k, v in float64, of which those in ``wanted`` require grad."""
    sizes = {"q": graph.num_rows, "k": graph.num_cols, "v": graph.num_cols}
    options = {"dtype": torch.float64, "device": graph.device}
    return [
        torch.randn(size, heads, width, **options).requires_grad_(name in wanted)
        for name, size in sizes.items()
    ]


@pytest.mark.parametrize(("heads", "width"), [(1, 1), (2, 3), (1, 8)])
@pytest.mark.parametrize("wanted", ["q", "k", "v", "qkv"])
def test_finite_differences(device: str, wanted: str, heads: int, width: int) -> None:
    for seed in range(5):
        graph = random_graph(seed, 5, 6, 14).to(device)
        filled = (graph.degree > 0)[:, None]

        def out_and_lse(q, k, v, graph=graph, filled=filled):
            out, lse = attend_with_lse(graph, q, k, v, scale=0.7)
            return out, lse.masked_fill(~filled, 0)

        inputs = draw(graph, heads, width, wanted)
        assert torch.autograd.gradcheck(out_and_lse, inputs, eps=1e-6, atol=1e-5, rtol=1e-3)


def test_one_tensor_as_queries_keys_and_values(device: str) -> None:
    graph = random_graph(3, 6, 6, 20).to(device)
    x = torch.randn(6, 2, 3, dtype=torch.float64, device=device, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: attend(graph, x, x, x), x)


def test_a_row_of_thousands(device: str) -> None:
    graph = from_pairs([(t % 5, t % 2) for t in range(2400)], 5, 2).to(device)
    assert torch.autograd.gradcheck(lambda *qkv: attend(graph, *qkv), draw(graph, 1, 3))


@pytest.mark.parametrize("wanted", ["q", "k", "v", "qk", "kv"])
def test_only_what_is_wanted_gets_a_gradient(device: str, wanted: str) -> None:
    graph = random_graph(0, 9, 9, 30).to(device)
    inputs = draw(graph, 2, 4)
    attend(graph, *inputs).square().sum().backward()
    some = [t.detach().clone() for t in inputs]
    for name in wanted:
        some["qkv".index(name)].requires_grad_()
    attend(graph, *some).square().sum().backward()
    for name, full, partial in zip("qkv", inputs, some, strict=True):
        if name not in wanted:
            assert partial.grad is None
            continue
        assert partial.grad is not None
        assert full.grad is not None
        assert torch.equal(partial.grad, full.grad)


def test_rows_and_sources_without_edges_have_zero_gradients(device: str) -> None:
    graph = from_pairs([(1, 1), (3, 1), (3, 3)], 6, 5).to(device)
    inputs = draw(graph, 2, 4)
    out, lse = attend_with_lse(graph, *inputs)
    # The log-sum-exp of an empty row is -inf and constant, whatever gradient arrives for it.
    torch.autograd.backward((out, lse), (torch.ones_like(out), torch.ones_like(lse)))
    q, k, v = (t.grad for t in inputs if t.grad is not None)
    assert not q[[0, 2, 4]].any()
    assert not k[[0, 2, 4, 5]].any()
    assert not v[[0, 2, 4, 5]].any()
    for grad, used in zip((q, k, v), ([1, 3], [1, 3], [1, 3]), strict=True):
        assert grad[used].all(dim=-1).any()
        assert grad.isfinite().all()


def test_zero_and_absent_incoming_gradients(device: str) -> None:
    graph = random_graph(1, 9, 9, 30).to(device)
    inputs = draw(graph, 2, 4)
    out, lse = attend_with_lse(graph, *inputs)
    zeros = torch.autograd.grad(out, inputs, torch.zeros_like(out), retain_graph=True)
    assert not any(grad.any() for grad in zeros)
    alone = torch.autograd.grad(out, inputs, torch.ones_like(out), retain_graph=True)
    ones_and_zeros = (torch.ones_like(out), torch.zeros_like(lse))
    both = torch.autograd.grad((out, lse), inputs, ones_and_zeros, retain_graph=True)
    again = torch.autograd.grad(out, inputs, torch.ones_like(out))
    for first, second, third in zip(alone, both, again, strict=True):
        assert torch.equal(first, second)
        assert torch.equal(first, third)


def test_a_second_derivative_is_refused_by_name(device: str) -> None:
    graph = random_graph(2, 5, 5, 12).to(device)
    inputs = draw(graph, 1, 3)
    for loss in (attend(graph, *inputs).sum(), attend(graph, *inputs).square().sum()):
        grads = torch.autograd.grad(loss, inputs, create_graph=True)
        penalty = sum(grad.square().sum() for grad in grads) + inputs[0].sum()
        with pytest.raises(RuntimeError, match="attend can be differentiated once, not twice"):
            penalty.backward()


@pytest.mark.parametrize("transform", [torch.func.vmap, torch.func.grad])
def test_function_transforms_are_refused(device: str, transform) -> None:
    graph = random_graph(2, 5, 5, 12).to(device)
    q, k, v = (t.detach() for t in draw(graph, 1, 3))
    argument = q if transform is torch.func.grad else torch.stack([q, q])
    with pytest.raises(RuntimeError, match="setup_context"):
        transform(lambda q: attend(graph, q, k, v).sum())(argument)
