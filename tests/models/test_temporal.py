"""TemporalModel: candidates dealt to sources."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.models.temporal import candidates


@pytest.mark.parametrize(("sources", "destinations", "times"), [(3, 6, 2), (2, 2, 1), (0, 0, 0)])
def test_candidates(sources: int, destinations: int, times: int) -> None:
    assert candidates(torch.zeros(sources), torch.zeros(destinations)) == times


@pytest.mark.parametrize(("sources", "destinations"), [(3, 5), (0, 2)])
def test_uneven_candidates_are_refused(sources: int, destinations: int) -> None:
    with pytest.raises(InputError, match=f"{destinations} destinations cannot be dealt"):
        candidates(torch.zeros(sources), torch.zeros(destinations))
