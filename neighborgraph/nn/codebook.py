"""Codebook: a few vectors that stand for all nodes, and how many nodes each stands for."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from neighborgraph.checks import expect_dtype, expect_shape
from neighborgraph.errors import InputError

NORM_MOMENTUM = 0.1
"""Of the running mean and variance, as in ``torch.nn.BatchNorm1d``."""
EPS = 1e-5


class Codebook(nn.Module):
    r"""Centroids of all nodes' vectors, learned batch by batch without gradients.

    Of a batch x, normalised to :math:`\hat{x}` by its mean and variance in each channel, every row
    belongs to the nearest centroid. Sizes and sums are averaged over batches,

    .. math::

        N_c \leftarrow \gamma N_c + (1 - \gamma) \, |\{i : c_i = c\}|, \qquad
        S_c \leftarrow \gamma S_c + (1 - \gamma) \sum_{i : c_i = c} \hat{x}_i,

    and :math:`S_c / N_c` is the new centroid. A node belongs to the centroid that it was nearest to
    when it was last in a batch; :math:`n_c` counts these nodes, exactly.

    A centroid whose size has fallen far below the mean is dead: no row would find it again. It
    starts anew at a row of the batch. Everything is float32, also under autocast. Of several
    processes that train together each passes its own part of the batch, and all end with the same
    codebook.

    "Neural Discrete Representation Learning", https://arxiv.org/abs/1711.00937, appendix A.1, with
    the normalisation of "GOAT: A Global Transformer on Large-scale Graphs" (ICML 2023).
    """

    centroids: Tensor
    size: Tensor
    total: Tensor
    mean: Tensor
    variance: Tensor
    code: Tensor
    count: Tensor

    def __init__(
        self,
        num_codes: int,
        channels: int,
        num_nodes: int,
        *,
        decay: float = 0.99,
        dead_below: float = 0.01,
    ):
        r"""Place the centroids at random, and deal the nodes among them.

        Args:
            num_codes: B, number of centroids.
            channels: d, width of a vector.
            num_nodes: n, of all nodes.
            decay: :math:`\gamma`, in [0, 1).
            dead_below: A centroid is dead when its size is below this part of the mean size; 0
                revives none.

        Raises:
            InputError: A number is out of range.
        """
        super().__init__()
        for name, number in (
            ("num_codes", num_codes),
            ("channels", channels),
            ("num_nodes", num_nodes),
        ):
            if number < 1:
                raise InputError(f"{name}={number} must be at least 1")
        for name, part in (("decay", decay), ("dead_below", dead_below)):
            if not 0 <= part < 1:
                raise InputError(f"{name}={part} is outside [0, 1)")
        self.decay, self.dead_below = decay, dead_below
        self.register_buffer("centroids", torch.randn(num_codes, channels))
        self.register_buffer("size", torch.zeros(num_codes))
        self.register_buffer("total", torch.zeros(num_codes, channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        code = torch.randint(num_codes, (num_nodes,), dtype=torch.int32)
        self.register_buffer("code", code)
        self.register_buffer("count", torch.bincount(code, minlength=num_codes))

    def rows(self) -> Tensor:
        """[B, d] the centroids as vectors of nodes, the normalisation undone."""
        return self.centroids * (self.variance + EPS).sqrt() + self.mean

    @torch.no_grad()
    def update(self, x: Tensor, node: Tensor) -> Tensor:
        """Learn from the vectors of some nodes.

        Args:
            x: [b, d] vectors.
            node: [b] int64, whose they are; each node once.

        Returns:
            [b] int64, the centroid that each belongs to now.

        Raises:
            InputError: A shape is wrong.
            DtypeError: ``node`` is not int64.
        """
        expect_shape("x", x, ("b", self.centroids.shape[1]))
        expect_dtype("node", node, (torch.int64,))
        expect_shape("node", node, x.shape[:1], "one a row of x")
        with torch.autocast(x.device.type, enabled=False):
            x = self.normalized(x.float())
            code = nearest(x, self.centroids)
            member = nn.functional.one_hot(code, len(self.size)).to(x.dtype)
            size, total = sum_over_processes(member.sum(0), member.t() @ x)
            self.size.lerp_(size, 1 - self.decay)
            self.total.lerp_(total, 1 - self.decay)
            self.revive(x)
            size = self.size[:, None]
            self.centroids.copy_(torch.where(size > 0, self.total / size, self.centroids))
        self.assign(*of_all_processes(node, code))
        return code

    def normalized(self, x: Tensor) -> Tensor:
        """A batch with mean 0 and variance 1 in every channel; notes its mean and variance."""
        rows, sums = sum_over_processes(x.new_tensor(float(len(x))), x.sum(0))
        mean = sums / rows
        (squares,) = sum_over_processes((x - mean).square().sum(0))
        self.mean.lerp_(mean, NORM_MOMENTUM)
        self.variance.lerp_(squares / (rows - 1).clamp_min(1), NORM_MOMENTUM)
        return (x - mean) / (squares / rows + EPS).sqrt()

    def revive(self, x: Tensor) -> None:
        """Put dead centroids on rows of the first process's batch, with the mean size."""
        usual = self.size.mean()
        chosen = x[torch.randint(len(x), self.size.shape, device=x.device)]
        if together():
            dist.broadcast(chosen, src=0)
        dead = self.size < self.dead_below * usual
        self.size.copy_(torch.where(dead, usual, self.size))
        self.total.copy_(torch.where(dead[:, None], usual * chosen, self.total))

    def assign(self, node: Tensor, code: Tensor) -> None:
        """Move nodes from the centroids they belonged to, and count."""
        one = torch.ones_like(node)
        self.count.index_add_(0, self.code[node].long(), -one)
        self.count.index_add_(0, code, one)
        self.code[node] = code.int()

    def extra_repr(self) -> str:
        """Sizes."""
        (codes, channels), nodes = self.centroids.shape, len(self.code)
        return f"{codes}, {channels}, {nodes} nodes, decay={self.decay}"


def nearest(x: Tensor, centroids: Tensor) -> Tensor:
    """[b] the centroid with the least distance: |x|² - 2 x·c + |c|², less what all share."""
    return (centroids.square().sum(1) / 2 - x @ centroids.t()).argmin(dim=1)


def together() -> bool:
    """Whether several processes learn one codebook."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_processes(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, summed in place over the processes."""
    if together():
        for tensor in tensors:
            dist.all_reduce(tensor)
    return tensors


def of_all_processes(node: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and codes of all processes' parts, which may differ in length."""
    if not together():
        return node, code
    sizes = [torch.empty_like(node[:1]) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, node.new_tensor([len(node)]))
    most = int(torch.cat(sizes).max())
    own = node.new_full((2, most), -1)
    own[0, : len(node)], own[1, : len(node)] = node, code
    parts = [torch.empty_like(own) for _ in sizes]
    dist.all_gather(parts, own)
    whole = torch.cat(parts, dim=1)
    node, code = whole[:, whole[0] >= 0]
    return node, code
