"""Where operator tests run, and the graph whose results are worked out by hand."""

import pytest
import torch

from neighborgraph.graph import Graph


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    """Every device that runs operators: the same tests are the CPU's and the GPU's."""
    return request.param


@pytest.fixture
def hand(device: str) -> Graph:
    """Row 0 a self-loop and two equal edges, row 1 empty, row 2 one edge, row 3 a cut hub.

    The hub's 1300 edges come first and take the sources 0, 1, 2 in turn: 434, 433 and 433 times.
    """
    source = torch.cat([torch.arange(1300) % 3, torch.tensor([0, 1, 1, 2])])
    receiver = torch.cat([torch.full((1300,), 3), torch.tensor([0, 0, 0, 2])])
    return Graph.from_edge_index(torch.stack([source, receiver]), (3, 4)).to(device)
