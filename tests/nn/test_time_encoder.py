"""Time codes: the formula, its digits and limits at large times, and refusals."""

import pytest
import torch

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.nn import TimeEncoder


def test_decays_from_fast_to_slow() -> None:
    elapsed = torch.tensor([[0, 1], [7, 1000]])
    expected = torch.stack([(elapsed * -w).double().exp() for w in (1, 10**-4.5, 1e-9)], dim=-1)
    torch.testing.assert_close(TimeEncoder(3)(elapsed), expected.float())
    assert TimeEncoder(1)(elapsed).shape == (2, 2, 1)


def test_from_one_to_zero_however_long() -> None:
    elapsed = torch.tensor([0, 10**9, 10**10, 2**63 - 1])
    code = TimeEncoder(10)(elapsed)
    assert code[0].tolist() == [1.0] * 10
    assert code[1, 9].item() == pytest.approx(0.36788, abs=1e-5)
    assert (code.diff(dim=0) <= 0).all()
    assert code[3].tolist() == [0.0] * 10


def test_nothing_is_learned_or_saved() -> None:
    assert not TimeEncoder(4).state_dict()
    elapsed = torch.tensor([12345.5], dtype=torch.float64)
    half = TimeEncoder(4).half()(elapsed)
    torch.testing.assert_close(half, TimeEncoder(4)(elapsed), atol=1e-2, rtol=0)


def test_refusals() -> None:
    with pytest.raises(InputError, match="channels=0 must be at least 1"):
        TimeEncoder(0)
    with pytest.raises(DtypeError, match="elapsed must be one of int64, float64, got float32"):
        TimeEncoder(2)(torch.zeros(3))
