"""Bugs of samplers and loaders, of rankings, and of tables of neighbours."""

from .bug import Bug

SAMPLE, WALK = "neighborgraph/ops/sample/cpu.py", "neighborgraph/loader/walk.py"
SAMPLE_TESTS = ("tests/ops/test_sample.py", "tests/ops/test_sample_laws.py")
TOPK = "neighborgraph/ops/topk/cpu.py"
TOPK_TESTS = ("tests/ops/test_topk.py",)
CACHE, CACHE_GPU = "neighborgraph/ops/neighbor_cache/cpu.py", "cuda/neighbor_cache.cu"
CACHE_TESTS = ("tests/ops/test_neighbor_cache.py", "tests/ops/test_neighbor_cache_laws.py")


def sample(name: str, right: str, wrong: str) -> Bug:
    """A bug of sample on the CPU."""
    return Bug(name, SAMPLE, right, wrong, SAMPLE_TESTS)


def topk(name: str, right: str, wrong: str, file: str = TOPK) -> Bug:
    """A bug of topk."""
    return Bug(name, file, right, wrong, TOPK_TESTS)


def cache(name: str, right: str, wrong: str, file: str = CACHE) -> Bug:
    """A bug of neighbor_cache."""
    return Bug(name, file, right, wrong, (*CACHE_TESTS, "tests/ops/test_neighbor_cache_inputs.py"))


BUGS = (
    sample("a repeated draw is kept", "                    number = largest\n", ""),
    sample(
        "the last candidate is never drawn",
        "draw_number(seed, counter, p, largest + 1)",
        "draw_number(seed, counter, p, largest)",
    ),
    sample("two draws share a word", "(c, d) if p & 1 else (a, b)", "(a, b)"),
    sample(
        "drawn weight is not cut out",
        "number += weight_of(cumulative, taken, taken + 1)",
        "number += 0",
    ),
    sample("edges at the time itself", "values[middle] < bound or", "values[middle] <= bound or"),
    sample(
        "the first instead of the last",
        "start = max(start, stop - count)",
        "stop = min(stop, start + count)",
    ),
    Bug(
        "two steps by way of the next",
        SAMPLE,
        "first_above(ends, start, stop, place, True) - 1",
        "first_above(ends, start, stop, place, False) - 1",
        ("tests/ops/test_sample_two_hops.py",),
    ),
    Bug(
        "time of the seed at every hop",
        WALK,
        "until = relation.time[sample.edge]",
        "until = until",
        ("tests/loader/test_walk.py",),
    ),
    Bug(
        "trees share nodes",
        WALK,
        "found = tree * self.num_nodes + node",
        "found = node",
        ("tests/loader/test_walk.py",),
    ),
    Bug(
        "threads forget what was drawn before",
        "cuda/common/draw.cuh",
        "seen |= out[other] == number",
        "seen = out[other] == number",
        ("tests/ops/test_sample.py",),
    ),
    topk(
        "the last seen item is listed",
        "range(rowptr[i], rowptr[i + 1])",
        "range(rowptr[i], rowptr[i + 1] - 1)",
    ),
    topk(
        "an equal score takes a place",
        "elif score[i, j] > best[i, 0]",
        "elif score[i, j] >= best[i, 0]",
    ),
    topk("of equal scores the larger item first", "item > other_item", "item < other_item"),
    topk(
        "the last score of a chunk is not looked at",
        "range(first, last, LANES)",
        "range(first, last - LANES, LANES)",
    ),
    topk("the better child sinks", "            child += 1\n", "            child += 0\n"),
    topk("pointers of the first block", "seen[0][begin :", "seen[0][0 * begin :"),
    topk("negative scores in the wrong order", "? ~bits :", "? bits :", "cuda/topk.cu"),
    topk("of equal scores the larger item first", "(0xffffffffu - id)", "id", "cuda/topk.cu"),
    topk(
        "only the best beats the best", "bound = key[count - 1]", "bound = key[0]", "cuda/topk.cu"
    ),
    topk("a later pass repeats a place", "&& key < ceiling", "&& key <= ceiling", "cuda/topk.cu"),
    cache("a query sees its own time", "time < until[query] or", "time <= until[query] or"),
    cache("a slot from weak bits", "^ salt) >> BITS)", "^ salt) & MASK)"),
    cache("the seed chooses no slot", "mix(np.uint64(seed))", "mix(np.uint64(0))"),
    cache("a draw forgets the upper half of an event", "e >> BITS, u", "e & MASK, u"),
    cache("a draw forgets the neighbour", "v & MASK)", "u & MASK)"),
    cache("features of the displaced stay", "if len(vector) or not is_same:", "if len(vector):"),
    cache("a full row begins anew", "count[u] += 1", "count[u] = (count[u] + 1) % size"),
    cache("infinite times", "if not at[i] - at[i] == 0:", "if at[i] != at[i]:"),
    cache("past events", "if at[i] < time:", "if at[i] < time - 1:"),
    cache("an event twice", " and (mirrored or i == 0)", " and i == 0"),
    cache("queries in the past", "return PAST, i", "return 0, i"),
    cache("what was last is forgotten", "last_event.copy_(number[-1:])", "pass"),
    cache("codes replace each other", "|= code[column]", "= code[column]"),
    cache("the last K are one less", "[t + size] == row", "[t + size - 1] == row", CACHE_GPU),
    cache("both ends are one", "(reversed(entry) ? other : node)", "(node)", CACHE_GPU),
    cache("nobody wins", "while (has(place) && !wins(place))", "while (has(place))", CACHE_GPU),
    cache("features always stay", "!contest.was_kept(holder)", "false", CACHE_GPU),
    cache("a query sees its own time", "if (its < until ||", "if (its <= until ||", CACHE_GPU),
    cache("a row counts one event", "+= t + 1 - first_of(key, t)", "+= 1", CACHE_GPU),
    cache("codes replace each other", "joined |= code[b]", "joined = code[b]", CACHE_GPU),
)
