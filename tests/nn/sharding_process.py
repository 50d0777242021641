"""One process of a training with a dealt table: ``sharding_process.py RANK WORLD BACKEND FOLDER``.

What it holds and found is left in the folder. With WORLD = 1 there is no process group.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from neighborgraph.nn import ShardedEmbedding, sharded_embedding

ROWS, WIDTH, STEPS, SHARES = 23, 4, 3, 4
sharded_embedding.BLOCK = 5  # several blocks, the last one short


def shares(step: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Ids, with repetitions, and what each row is multiplied by; the last share is empty."""
    generator = torch.Generator().manual_seed(step)
    sizes = [(7,), (2, 3), (1,), (0,)]
    assert len(sizes) == SHARES
    return [
        (
            torch.randint(ROWS, size, generator=generator).to(device),
            torch.randn(*size, WIDTH, generator=generator).to(device),
        )
        for size in sizes
    ]


def main(rank: int, world: int, backend: str, folder: Path) -> None:
    """Train on this process's part of the shares."""
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world > 1:
        meeting = f"file://{folder}/meeting-of-{world}"
        dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=world)
    torch.manual_seed(0)
    table = ShardedEmbedding(ROWS, WIDTH).to(device)
    first = table.weight.detach().clone()
    adam = torch.optim.Adam(table.parameters(), lr=0.1)
    found, gradients = [], []
    for step in range(STEPS):
        adam.zero_grad()
        # One process has the first shares, another the last, which is empty.
        mine = shares(step, device)[rank * SHARES // world : (rank + 1) * SHARES // world]
        looked_up = [table(ids) for ids, _ in mine]
        loss = sum(
            (rows.square() * factor).sum()
            for rows, (_, factor) in zip(looked_up, mine, strict=True)
        )
        assert isinstance(loss, Tensor)
        loss.backward()
        assert table.weight.grad is not None
        adam.step()
        found += [rows.detach().cpu() for rows in looked_up]
        gradients.append(table.weight.grad.cpu())
    state = {"first": first.cpu(), "last": table.weight.detach().cpu()}
    torch.save(state | {"found": found, "gradients": gradients}, folder / f"{rank}-of-{world}.pt")
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
