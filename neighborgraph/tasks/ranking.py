r"""How good ranked lists of all items are: recall, precision, NDCG, MRR, hit rate, MAP, coverage.

Let T be a user's held-out items, k the length of the list, and r_j = 1 where the item in place j of
the list, counted from 1, is in T, else 0. Padding is never in T. Then

.. math::

    \mathrm{recall@}k &= \textstyle\sum_{j \le k} r_j / |T| \\
    \mathrm{precision@}k &= \textstyle\sum_{j \le k} r_j / k \\
    \mathrm{ndcg@}k &= \frac{\sum_{j \le k} r_j / \log_2(j + 1)}
        {\sum_{j \le \min(k, |T|)} 1 / \log_2(j + 1)} \\
    \mathrm{mrr@}k &= \max_{j \le k}\; r_j / j \\
    \mathrm{hit\_rate@}k &= \max_{j \le k}\; r_j \\
    \mathrm{map@}k &= \frac{1}{\min(k, |T|)} \sum_{j \le k} \frac{r_j}{j} \sum_{l \le j} r_l

each averaged over the users that have held-out items, as in the code of LightGCN (`SIGIR 2020
<https://arxiv.org/abs/2002.02126>`_). coverage@k is the fraction of all items that are in at least
one of these users' lists.

All but coverage are those of ``torch_geometric.metrics``, on the lists' device. PyG takes -1, the
padding, for an item: in row u it may pass for the last item of user u - 1, and in its coverage for
the last item of all. Here padding is given a number of its own first.
"""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor

from neighborgraph.checks import INDEX_DTYPES, expect_dtype, expect_shape, expect_tensor
from neighborgraph.errors import DtypeError, IdError, InputError
from neighborgraph.ops.topk import topk
from neighborgraph.tasks.processes import ALONE, Processes

PYG_METRICS = {
    "recall": "LinkPredRecall",
    "precision": "LinkPredPrecision",
    "ndcg": "LinkPredNDCG",
    "mrr": "LinkPredMRR",
    "hit_rate": "LinkPredHitRatio",
    "map": "LinkPredMAP",
}
METRICS = (*PYG_METRICS, "coverage")
"""Names of all metrics; results are named ``recall@20`` and so on."""
BLOCK = 2**15
"""Users whose lists are in memory at once."""


class RankingMetrics:
    """Metrics of lists that come in blocks of users; sums are kept, lists are not.

    Args:
        ks: Lengths of lists to judge.
        num_items: Items there are.
        device: Of the lists.

    Raises:
        InputError: ``ks`` is empty or has a number below 1.
    """

    def __init__(self, ks: Iterable[int], num_items: int, device: torch.device | str) -> None:
        # Imported here: PyG takes seconds.
        from torch_geometric import metrics

        self.ks = checked(ks)
        self.num_items = num_items
        self._averages = metrics.LinkPredMetricCollection(
            {
                f"{name}@{k}": getattr(metrics, kind)(k)
                for name, kind in PYG_METRICS.items()
                for k in self.ks
            }
        ).to(device)
        # One item more, the padding.
        self._listed = torch.zeros(len(self.ks), num_items + 1, dtype=torch.bool, device=device)

    def update(self, ids: Tensor, pairs: Tensor) -> None:
        """Count a block of lists.

        Args:
            ids: [B, k] int64 items, the best first, -1 where there is none; k at least the largest
                of ``ks``.
            pairs: [2, n] int64 (row of ``ids``, held-out item), no pair twice.

        Raises:
            InputError: The lists are too short.
        """
        expect_shape("ids", ids, ("B", "k"))
        expect_shape("pairs", pairs, (2, "n"))
        if ids.shape[1] < max(self.ks):
            raise InputError(f"ids has {ids.shape[1]} places; {max(self.ks)} are to be judged")
        ids = ids.masked_fill(ids < 0, self.num_items)
        self._averages.update(ids, pairs)
        for k, listed in zip(self.ks, self._listed, strict=True):
            listed[ids[:, :k]] = True

    def compute(self, processes: Processes = ALONE) -> dict[str, float]:
        """All metrics by name, as fractions; 0 where no user has held-out items.

        Args:
            processes: Those that have judged other users each.
        """
        found = self._averages.compute()
        averages, listed = torch.stack(list(found.values())), self._listed[:, :-1]
        if processes.size > 1:
            first = next(iter(self._averages.values()))
            users = torch.as_tensor(first.total).double()
            averages, listed = averages * users, listed.int()
            processes.sum_(averages, users, listed)
            averages, listed = averages / users.clamp(min=1), listed > 0
        coverage = listed.sum(1) / max(self.num_items, 1)
        values = torch.cat([averages, coverage]).tolist()
        return dict(zip([*found, *(f"coverage@{k}" for k in self.ks)], values, strict=True))


@torch.no_grad()
def evaluate_ranking(
    users: Tensor,
    items: Tensor,
    seen: tuple[Tensor, Tensor],
    held_out: Tensor,
    ks: Iterable[int] = (20,),
    block: int = BLOCK,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Rank all items for every user that has held-out ones, and judge the lists.

    A held-out item that the user has also seen is not listed, but counts as missed.

    Args:
        users: [U, d] embeddings as for `topk`.
        items: [I, d] embeddings.
        seen: (rowptr [U + 1], column [nnz]) of items that are not to be listed; see `rows_of`.
        held_out: [2, n] int64 pairs (user, item) in any order; one that occurs twice counts once.
        ks: Lengths of lists to judge.
        block: Users ranked and judged at a time; without influence on the result.
        processes: Those that share the users; all pass the same arguments and get the same result.

    Returns:
        Metrics as fractions: ``recall@20``, ``coverage@20`` and so on for each of ``METRICS``.

    Raises:
        InputError: Nothing is held out, or an argument is out of its range.
        IdError: A user or item of ``held_out`` does not exist.
    """
    ks = checked(ks)
    if block < 1:
        raise InputError(f"block = {block} must be at least 1")
    expect_pairs("held_out", held_out, users.shape[0], items.shape[0])
    if held_out.shape[1] == 0:
        raise InputError("held_out is empty; a ranking is judged by at least one pair")
    keys = (held_out[0] * items.shape[0] + held_out[1]).unique()  # sorted by user
    user, count = (keys // items.shape[0]).unique_consecutive(return_counts=True)
    if processes.size > 1:
        own = processes.share(len(user))
        before, user, count = count[: own.start].sum(), user[own], count[own]
        keys = keys[before : before + count.sum()]
    row = torch.arange(len(user), device=user.device).repeat_interleave(count)
    pairs = torch.stack([row, keys % items.shape[0]])
    begins = [*range(0, len(user), block), len(user)]
    ends = torch.nn.functional.pad(count.cumsum(0), (1, 0))[begins].tolist()

    metrics = RankingMetrics(ks, items.shape[0], items.device)
    rowptr, column = select_rows(seen, user)
    for (begin, end), (first, last) in zip(pairwise(begins), pairwise(ends), strict=True):
        known = rowptr[begin : end + 1], column
        _, ids = topk(users[user[begin:end]], items, max(ks), known)
        metrics.update(ids, torch.stack([pairs[0, first:last] - begin, pairs[1, first:last]]))
    return metrics.compute(processes)


def rows_of(pairs: Tensor, num_users: int) -> tuple[Tensor, Tensor]:
    """The items of each user, as `topk` and `evaluate_ranking` want to know what was seen.

    Args:
        pairs: [2, n] int64 (user, item), in any order.
        num_users: Users there are.

    Returns:
        rowptr [num_users + 1] and column [n].
    """
    user, order = pairs[0].sort(stable=True)
    rowptr = torch.searchsorted(user, torch.arange(num_users + 1, device=user.device))
    return rowptr, pairs[1, order]


def select_rows(rows: tuple[Tensor, Tensor], chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Some rows of a CSR matrix."""
    rowptr, column = rows
    begin = rowptr[chosen]
    count = rowptr[chosen + 1] - begin
    pointers = torch.nn.functional.pad(count.cumsum(0), (1, 0))
    shift = (begin - pointers[:-1]).repeat_interleave(count)
    return pointers, column[shift + torch.arange(len(shift), device=shift.device)]


def checked(ks: Iterable[int]) -> tuple[int, ...]:
    """Lengths of lists, each once and in order."""
    ks = tuple(sorted(set(ks)))
    if not ks:
        raise InputError("ks is empty; name the lengths of lists to judge, such as [20]")
    for k in ks:
        if isinstance(k, bool) or not isinstance(k, int):
            raise DtypeError(f"ks must be whole numbers, got {k!r}")
        if k < 1:
            raise InputError(f"ks has {k}; a list has at least one place")
    return ks


def expect_pairs(name: str, pairs: Tensor, num_users: int, num_items: int) -> None:
    """Refuse pairs that are not of the users and items there are."""
    expect_tensor(name, pairs)
    expect_dtype(name, pairs, INDEX_DTYPES[1:])
    expect_shape(name, pairs, (2, "n"))
    sizes = torch.tensor([[num_users], [num_items]], device=pairs.device)
    outside = (pairs < 0) | (pairs >= sizes)
    if outside.any():
        axis, place = outside.nonzero()[0].tolist()
        what, size = ("users", num_users) if axis == 0 else ("items", num_items)
        raise IdError(
            f"{name}[{axis}, {place}] = {int(pairs[axis, place])} is outside [0, {size}), the "
            f"{what} that there are embeddings of"
        )
