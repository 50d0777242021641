"""Data that the loaders' tests share."""

import pytest
import torch
from torch_geometric.data import Data, HeteroData


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    """Every device that samples."""
    return request.param


@pytest.fixture
def data(device: str) -> Data:
    """100 nodes and 900 edges with features that say which they are."""
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randint(100, (2, 900), generator=generator)
    time = torch.randint(1000, (900,), generator=generator)
    weight = torch.rand(900, generator=generator)
    return Data(
        x=torch.arange(100),
        edge_index=edge_index,
        edge_attr=torch.arange(900),
        time=time,
        weight=weight,
    ).to(device)


@pytest.fixture
def hetero(device: str) -> HeteroData:
    """Papers that cite papers, and authors that write them."""
    generator = torch.Generator().manual_seed(1)

    def edges(sources: int, receivers: int, count: int) -> torch.Tensor:
        ends = torch.rand(2, count, generator=generator) * torch.tensor([[sources], [receivers]])
        return ends.long()

    data = HeteroData()
    data["paper"].x = torch.arange(60)
    data["author"].x = torch.arange(40)
    data["paper", "cites", "paper"].edge_index = edges(60, 60, 300)
    data["author", "writes", "paper"].edge_index = edges(40, 60, 200)
    data["paper", "by", "author"].edge_index = edges(60, 40, 200)
    return data.to(device)
