"""What LargeGT is timed beside: its released data path, and its attention in plain PyTorch.

Tables of the nodes drawn for each node, and features, are in the host's memory. Worker processes
gather a batch, which is then copied to where the model is. The layer computes and keeps a weight
for every pair of tokens, and the readout repeats the node's own token for each of the others.
"""

import copy
import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from neighborgraph.models import LargeGT
from neighborgraph.nn import TokenAttention

WORKERS = 4


class PlainTokenAttention(TokenAttention):
    """The same layer in plain PyTorch."""

    def forward(self, tokens: Tensor) -> Tensor:
        """The nodes' new vectors."""
        h = self.embed(tokens)
        h = h + self.drop(self.attend(self.attention_norm(h)))
        h = self.out_norm(h + self.drop(self.feed(self.feed_norm(h))))
        own, around = h[:, :1], h[:, 1:]
        score = self.readout(torch.cat([own.expand_as(around), around], dim=2))
        return own.squeeze(1) + (score.softmax(dim=1) * around).sum(dim=1)

    def attend(self, h: Tensor) -> Tensor:
        """Attention with all weights in memory."""
        shape = (*h.shape[:2], 3, self.heads, h.shape[2])
        q, k, v = self.query_key_value(h).view(shape).permute(2, 0, 3, 1, 4)
        weight = (q * h.shape[2] ** -0.5 @ k.transpose(2, 3)).softmax(dim=3)
        mixed = F.dropout(weight, self.dropout, self.training) @ v
        return self.merge(mixed.transpose(1, 2).flatten(2))


def plain(model: LargeGT) -> LargeGT:
    """A copy of a model whose token attention is plain."""
    made = copy.deepcopy(model)
    made.near.__class__ = PlainTokenAttention
    return made


class TokenTables(Dataset):
    """Tables of drawn nodes beside the features of all, in the host's memory."""

    def __init__(self, features: Tensor, position: Tensor, tables: Tensor) -> None:
        """Take what was computed before.

        Args:
            features: [n, 3, F] of all nodes, smoothed 0 to 2 times.
            position: [n, g] of all nodes.
            tables: [m, K] nodes, the first of each row the one that is trained on.
        """
        self.features, self.position, self.tables = features, position, tables

    def __len__(self) -> int:
        """Rows m of the tables."""
        return len(self.tables)

    def __getitem__(self, row: int) -> int:
        """The row itself; the work is in `collate`."""
        return row

    def collate(self, rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """A batch in one gather, where the released code has three."""
        nodes = torch.stack([self.tables[row] for row in rows])
        ids = nodes[:, 0]
        return self.features[nodes], self.position[ids], ids

    def batches(self, size: int, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
        """Batches on a device, without end."""
        with warnings.catch_warnings():
            # Of fewer cores than workers, and of forks beside threads: it is the released way.
            warnings.simplefilter("ignore")
            # Like the released loader, without pinned memory.
            loader = DataLoader(
                self,
                batch_size=size,
                num_workers=WORKERS,
                collate_fn=self.collate,
                persistent_workers=True,
            )
            epoch = iter(loader)
        while True:
            for batch in epoch:
                yield tuple(tensor.to(device) for tensor in batch)
            epoch = iter(loader)
