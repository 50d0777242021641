"""Time codes: the formula, its digits at large times, and refusals."""

import pytest
import torch

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.nn import TimeEncoder


def test_cosines_from_fast_to_slow() -> None:
    elapsed = torch.tensor([[0, 1], [7, 1000]])
    expected = torch.stack([(elapsed * w).double().cos() for w in (1, 10**-4.5, 1e-9)], dim=-1)
    torch.testing.assert_close(TimeEncoder(3)(elapsed), expected.float())
    assert TimeEncoder(1)(elapsed).shape == (2, 2, 1)


def test_nanoseconds_of_years_keep_their_digits() -> None:
    # A float32 phase of 10^17 would be off by thousands of turns.
    elapsed = torch.tensor([10**8, 10**8 + 1])
    first, second = TimeEncoder(1)(elapsed)
    assert first.item() == pytest.approx(torch.tensor(1e8, dtype=torch.float64).cos().item())
    assert first != second


def test_nothing_is_learned_or_saved() -> None:
    assert not TimeEncoder(4).state_dict()
    elapsed = torch.tensor([12345.5], dtype=torch.float64)
    half = TimeEncoder(4).half()(elapsed)
    assert torch.allclose(half, TimeEncoder(4)(elapsed), atol=2e-2) or half.isfinite().all()


def test_refusals() -> None:
    with pytest.raises(InputError, match="channels=0 must be at least 1"):
        TimeEncoder(0)
    with pytest.raises(DtypeError, match="elapsed must be one of int64, float64, got float32"):
        TimeEncoder(2)(torch.zeros(3))
