"""topk lists what it is defined to list: by hand, beside brute force, and by its laws."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neighborgraph.errors import DeviceError, DtypeError, IdError, InputError
from neighborgraph.ops.topk import cpu, cuda, reference, topk
from neighborgraph.ops.topk.op import DTYPES

Seen = tuple[Tensor, Tensor]
INF, NAN = torch.inf, torch.nan


def whole(*shape: int, low: int = -3, high: int = 3, device: str = "cpu") -> Tensor:
    """Small whole numbers: their dot products are exact in any order, and often equal."""
    return torch.randint(low, high + 1, shape).float().to(device)


def seen_by(users: int, items: int, most: int, device: str = "cpu") -> Seen:
    """Up to ``most`` items for each user, in no order and some twice."""
    rowptr = torch.nn.functional.pad(torch.randint(most + 1, (users,)).cumsum(0), (1, 0))
    return rowptr.to(device), torch.randint(items, (int(rowptr[-1]),)).to(device)


def lists_of(result: tuple[Tensor, Tensor]) -> tuple[list, list]:
    scores, ids = result
    assert (scores.dtype, ids.dtype) == (torch.float32, torch.int64)
    return scores.tolist(), ids.tolist()


def assert_same(actual: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    for a, e in zip(actual, expected, strict=True):
        assert torch.equal(a.cpu(), e.cpu())


# Scores of items 0, 1, 2, ...; seen items; k; scores and items of the list.
TABLE = {
    "the best first": ([1, 3, 2], [], 2, [3, 2], [1, 2]),
    "ties by smaller id": ([5, 7, 5, 7, 5], [], 4, [7, 7, 5, 5], [1, 3, 0, 2]),
    "all equal": ([2] * 9, [], 3, [2] * 3, [0, 1, 2]),
    "a tie at the edge": ([1, 1, 9, 1], [], 2, [9, 1], [2, 0]),
    "seen": ([1, 3, 2], [1], 2, [2, 1], [2, 0]),
    "seen twice, in no order": ([4, 3, 2, 1], [2, 0, 2], 2, [3, 1], [1, 3]),
    "all seen": ([4, 3], [0, 1], 2, [-INF, -INF], [-1, -1]),
    "fewer unseen than k": ([4, 3, 8], [2], 3, [4, 3, -INF], [0, 1, -1]),
    "fewer items than k": ([4], [], 3, [4, -INF, -INF], [0, -1, -1]),
    "no items": ([], [], 2, [-INF, -INF], [-1, -1]),
    "k = I": ([-2, 0, -1], [], 3, [0, -1, -2], [1, 2, 0]),
    "negative zero is zero": ([-0.0, 0.0, -0.0, -1], [], 3, [0, 0, 0], [0, 1, 2]),
    "NaN is not listed": ([NAN, 1, NAN], [], 3, [1, -INF, -INF], [1, -1, -1]),
    "infinite": ([-INF, INF, 0], [], 3, [INF, 0, -INF], [1, 2, 0]),
    "-inf is listed, but not if seen": ([-INF, -INF, -INF], [1], 3, [-INF] * 3, [0, 2, -1]),
}


@pytest.mark.parametrize("name", TABLE, ids=lambda name: name.replace(" ", "-"))
def test_by_hand(device: str, name: str) -> None:
    item_scores, seen, k, scores, ids = TABLE[name]
    users, items = torch.ones(1, 1), torch.tensor(item_scores, dtype=torch.float32).view(-1, 1)
    rowptr, column = torch.tensor([0, len(seen)]), torch.tensor(seen, dtype=torch.int64)
    assert lists_of(reference.topk(users, items, k, rowptr, column)) == ([scores], [ids])
    users, items, rowptr, column = (t.to(device) for t in (users, items, rowptr, column))
    assert lists_of(topk(users, items, k, (rowptr, column))) == ([scores], [ids])
    if not seen:
        assert lists_of(topk(users, items, k)) == ([scores], [ids])


def test_users_have_lists_of_their_own(device: str) -> None:
    users = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], device=device)
    items = torch.tensor([[1.0, 3.0], [2.0, 2.0], [3.0, 0.0]], device=device)
    seen = torch.tensor([0, 1, 1, 3]), torch.tensor([2, 0, 1])
    scores, ids = topk(users, items, 2, (seen[0].to(device), seen[1].to(device)))
    assert ids.tolist() == [[1, 0], [0, 1], [2, -1]]
    assert scores.tolist() == [[2, 1], [3, 2], [3, -INF]]


def by_brute_force(users: Tensor, items: Tensor, k: int, seen: Seen | None) -> list[list[int]]:
    """Sorted pairs of exact fractions; no torch in it."""
    lists = []
    for u, user in enumerate(users.tolist()):
        known = set() if seen is None else set(seen[1][seen[0][u] : seen[0][u + 1]].tolist())
        ranked = sorted(
            (-sum(Fraction(a) * Fraction(b) for a, b in zip(user, item, strict=True)), i)
            for i, item in enumerate(items.tolist())
            if i not in known
        )
        lists.append([i for _, i in ranked[:k]])
    return lists


@given(st.data())
def test_equals_brute_force_where_sums_are_exact(data: st.DataObject) -> None:
    torch.manual_seed(data.draw(st.integers(0, 2**32)))
    users, count, width = (data.draw(st.integers(0, most)) for most in (5, 150, 3))
    k, high = data.draw(st.integers(1, 160)), data.draw(st.integers(0, 3))
    u, i = whole(users, width, high=high), whole(count, width, high=high)
    seen = seen_by(users, count, 6) if count and data.draw(st.booleans()) else None
    _, ids = topk(u, i, k, seen)
    expected = by_brute_force(u, i, k, seen)
    assert [[item for item in row if item >= 0] for row in ids.tolist()] == expected


@pytest.mark.parametrize("shape", [(7, 40, 64, 20), (3, 3000, 33, 100), (2, 5000, 8, 2500)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_is_as_good_as_float64_to_rounding(device: str, dtype: torch.dtype, shape) -> None:
    users, count, width, k = shape
    u, i = (torch.randn(n, width).to(dtype) for n in (users, count))
    rowptr, column = seen_by(users, count, 30)
    scores, ids = topk(u.to(device), i.to(device), k, (rowptr.to(device), column.to(device)))
    exact = u.double() @ i.double().T
    for row, begin, end in zip(range(users), rowptr[:-1], rowptr[1:], strict=True):
        exact[row, column[begin:end]] = -INF
    k = min(k, count - 30)
    scores, ids = scores.cpu().double()[:, :k], ids.cpu()[:, :k]
    # A sum of d products in any order: at most d + 1 roundings of the sum of absolute products.
    budget = (width + 1) * 2**-24 * (u.double().abs() @ i.double().abs().T).max()
    assert (scores - exact.gather(1, ids)).abs().max() <= budget
    assert (scores - exact.topk(k).values).abs().max() <= budget
    assert all(len(set(row)) == k for row in ids.tolist())
    assert (scores[:, 1:] <= scores[:, :-1]).all()


# B, I, k: short and long lists, several blocks of users, passes of the GPU's kernel, and chunks.
SHAPES = [
    (1, 1, 1),
    (0, 5, 3),
    (3, 63, 64),
    (2, 64, 1),
    (5, 65, 20),
    (3, 1024, 1023),
    (3, 1025, 1024),
    (2, 2049, 1025),
    (2, 4100, 4100),
    (700, 7000, 5),
]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_equals_its_definition(
    device: str, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], narrow: bool
) -> None:
    users, count, k = shape
    for module in (cpu, cuda):
        monkeypatch.setattr(module, "SCORES", 2**20)  # 149 of the 700 users
    u, i, seen = whole(users, 6), whole(count, 6), seen_by(users, count, 20)
    column = seen[1].int() if narrow else seen[1]
    on_device = [t.to(device) for t in (u, i, seen[0], column)]
    actual = topk(on_device[0], on_device[1], k, (on_device[2], on_device[3]))
    assert_same(actual, reference.topk(u, i, k, *seen))
    assert_same(topk(on_device[0], on_device[1], k), reference.topk(u, i, k, None, None))


@pytest.mark.parametrize("order", ["rising", "falling", "equal", "two"])
def test_scores_in_an_awkward_order(device: str, order: str) -> None:
    count = torch.arange(9000.0)
    values = {
        "rising": count,
        "falling": -count,
        "equal": torch.ones(9000),
        "two": count.remainder(7).eq(3).float(),
    }[order]
    for k in (1, 20, 1024, 3000):
        u, i = torch.tensor([[1.0], [-1.0]]), values.view(-1, 1)
        actual = topk(u.to(device), i.to(device), k)
        assert_same(actual, reference.topk(u, i, k, None, None))


def test_items_in_another_order_are_the_same_items(device: str) -> None:
    u, i = torch.randn(9, 5, device=device), whole(400, 5, high=30, device=device)
    u = u.mul(64).round()  # exact sums, hardly any of them equal
    scores, ids = topk(u, i, 12)
    order = torch.randperm(400, device=device)
    permuted_scores, permuted = topk(u, i[order], 12)
    assert torch.equal(scores, permuted_scores)
    distinct = scores[:, 1:] != scores[:, :-1]
    alone = torch.nn.functional.pad(distinct, (1, 0), value=True)
    alone[:, :-1] &= distinct
    alone[:, -1] = False  # may be tied with the first item that is not listed
    assert alone.sum() > 80
    assert torch.equal(order[permuted][alone], ids[alone])


def test_users_one_by_one_and_pointers_that_begin_later(device: str) -> None:
    u, i = whole(11, 4, device=device), whole(300, 4, device=device)
    rowptr, column = seen_by(11, 300, 40, device)
    expected = topk(u, i, 17, (rowptr, column))
    for begin, end in [(0, 4), (4, 5), (5, 11)]:
        part = topk(u[begin:end], i, 17, (rowptr[begin : end + 1], column))
        assert_same(part, (expected[0][begin:end], expected[1][begin:end]))


def test_a_shorter_list_is_the_beginning_of_a_longer_one(device: str) -> None:
    u, i = whole(5, 4, device=device), whole(2500, 4, device=device)
    seen = seen_by(5, 2500, 100, device)
    longest = topk(u, i, 2600, seen)
    for k in (1, 2, 20, 1023, 1500):
        assert_same(topk(u, i, k, seen), (longest[0][:, :k], longest[1][:, :k]))


def test_what_was_seen_is_as_if_it_were_not_there(device: str) -> None:
    u, i = whole(1, 4, device=device), whole(500, 4, device=device)
    gone = torch.randperm(500, device=device)[:200]
    left = torch.ones(500, dtype=torch.bool, device=device).index_fill(0, gone, False).nonzero()
    scores, ids = topk(u, i, 50, (torch.tensor([0, 200], device=device), gone))
    expected_scores, expected = topk(u, i[left[:, 0]], 50)
    assert_same((scores, ids), (expected_scores, left[expected, 0]))


def test_strided_and_offset_inputs(device: str) -> None:
    u, i = whole(6, 8, device=device), whole(300, 8, device=device)
    rowptr, column = seen_by(6, 300, 9, device)
    twice = torch.stack([column, column], dim=1).flatten()
    expected = topk(u, i, 7, (rowptr, column))
    wide = torch.stack([rowptr, rowptr], dim=1)
    assert_same(topk(u.T.contiguous().T, i.T.contiguous().T, 7, (wide[:, 1], twice[::2])), expected)
    shifted = topk(torch.cat([u[:1], u])[1:], torch.cat([i[:1], i])[1:], 7, (rowptr, column))
    assert_same(shifted, expected)


def test_repeats_give_the_same_bits_and_inputs_stay(device: str) -> None:
    u, i = torch.randn(300, 16, device=device), torch.randn(3000, 16, device=device)
    seen = seen_by(300, 3000, 40, device)
    before = [t.clone() for t in (u, i, *seen)]
    expected = topk(u, i, 30, seen)
    for _ in range(5):
        assert_same(topk(u, i, 30, seen), expected)
    assert all(torch.equal(t, b) for t, b in zip((u, i, *seen), before, strict=True))


def test_threads_change_nothing() -> None:
    u, i = whole(200, 6), whole(2000, 6)
    expected, before = topk(u, i, 9), torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            assert_same(topk(u, i, 9), expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("rowptr", "column", "message"),
    [
        ([0, 1, 2], [0, 7], r"seen\[1\]\[1\] = 7 is outside \[0, 7\)"),
        ([0, 1, 2], [-1, 3], r"seen\[1\]\[0\] = -1 is outside"),
        ([0, 2, 1], [0, 1], r"seen\[0\]\[2\] = 1 is less than the pointer before it"),
        ([-1, 0, 1], [0], r"seen\[0\]\[0\] = -1 is less than"),
        ([0, 1, 3], [0, 1], r"seen\[0\]\[2\] = 3 is less than .* outside \[0, 2\]"),
    ],
)
def test_seen_out_of_range_is_refused(rowptr, column, message: str) -> None:
    with pytest.raises(IdError, match=message):
        topk(whole(2, 3), whole(7, 3), 2, (torch.tensor(rowptr), torch.tensor(column)))


def test_items_that_no_pointer_leads_to_do_not_matter() -> None:
    seen = torch.tensor([1, 2]), torch.tensor([99, 0, -5])
    assert topk(whole(1, 3), whole(7, 3), 1, seen)[1].item() > 0


def test_other_faults_are_refused() -> None:
    u, i, ids = whole(2, 3), whole(7, 3), torch.tensor([0, 0, 0])
    for users, items in ((u[0], i), (u, i[:, :2])):
        with pytest.raises(InputError, match="shape"):
            topk(users, items, 2)
    for k in (0, -1, 2**31):
        with pytest.raises(InputError, match=f"k = {k} must be in"):
            topk(u, i, k)
    for k in (2.0, True, None):
        with pytest.raises(DtypeError, match="k must be an int"):
            topk(u, i, k)  # type: ignore[arg-type]
    for users, items in ((u.double(), i.double()), (u, i.half()), (u.int(), i.int())):
        with pytest.raises(DtypeError, match="must be one of"):
            topk(users, items, 2)
    with pytest.raises(InputError, match=r"seen\[0\] must have shape \[3\]"):
        topk(u, i, 2, (ids[:2], ids))
    with pytest.raises(DtypeError, match=r"seen\[1\] must be one of int32, int64"):
        topk(u, i, 2, (ids, ids.float()))
    with pytest.raises(DeviceError, match="column"):
        topk(u, i, 2, (ids, ids.to("meta")))


def test_a_gradient_is_refused_by_name() -> None:
    u, i = whole(2, 3).requires_grad_(), whole(7, 3)
    for users, items in ((u, i), (i[:2], u)):
        with pytest.raises(InputError, match="topk has no gradient"):
            topk(users, items, 2)
    with torch.no_grad():
        scores, _ = topk(u, i, 2)
    assert not scores.requires_grad
    assert_same(topk(u.detach(), i, 2), reference.topk(u.detach(), i, 2, None, None))


@pytest.mark.parametrize("autocast", [False, True])
def test_autocast_changes_nothing(device: str, autocast: bool) -> None:
    u, i = torch.randn(3, 8, device=device), torch.randn(50, 8, device=device)
    expected = topk(u, i, 5)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
        assert_same(topk(u, i, 5), expected)


def test_compiles_whole(device: str) -> None:
    compiled = torch.compile(topk, fullgraph=True, dynamic=True, backend="aot_eager")
    for users, count in ((4, 9), (7, 200), (2, 3000)):
        u, i = whole(users, 3, device=device), whole(count, 3, device=device)
        seen = seen_by(users, count, 5, device)
        assert_same(compiled(u, i, 6, seen), topk(u, i, 6, seen))


@pytest.mark.cuda
def test_memory_is_bounded_on_the_gpu() -> None:
    u, i = torch.randn(20_000, 8, device="cuda"), torch.randn(40_000, 8, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    topk(u, i, 20)
    assert torch.cuda.max_memory_allocated() - before < 600 * 2**20


@pytest.mark.cuda
def test_a_large_case_agrees_with_its_definition_on_the_gpu() -> None:
    u, i = whole(4000, 64, device="cuda"), whole(41_000, 64, device="cuda")
    seen = seen_by(4000, 41_000, 200, "cuda")
    assert_same(topk(u, i, 20, seen), reference.topk(u, i, 20, *seen))


@pytest.mark.cuda
def test_a_captured_graph_replays() -> None:
    u, i = whole(9, 4, device="cuda"), whole(3000, 4, device="cuda")
    seen = seen_by(9, 3000, 20, "cuda")
    topk(u, i, 7, seen)
    torch.cuda.synchronize()
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        result = topk(u, i, 7, seen)
    u.copy_(whole(9, 4))
    captured.replay()
    assert_same(result, topk(u, i, 7, seen))
