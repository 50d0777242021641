"""One process that learns a codebook: ``codebook_process.py RANK WORLD FOLDER DEAD_BELOW``."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from neighborgraph.nn import Codebook

NODES, CHANNELS, CODES, BATCH = 60, 3, 8, 15


def main(rank: int, world: int, folder: Path, dead_below: float) -> None:
    """Learn from this process's part of every batch, and leave the codebook in the folder."""
    if world > 1:
        meeting = f"file://{folder}/meeting"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    torch.manual_seed(0)
    codebook = Codebook(CODES, CHANNELS, NODES, dead_below=dead_below)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        order = torch.randperm(NODES, generator=generator)
        x = torch.randn(NODES, CHANNELS, generator=generator)
        for node in order.split(BATCH):
            own = node.tensor_split(world)[rank]
            codebook.update(x[own], own)
    torch.save(codebook.state_dict(), folder / f"{rank}-of-{world}.pt")
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
