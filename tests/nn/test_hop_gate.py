"""HopGate: by hand, against the stacked formula, and its gradient."""

import torch

from neighborgraph.nn import HopGate


def test_zero_score_halves_every_hop() -> None:
    gate = HopGate(2)
    torch.nn.init.zeros_(gate.score.weight)
    torch.nn.init.zeros_(gate.score.bias)
    hops = [torch.tensor([[2.0, 4.0]]), torch.tensor([[6.0, 8.0]])]
    assert gate(hops).tolist() == [[4.0, 6.0]]


def test_equals_the_stacked_formula() -> None:
    gate = HopGate(3)
    hops = [torch.randn(5, 3) for _ in range(4)]
    stack = torch.stack(hops, dim=1)
    expected = (gate.score(stack).sigmoid() * stack).sum(dim=1)
    torch.testing.assert_close(gate(hops), expected)


def test_gradient() -> None:
    gate = HopGate(3).double()
    hops = [torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(lambda *h: gate(h), hops)
