"""Linear maps of a layer's nodes: their results and gradients are those of what they replace."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import Linear

import neighborgraph.nn
from neighborgraph.nn.conv import projection
from neighborgraph.nn.conv.projection import add_bias, column_sums, inner_by_head, project


@pytest.fixture(autouse=True)
def any_rows_are_many(monkeypatch) -> None:
    monkeypatch.setattr(projection, "MANY_ROWS", 0)


def test_few_rows_are_left_to_torch(monkeypatch) -> None:
    monkeypatch.setattr(projection, "MANY_ROWS", 5)
    x, bias = nodes(4, 5).requires_grad_(), nodes(5).requires_grad_()
    assert "Projections" not in str(project(x, *linears())[0].grad_fn)
    assert "Bias" not in str(add_bias(x, bias).grad_fn)
    x = nodes(5, 5).requires_grad_()
    assert "Projections" in str(project(x, *linears())[0].grad_fn)
    assert "Bias" in str(add_bias(x, bias).grad_fn)


def linears(dtype: torch.dtype = torch.float64) -> list[Any]:
    """Three layers of other widths, the second without a bias."""
    torch.manual_seed(0)
    return [
        Linear(5, 3).to(dtype),
        Linear(5, 4, bias=False).to(dtype),
        Linear(5, 2, weight_initializer="glorot").to(dtype),
    ]


def nodes(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def results(outputs: tuple[Tensor, ...], wanted: list[Tensor]) -> list[Tensor]:
    """Outputs, and gradients of a sum that tells all entries apart."""
    total = torch.stack([(y * nodes(*y.shape, dtype=y.dtype)).sum() for y in outputs]).sum()
    return [*outputs, *torch.autograd.grad(total, wanted)]


LAYERS = {
    "TransformerConv": {"heads": 2},
    "GATConv": {"heads": 3, "residual": True},
    "GATv2Conv": {"heads": 2},
    "GCNConv": {},
    "SAGEConv": {},
    "GraphConv": {},
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_the_same_with_many_rows(monkeypatch, edge_index, name: str) -> None:
    torch.manual_seed(0)
    layer = getattr(neighborgraph.nn, name)(5, 6, **LAYERS[name]).double()
    x = nodes(14, 5).requires_grad_()
    wanted = [x, *layer.parameters()]
    many = results((layer(x, edge_index),), wanted)
    monkeypatch.setattr(projection, "MANY_ROWS", 15)
    for found, right in zip(many, results((layer(x, edge_index),), wanted), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)


class TestProject:
    def test_equals_the_layers(self) -> None:
        modules, x = linears(), nodes(7, 5).requires_grad_()
        wanted = [x, *(p for module in modules for p in module.parameters())]
        ours = results(project(x, *modules), wanted)
        theirs = results(tuple(module(x) for module in modules), wanted)
        assert len(ours) == 3 + 1 + 5
        for found, right in zip(ours, theirs, strict=True):
            torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)

    def test_gradcheck(self) -> None:
        modules, x = linears(), nodes(4, 5).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: project(x, *modules), (x,))

    @pytest.mark.parametrize("frozen", range(3))
    def test_a_frozen_layer_gets_no_gradient(self, frozen: int) -> None:
        modules = linears()
        modules[frozen].requires_grad_(False)
        torch.cat(project(nodes(4, 5), *modules), dim=1).sum().backward()
        for number, module in enumerate(modules):
            for parameter in module.parameters():
                assert (parameter.grad is None) == (number == frozen)

    def test_an_output_without_use_counts_as_zeros(self) -> None:
        modules, x = linears(), nodes(4, 5).requires_grad_()
        (found,) = torch.autograd.grad(project(x, *modules)[1].sum(), x)
        (right,) = torch.autograd.grad(modules[1](x).sum(), x)
        assert torch.equal(found, right)

    def test_hooks_are_called(self) -> None:
        modules, called = linears(), []
        modules[1].register_forward_hook(lambda *_: called.append(1))
        project(nodes(4, 5), *modules)
        assert called == [1]

    def test_a_layer_of_another_class_is_called(self) -> None:
        x = nodes(4, 5)
        doubled = nn.Sequential(linears()[0], nn.Threshold(100.0, 7.0))
        (found,) = project(x, doubled)
        assert found.eq(7.0).all()

    def test_a_lazy_layer_learns_its_width(self) -> None:
        lazy = Linear(-1, 3)
        (found,) = project(nodes(4, 5, dtype=torch.float32), lazy)
        assert found.shape == (4, 3)
        assert lazy.weight.shape == (3, 5)

    def test_autocast_chooses_dtypes(self) -> None:
        modules = linears(torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = project(nodes(4, 5, dtype=torch.float32), *modules)
        assert {y.dtype for y in outputs} == {torch.bfloat16}

    def test_second_derivatives_are_refused(self) -> None:
        x = nodes(4, 5).requires_grad_()
        (grad,) = torch.autograd.grad(project(x, *linears())[0].sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="a layer's projections"):
            grad.sum().backward()


class TestInnerByHead:
    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_equals_products_that_are_added_up(self, count: int) -> None:
        value = nodes(6, 4, 3).requires_grad_()
        vectors = list(nodes(count, 1, 4, 3).requires_grad_())
        plain = tuple((value * vector).sum(-1, keepdim=True) for vector in vectors)
        ours = inner_by_head(value, *vectors)
        assert [tuple(a.shape) for a in ours] == [(6, 4, 1)] * count
        pairs = zip(
            results(ours, [value, *vectors]), results(plain, [value, *vectors]), strict=True
        )
        for found, right in pairs:
            torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)

    def test_autocast_adds_up_in_float32(self) -> None:
        value, vector = nodes(6, 4, 3).bfloat16(), nodes(1, 4, 3).float()
        with torch.autocast("cpu", torch.bfloat16):
            (found,) = inner_by_head(value, vector)
        assert found.dtype == torch.float32


class TestAddBias:
    def test_equals_a_sum(self) -> None:
        x, bias = nodes(6, 4).requires_grad_(), nodes(4).requires_grad_()
        pairs = zip(
            results((add_bias(x, bias),), [x, bias]), results((x + bias,), [x, bias]), strict=True
        )
        for found, right in pairs:
            torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)

    def test_gradients_have_the_dtypes_of_what_they_are_of(self) -> None:
        x, bias = nodes(6, 4).bfloat16().requires_grad_(), nodes(4).float().requires_grad_()
        out = add_bias(x, bias)
        assert out.dtype == torch.float32
        out.sum().backward()
        assert x.grad is not None and x.grad.dtype == torch.bfloat16
        assert bias.grad is not None and bias.grad.tolist() == [6.0] * 4

    def test_none_is_no_bias(self) -> None:
        x = nodes(6, 4)
        assert add_bias(x, None) is x


@pytest.mark.cuda
@pytest.mark.parametrize("rows", [0, 1, 1000, 179_001])
def test_column_sums_on_a_gpu(rows: int) -> None:
    x = nodes(rows, 33, dtype=torch.float32)
    found = column_sums(x.cuda())
    torch.testing.assert_close(found.cpu().double(), x.double().sum(0), rtol=1e-5, atol=1e-3)
    assert all(torch.equal(found, column_sums(x.cuda())) for _ in range(20))
