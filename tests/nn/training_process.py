"""One process of a data-parallel training: ``training_process.py RANK WORLD BACKEND FOLDER``.

Every process trains on its share of the same four graphs; the trained model and the losses are
left in the folder. With WORLD = 1 it is an ordinary training on all of them.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
import torch_geometric.nn as pyg
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neighborgraph.nn import accelerate

GRAPHS, STEPS = 4, 10
NODES, WIDTH, CLASSES = 40, 8, 3


class Model(nn.Module):
    """One layer of each kind of score, and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.gat = pyg.GATConv(WIDTH, 4, heads=2)
        self.transformer = pyg.TransformerConv(8, 4, heads=2)
        self.gcn = pyg.GCNConv(8, CLASSES)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Scores, [n, classes]."""
        x = self.gat(x, edge_index).relu()
        return self.gcn(self.transformer(x, edge_index).relu(), edge_index)


def data(device: torch.device, dtype: torch.dtype) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Features, edges and classes of all graphs, which every process makes alike."""
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(NODES, WIDTH, generator=generator).to(device, dtype),
            torch.randint(NODES, (2, 200), generator=generator).to(device),
            torch.randint(CLASSES, (NODES,), generator=generator).to(device),
        )
        for _ in range(GRAPHS)
    ]


def train(rank: int, world: int, device: torch.device) -> tuple[dict[str, Tensor], list[float]]:
    """The trained parameters, and the mean loss of each step over this process's graphs."""
    dtype = torch.float64 if device.type == "cpu" else torch.float32
    torch.manual_seed(1)
    model = Model().to(device, dtype)
    trained = DistributedDataParallel(model) if world > 1 else model
    assert len(accelerate(trained).swapped) == 3
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
    mine = data(device, dtype)[rank::world]
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.stack([F.cross_entropy(trained(x, edges), y) for x, edges, y in mine]).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {name: value.cpu() for name, value in model.state_dict().items()}, losses


def main(rank: int, world: int, backend: str, folder: Path) -> None:
    """Train, and write what came out."""
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if world > 1:
        meeting = f"file://{folder}/meeting-of-{world}"
        dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=world)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.save(train(rank, world, device), folder / f"{rank}-of-{world}.pt")
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
