"""ShardedEmbedding: an embedding table whose rows are dealt to the processes of a training."""

import torch
import torch.distributed as dist

# Imported after a process group is joined, it keeps that group for ever; see tasks/processes.py.
import torch.distributed.nn
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.checks import expect_dtype, expect_shape, expect_tensor
from neighborgraph.errors import IdError, InputError
from neighborgraph.ops.registration import differentiable_once

BLOCK = 2**16
"""Rows drawn at a time."""


class ShardedEmbedding(nn.Module):
    r"""An ``nn.Embedding`` that has 1/P of its rows in each of P processes.

    Row i is row :math:`\lfloor i / P \rfloor` of process :math:`i \bmod P`. A lookup asks each
    process once for every different row that it holds, so a process moves at most two rows for an
    id, one each way. The gradient of a row is the sum over the processes' losses, in the order of
    their ranks and without atomics: every run gives the same bits. It is complete, and must not be
    summed over processes again. Whatever an optimizer keeps for a parameter is sharded with it.

    Every process must look up equally often, and take part in the backward pass of each lookup; the
    ids may differ in values and in number, and there may be none. Without a process group there is
    one process, which holds all rows.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, group: dist.ProcessGroup | None = None
    ):
        """Draw this process's rows from N(0, 1).

        Args:
            num_embeddings: n, rows of all processes together.
            embedding_dim: d.
            group: The processes; by default all.

        Raises:
            InputError: A size is below 1.
        """
        super().__init__()
        for name, size in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if size < 1:
                raise InputError(f"{name}={size} must be at least 1")
        joined = dist.is_initialized()
        self.group = group
        self.rank = dist.get_rank(group) if joined else 0
        self.processes = dist.get_world_size(group) if joined else 1
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        rows = len(range(self.rank, num_embeddings, self.processes))
        self.weight = nn.Parameter(torch.empty(rows, embedding_dim))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all rows from Torch's generator and keep this process's.

        With one seed for all, the table is the same however many processes share it.
        """
        for first in range(0, self.num_embeddings, BLOCK):
            size = min(BLOCK, self.num_embeddings - first)
            drawn = torch.randn(size, self.embedding_dim, device=self.weight.device)
            own = drawn[(self.rank - first) % self.processes :: self.processes]
            place = -(-(first - self.rank) // self.processes)
            self.weight[place : place + len(own)] = own

    @torch.no_grad()
    def copy_rows(self, table: Tensor) -> None:
        """Take this process's rows from a table that holds all.

        Args:
            table: [n, d], on any device; a file mapped into memory will do.
        """
        expect_shape("table", table, (self.num_embeddings, self.embedding_dim))
        self.weight.copy_(table[self.rank :: self.processes])

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of some ids.

        Args:
            ids: [...] int64 in [0, n), on the device of the rows.

        Returns:
            [..., d].

        Raises:
            DtypeError: ``ids`` is no int64 tensor.
            IdError: An id is out of range. The other processes wait for this one in vain.
        """
        expect_tensor("ids", ids)
        expect_dtype("ids", ids, (torch.int64,))
        different, place = ids.unique(return_inverse=True)
        if different.numel() and (different[0] < 0 or different[-1] >= self.num_embeddings):
            wrong = int(different[0] if different[0] < 0 else different[-1])
            raise IdError(f"ids has {wrong}, which is outside [0, {self.num_embeddings})")
        if self.processes == 1:
            return F.embedding(ids, self.weight)
        order = (different % self.processes).argsort(stable=True)
        asked = different[order]
        owner = asked % self.processes
        counts = torch.bincount(owner, minlength=self.processes)
        asked_of_me = torch.empty_like(counts)
        dist.all_to_all_single(asked_of_me, counts, group=self.group)
        mine, theirs = counts.tolist(), asked_of_me.tolist()
        wanted = exchange(asked // self.processes, mine, theirs, self.group)
        # F.embedding and not an index: its gradient adds up in a fixed order on any device.
        rows = Exchange.apply(F.embedding(wanted, self.weight), theirs, mine, self.group)
        return F.embedding(order.argsort()[place], rows)

    def extra_repr(self) -> str:
        """Sizes."""
        return (
            f"{self.num_embeddings}, {self.embedding_dim}, "
            f"{self.weight.shape[0]} rows in process {self.rank} of {self.processes}"
        )


class Exchange(torch.autograd.Function):
    """Rows to where they were asked for; gradients take the way back."""

    @staticmethod
    def forward(ctx, rows, sent, received, group):
        """Send ``sent[p]`` rows to process p and receive ``received[p]`` from it."""
        ctx.back = received, sent, group
        return exchange(rows, sent, received, group)

    @staticmethod
    @differentiable_once("ShardedEmbedding")
    def backward(ctx, grad):
        """Gradient of the rows sent."""
        return exchange(grad, *ctx.back), None, None, None


def exchange(rows: Tensor, sent: list[int], received: list[int], group) -> Tensor:
    """[sum(received), ...] rows of all processes, in the order of their ranks."""
    result = rows.new_empty(sum(received), *rows.shape[1:])
    dist.all_to_all_single(result, rows.contiguous(), received, sent, group=group)
    return result
