"""Gradients of attend: by finite differences, for each argument alone, and only once."""

import pytest
import torch

from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, Dot, attend, attend_with_lse
from neighborgraph.ops.attend.cuda import GROUPS, LEAST_GROUP, total
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
            out, lse = attend_with_lse(graph, q, k, v, score=Dot(0.7))
            return out, lse.masked_fill(~filled, 0)

        inputs = draw(graph, heads, width, wanted)
        assert torch.autograd.gradcheck(out_and_lse, inputs, eps=1e-6, atol=1e-5, rtol=1e-3)


def options_of(score: str, graph: Graph, self_loops: bool) -> dict[str, torch.Tensor]:
    """Leaves in float64 for every option that has a gradient, two heads of width 3."""
    edges = graph.num_edges + self_loops * graph.num_rows
    shapes = {"bias": (edges, 2), "edge": (edges, 2, 3)}
    if score == "additive":
        shapes["weight"] = (2, 3)
    options = {"dtype": torch.float64, "device": graph.device, "requires_grad": True}
    return {name: torch.randn(shape, **options) for name, shape in shapes.items()}


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("score", ["dot", "additive"])
@pytest.mark.parametrize("wanted", ["bias", "edge", "weight", "all"])
def test_finite_differences_of_options(
    device: str, wanted: str, score: str, dropout: float, self_loops: bool
) -> None:
    if wanted == "weight" and score == "dot":
        score = "additive of no edge input"
    graph = random_graph(4, 6, 6, 16).to(device)
    leaves = options_of("additive" if "additive" in score else score, graph, self_loops)
    if score == "additive of no edge input":
        leaves = {"weight": leaves["weight"]}
    fixed = {"dropout": dropout, "seed": 5, "self_loops": self_loops}
    filled = (graph.degree > 0)[:, None] | self_loops
    inputs = dict(zip("qkv", draw(graph, 2, 3, "qkv" if wanted == "all" else ""), strict=True))
    for name, leaf in leaves.items():
        inputs[name] = leaf.requires_grad_(wanted in (name, "all"))

    def out_and_lse(*tensors: torch.Tensor):
        q, k, v, *rest = tensors
        named = dict(zip(list(inputs)[3:], rest, strict=True))
        scored = Dot(0.7) if score == "dot" else Additive(named.pop("weight"), 0.1)
        out, lse = attend_with_lse(graph, q, k, v, score=scored, **named, **fixed)
        return out, lse.masked_fill(~filled, 0)

    assert torch.autograd.gradcheck(
        out_and_lse, tuple(inputs.values()), eps=1e-6, atol=1e-5, rtol=1e-3
    )


@pytest.mark.parametrize("shape", [(2, 3), (1, 1), (4, 32)])
@pytest.mark.parametrize("rows", [0, 1, GROUPS * LEAST_GROUP - 1, GROUPS * LEAST_GROUP, 20_000])
def test_shares_of_a_weight_add_up(device: str, rows: int, shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(rows)
    shares = torch.randint(-99, 99, (rows, *shape), generator=generator).to(device)
    expected = shares.sum(0)
    assert torch.equal(total(shares.double()), expected.double())  # exact: they are integers
    narrow = torch.randn(rows, *shape, generator=generator).to(device)
    found = total(narrow)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, narrow.double().sum(0).float(), rtol=1e-5, atol=1e-3)
    assert torch.equal(total(narrow), found)


def test_the_gradient_of_a_weight_over_many_rows(device: str) -> None:
    rows = GROUPS * LEAST_GROUP + 5
    graph = random_graph(3, rows, 50, 2 * rows).to(device)
    q, k, weight = (torch.randn(n, 1, 4, dtype=torch.float64, device=device) for n in (rows, 50, 1))
    grads = []
    for dtype in (torch.float64, torch.float32):
        w = weight[0].to(dtype).requires_grad_()
        out = attend(graph, q.to(dtype), k.to(dtype), k.to(dtype), score=Additive(w))
        (grad,) = torch.autograd.grad((out * out).sum(), w)
        grads.append(grad.double())
    torch.testing.assert_close(
        grads[1], grads[0], rtol=1e-4, atol=1e-3 * float(grads[0].abs().max())
    )


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


@pytest.mark.parametrize(
    ("transform", "message"),
    [(torch.func.vmap, "Batching rule not implemented"), (torch.func.grad, "setup_context")],
)
def test_function_transforms_are_refused(device: str, transform, message: str) -> None:
    graph = random_graph(2, 5, 5, 12).to(device)
    q, k, v = (t.detach() for t in draw(graph, 1, 3))
    argument = q if transform is torch.func.grad else torch.stack([q, q])
    with pytest.raises(RuntimeError, match=message):
        transform(lambda q: attend(graph, q, k, v).sum())(argument)
