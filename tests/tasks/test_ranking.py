"""Metrics of ranked lists: a hand table, plain Python after the LightGCN code, and laws."""

import math
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import DtypeError, IdError, InputError
from neighborgraph.tasks.processes import Processes
from neighborgraph.tasks.ranking import (
    METRICS,
    RankingMetrics,
    evaluate_ranking,
    rows_of,
    select_rows,
)

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
NOTHING = torch.empty(2, 0, dtype=torch.int64)

# Ten items. User 0 finds items 1 and 2 of three at places 2 and 5, user 1 its only one at once,
# user 2 has nothing to find and is not counted, user 3 has a short list and finds nothing.
LISTS = torch.tensor([[3, 1, 4, 0, 2], [0, 5, 1, 2, 6], [1, 2, 3, 4, 5], [7, -1, -1, -1, -1]])
PAIRS = torch.tensor([[0, 0, 0, 1, 3], [1, 2, 9, 0, 9]])
# 1 / log2(3) = 0.6309297536, 1 / log2(4) = 0.5, 1 / log2(6) = 0.3868528072
BY_HAND = {
    "recall@3": (1 / 3 + 1 + 0) / 3,
    "precision@3": (1 / 3 + 1 / 3 + 0) / 3,
    "ndcg@3": (0.6309297536 / 2.1309297536 + 1 + 0) / 3,
    "mrr@3": (1 / 2 + 1 + 0) / 3,
    "hit_rate@3": (1 + 1 + 0) / 3,
    "map@3": ((1 / 2) / 3 + 1 + 0) / 3,
    "coverage@3": 7 / 10,  # all but 6, 8 and 9
    "recall@5": (2 / 3 + 1 + 0) / 3,
    "precision@5": (2 / 5 + 1 / 5 + 0) / 3,
    "ndcg@5": ((0.6309297536 + 0.3868528072) / 2.1309297536 + 1 + 0) / 3,
    "mrr@5": (1 / 2 + 1 + 0) / 3,
    "hit_rate@5": (1 + 1 + 0) / 3,
    "map@5": ((1 / 2 + 2 / 5) / 3 + 1 + 0) / 3,
    "coverage@5": 8 / 10,  # all but 8 and 9
}


@pytest.mark.parametrize("device", DEVICES)
def test_by_hand(device: str) -> None:
    metrics = RankingMetrics([5, 3], 10, device)
    metrics.update(LISTS.to(device), PAIRS.to(device))
    found = metrics.compute()
    assert set(found) == {f"{name}@{k}" for name in METRICS for k in (3, 5)}
    assert found == pytest.approx(BY_HAND, abs=1e-6)


def in_plain_python(
    lists: list[list[int]], pairs: list[list[int]], num_items: int, ks: list[int]
) -> dict[str, float]:
    """Sums over ranks, user by user."""
    held_out = defaultdict(set)
    for user, item in zip(*pairs, strict=True):
        held_out[user].add(item)
    sums: dict[str, float] = defaultdict(float)
    for user, wanted in held_out.items():
        for k in ks:
            top = lists[user][:k]
            places = [j for j, item in enumerate(top, start=1) if item in wanted]
            gain = sum(1 / math.log2(j + 1) for j in places)
            ideal = sum(1 / math.log2(j + 1) for j in range(1, min(k, len(wanted)) + 1))
            precisions = [hits / j for hits, j in enumerate(places, start=1)]
            sums[f"recall@{k}"] += len(places) / len(wanted)
            sums[f"precision@{k}"] += len(places) / k
            sums[f"ndcg@{k}"] += gain / ideal
            sums[f"mrr@{k}"] += 1 / places[0] if places else 0
            sums[f"hit_rate@{k}"] += len(places) > 0
            sums[f"map@{k}"] += sum(precisions) / min(k, len(wanted))
    result = {name: value / len(held_out) for name, value in sums.items()}
    for k in ks:
        listed = {item for row in lists for item in row[:k] if item >= 0}
        result[f"coverage@{k}"] = len(listed) / num_items
    return result


def random_case(users: int, items: int, device: str = "cpu") -> tuple[Tensor, ...]:
    """Embeddings, pairs that are seen and pairs that are held out, some of them in both."""
    u, i = torch.randn(users, 6, device=device), torch.randn(items, 6, device=device)
    pairs = torch.cartesian_prod(torch.arange(users), torch.arange(items)).T.to(device)
    draw = torch.rand(pairs.shape[1], device=device)
    # A third of the users has nothing held out.
    kept = (draw > 0.85) & (pairs[0] % 3 > 0)
    return u, i, pairs[:, draw < 0.2], pairs[:, kept | (draw < 0.01)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("users", "items"), [(1, 1), (40, 30), (90, 8), (5, 300)])
def test_equals_plain_python(device: str, users: int, items: int) -> None:
    u, i, seen, held_out = random_case(users, items, device)
    held_out = torch.cat([held_out, torch.zeros(2, 1, dtype=torch.int64, device=device)], dim=1)
    ks = [1, 4, 20]
    found = evaluate_ranking(u, i, rows_of(seen, users), held_out, ks, block=7)

    scores = u.double() @ i.double().T
    scores[seen[0], seen[1]] = -torch.inf
    order = scores.argsort(dim=1, descending=True)
    order = order.masked_fill(scores.gather(1, order).isinf(), -1)
    judged = sorted(set(held_out[0].tolist()))
    place = {user: row for row, user in enumerate(judged)}
    rows = [[place[user] for user in held_out[0].tolist()], held_out[1].tolist()]
    expected = in_plain_python(order[judged].tolist(), rows, items, ks)
    assert found == pytest.approx(expected, abs=1e-6)


def test_padding_is_no_item() -> None:
    """PyG's own matching takes the padding of row 1 for the last item of row 0."""
    metrics = RankingMetrics([2], 10, "cpu")
    metrics.update(torch.tensor([[0, 1], [2, -1]]), torch.tensor([[0, 1], [9, 5]]))
    found = metrics.compute()
    assert found["coverage@2"] == pytest.approx(3 / 10)
    assert all(value == 0 for name, value in found.items() if name != "coverage@2")


@pytest.mark.parametrize("device", DEVICES)
def test_blocks_and_orders_do_not_matter(device: str) -> None:
    u, i, seen, held_out = random_case(50, 60, device)
    rows = rows_of(seen, 50)
    expected = evaluate_ranking(u, i, rows, held_out, [5, 20])
    for block in (1, 3, 50):
        found = evaluate_ranking(u, i, rows, held_out, [20, 5], block)
        assert found == pytest.approx(expected, abs=1e-6)
    mixed = torch.cat([held_out, held_out[:, :9]], dim=1)
    mixed = mixed[:, torch.randperm(mixed.shape[1], device=device)]
    assert evaluate_ranking(u, i, rows, mixed, [5, 20]) == pytest.approx(expected, abs=1e-6)

    new_user, new_item = (torch.randperm(n, device=device) for n in (50, 60))
    renamed = [torch.stack([new_user[p[0]], new_item[p[1]]]) for p in (seen, held_out)]
    moved_u, moved_i = torch.empty_like(u), torch.empty_like(i)
    moved_u[new_user], moved_i[new_item] = u, i
    found = evaluate_ranking(moved_u, moved_i, rows_of(renamed[0], 50), renamed[1], [5, 20])
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_perfect_ranking_scores_one_and_its_reverse_none() -> None:
    users, items = torch.eye(4), torch.eye(4).repeat(3, 1)
    item = torch.arange(12)
    held_out = torch.stack([item % 4, item])
    nothing_seen = rows_of(NOTHING, 4)
    best = evaluate_ranking(users, items, nothing_seen, held_out, [3])
    assert best == pytest.approx(dict.fromkeys(best, 1.0))
    worst = evaluate_ranking(-users, items, nothing_seen, held_out, [3])
    assert worst.pop("coverage@3") > 0
    assert worst == dict.fromkeys(worst, 0.0)


def test_what_was_seen_cannot_be_found() -> None:
    users, items, pair = torch.ones(1, 1), torch.ones(1, 1), torch.zeros(2, 1, dtype=torch.int64)
    found = evaluate_ranking(users, items, rows_of(pair, 1), pair, [1])
    assert found == dict.fromkeys(found, 0.0)


def test_users_without_held_out_items_change_nothing() -> None:
    u, i, seen, held_out = random_case(30, 40)
    expected = evaluate_ranking(u, i, rows_of(seen, 30), held_out, [10])
    more = torch.cat([u, torch.randn(20, 6)])
    assert evaluate_ranking(more, i, rows_of(seen, 50), held_out, [10]) == expected


def test_embeddings_with_gradients_and_in_half_precision_are_fine() -> None:
    u, i, seen, held_out = random_case(30, 40)
    u = u.half().requires_grad_()
    found = evaluate_ranking(u, i.half(), rows_of(seen, 30), held_out, [10])
    assert 0 < found["recall@10"] < 1


def test_rows() -> None:
    rowptr, column = rows_of(torch.tensor([[2, 0, 2, 0], [5, 7, 4, 6]]), 4)
    assert (rowptr.tolist(), column.tolist()) == ([0, 2, 2, 4, 4], [7, 6, 5, 4])
    chosen = select_rows((rowptr, column), torch.tensor([2, 1, 3, 0]))
    assert [part.tolist() for part in chosen] == [[0, 2, 2, 2, 4], [5, 4, 7, 6]]


def test_no_user_judged_gives_zero() -> None:
    metrics = RankingMetrics([2], 3, "cpu")
    metrics.update(torch.tensor([[0, 1]]), NOTHING)
    assert metrics.compute()["recall@2"] == 0


def test_faults_are_refused() -> None:
    u, i, seen, held_out = random_case(5, 6)
    rows = rows_of(seen, 5)
    with pytest.raises(InputError, match="held_out is empty"):
        evaluate_ranking(u, i, rows, NOTHING)
    for axis, size in ((0, 5), (1, 6)):
        for bad in (-1, size):
            pairs = torch.tensor([[0, 1], [2, 3]])
            pairs[axis, 1] = bad
            with pytest.raises(IdError, match=rf"held_out\[{axis}, 1\] = {bad} is outside \[0, "):
                evaluate_ranking(u, i, rows, pairs)
    for ks, error in (([], InputError), ([0], InputError), ([2.5], DtypeError)):
        with pytest.raises(error, match="ks"):
            evaluate_ranking(u, i, rows, held_out, ks)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="block = 0"):
        evaluate_ranking(u, i, rows, held_out, block=0)
    with pytest.raises(InputError, match=r"1 places; 2 are to be judged"):
        RankingMetrics([2], 6, "cpu").update(torch.zeros(1, 1, dtype=torch.int64), NOTHING)
    with pytest.raises(DtypeError, match="int64"):
        evaluate_ranking(u, i, rows, held_out.int())


@pytest.mark.parametrize("size", [2, 3, 40])
def test_processes_that_share_the_users_all_get_the_whole_result(size: int) -> None:
    u, i = torch.randn(30, 8), torch.randn(50, 8)
    seen, held_out = (torch.stack([torch.arange(30), torch.randint(50, (30,))]) for _ in range(2))
    expected = evaluate_ranking(u, i, rows_of(seen, 30), held_out, [3, 20])
    all_here, given = threading.Barrier(size), [torch.empty(0)] * size

    class Threads(Processes):
        """Threads in the place of processes; 40 are more than there are users."""

        def sum_(self, *tensors: Tensor) -> None:
            for tensor in tensors:
                given[self.rank] = tensor.clone()
                all_here.wait(60)
                tensor.copy_(torch.stack(given).sum(0))
                all_here.wait(60)

    def evaluate(rank: int) -> dict[str, float]:
        processes = Threads(rank, size)
        return evaluate_ranking(u, i, rows_of(seen, 30), held_out, [3, 20], processes=processes)

    with ThreadPoolExecutor(size) as pool:
        for found in pool.map(evaluate, range(size)):
            assert found == pytest.approx(expected, abs=1e-6)
            assert found.keys() == expected.keys()
