"""Refresh: a GRU's step on the parts of a message side by side."""

import torch
from torch.autograd import gradcheck

from neighborgraph.nn import Refresh


def test_parts_are_one_message() -> None:
    refresh = Refresh(5, 3).double()
    stored, first, second = (torch.randn(2, 4, w).double() for w in (3, 4, 1))
    message = refresh.message(torch.cat([first, second], dim=-1))
    expected = refresh.cell(message.flatten(0, 1), stored.flatten(0, 1)).view(2, 4, 3)
    torch.testing.assert_close(refresh(stored, first, second), expected)


def test_gradient() -> None:
    refresh = Refresh(3, 2).double()
    inputs = [torch.randn(4, w, dtype=torch.float64, requires_grad=True) for w in (2, 2, 1)]
    assert gradcheck(refresh, inputs)
