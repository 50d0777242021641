"""Bugs of the kinds that kernels have, each a change of one place in a source file."""

from dataclasses import dataclass

ATTEND = "neighborgraph/ops/attend/cpu.py"
BLOCK = "neighborgraph/ops/attend/block_numba.py"
SCORE = "neighborgraph/ops/attend/score_numba.py"
EXP = "neighborgraph/jit/numba_lanes.py"
EXP_TESTS = ("tests/jit/test_numba_lanes.py", "tests/ops")
ATTEND_TESTS = (
    "tests/ops/test_attend.py",
    "tests/ops/test_attend_options.py",
    "tests/ops/test_attend_weights.py",
    "tests/ops/test_attend_gradients.py",
    "tests/ops/test_attend_oracle.py",
    "tests/ops",
)
AGGREGATE = "neighborgraph/ops/aggregate/cpu.py"
AGGREGATE_TESTS = ("tests/ops/test_aggregate.py", "tests/ops/test_aggregate_oracle.py", "tests/ops")
ORACLE = ("tests/ops/test_attend_oracle.py",)
PHILOX_TESTS = ("tests/ops/test_philox_numba.py", "tests/ops")
SAMPLE, WALK = "neighborgraph/ops/sample/cpu.py", "neighborgraph/loader/walk.py"
SAMPLE_TESTS = ("tests/ops/test_sample.py", "tests/ops/test_sample_laws.py")
TOPK = "neighborgraph/ops/topk/cpu.py"
TOPK_TESTS = ("tests/ops/test_topk.py",)
CACHE, CACHE_GPU = "neighborgraph/ops/neighbor_cache/cpu.py", "cuda/neighbor_cache.cu"
CACHE_TESTS = ("tests/ops/test_neighbor_cache.py", "tests/ops/test_neighbor_cache_laws.py")
SCHEDULE = "neighborgraph/graph/schedule.py"
PHILOX = "neighborgraph/ops/philox_numba.py"
LANES = "neighborgraph/ops/lanes.py"
FORWARD, BACKWARD = "cuda/attend_forward.cu", "cuda/attend_backward.cu"


@dataclass(frozen=True)
class Bug:
    """One planted bug.

    Attributes:
        name: What is wrong.
        file: Where.
        right: The text as it is; it occurs once in the file.
        wrong: The text with the bug.
        tests: Files or folders of tests to ask, in this order.
    """

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]

    @property
    def needs_gpu(self) -> bool:
        """Whether the code runs on a GPU alone."""
        return self.file.startswith("cuda/")


def attend(name: str, right: str, wrong: str, file: str = ATTEND) -> Bug:
    """A bug of attend on the CPU."""
    return Bug(name, file, right, wrong, ATTEND_TESTS)


def aggregate(name: str, right: str, wrong: str) -> Bug:
    """A bug of aggregate on the CPU."""
    return Bug(name, AGGREGATE, right, wrong, AGGREGATE_TESTS)


def sample(name: str, right: str, wrong: str) -> Bug:
    """A bug of sample on the CPU."""
    return Bug(name, SAMPLE, right, wrong, SAMPLE_TESTS)


def topk(name: str, right: str, wrong: str, file: str = TOPK) -> Bug:
    """A bug of topk."""
    return Bug(name, file, right, wrong, TOPK_TESTS)


def cache(name: str, right: str, wrong: str, file: str = CACHE) -> Bug:
    """A bug of neighbor_cache."""
    return Bug(name, file, right, wrong, (*CACHE_TESTS, "tests/ops/test_neighbor_cache_inputs.py"))


def scheduled(name: str, right: str, wrong: str) -> Bug:
    """A bug of the work schedule."""
    return Bug(name, SCHEDULE, right, wrong, ("tests/graph/test_schedule.py", "tests/graph"))


def recommender(name: str, module: str, right: str, wrong: str) -> Bug:
    """A bug of a file of recommenders."""
    file, tests = f"neighborgraph/models/{module}.py", f"tests/models/test_{module}.py"
    return Bug(name, file, right, wrong, (tests,))


BUGS = (
    attend("total not rescaled", "total[h] *= fade", "total[h] *= 1"),
    attend("output not rescaled", "rescale(out, i, h, fade)", "pass"),
    attend("largest score starts at zero", "        top[:] = -np.inf\n", "        top[:] = 0\n"),
    attend("largest score of the row before", "        top[:] = -np.inf\n", ""),
    attend("sum of the row before", "        total[:] = 0\n", ""),
    attend("empty row left as it was", "        out[i] = 0\n", ""),
    attend("log-sum-exp of an empty row", "lse[i, h] = -np.inf\n", "lse[i, h] = 0\n"),
    attend("log-sum-exp without the largest", "math.log(total[h]) + top[h]", "math.log(total[h])"),
    attend("output not normalised", "rescale(out, i, h, 1 / total[h])", "pass"),
    attend("heads share a sum", "total[h] += total_of(share)", "total[0] += total_of(share)"),
    attend(
        "dropout changes the sum",
        "total[h] += total_of(share)",
        "total[h] += total_of("
        "share * factors_of(inputs.dropout, load(block.number, (0,)), h, q.dtype))",
    ),
    attend("dropout forgotten in the forward pass", "share = share * factors_of(", "factors_of("),
    attend(
        "kept weights not scaled",
        "spread(dropout.kept), 0)",
        "spread(dropout.kept) * 0 + 1, 0)",
        SCORE,
    ),
    attend(
        "dropout keeps what it should drop", ">= dropout.threshold", "< dropout.threshold", SCORE
    ),
    attend("self-loops skipped", "    loops = int(self_loops)\n", "    loops = 0\n"),
    attend(
        "self-loops numbered from zero",
        "number = put(number, count - 1, idx.size + row)",
        "number = put(number, count - 1, row)",
        BLOCK,
    ),
    attend(
        "own loops count beside self-loops", "number >= numbers.first_loop", "number >= 0", BLOCK
    ),
    attend(
        "edge inputs by position",
        "as_int64(load(edge_id, (t,)))",
        "as_int64(load(edge_id, (0,))) * 0 + t",
        BLOCK,
    ),
    attend(
        "the last edge of a block lost", "seen = first(count)", "seen = first(count - 1)", BLOCK
    ),
    attend("bias forgotten", "s + gather(inputs.bias, number, (h,), seen)", "s", BLOCK),
    attend(
        "scale forgotten in the score",
        "s = scaled(inputs.weight, inputs.numbers, terms)",
        "s = terms",
        BLOCK,
    ),
    attend("edge vectors forgotten", "x + load(edges, (e, h, d))", "x", BLOCK),
    attend("edge vectors of one channel forgotten", "x + gather(edges, e, (h,), seen)", "x", BLOCK),
    attend("slope of the leaky ReLU lost", "choose(x > 0, x, x * numbers.factor)", "x", SCORE),
    attend("derivative at the wrong sign", "choose(a + b > 0", "choose(a - b > 0", SCORE),
    attend("delta without the gradient of lse", " - grad_lse[i, h]", ""),
    attend("delta left out of grad q", "p * (m * gu - stats[i, h, 2])", "p * m * gu"),
    attend("delta left out of grad k", "m * gu - gather(stats, i, (h, 2), seen)", "m * gu"),
    attend("dropout forgotten in grad q", "p * (m * gu - stats", "p * (gu - stats"),
    attend("dropout forgotten in grad k", "p * (m * gu - gather", "p * (gu - gather"),
    attend("weights unnormalised in grad k", " * gather(stats, i, (h, 1), seen)", ""),
    attend("gradient of v without dropout", "s, m * p, grad, None", "s, p, grad, None"),
    attend("gradient of the row before", "        grad_k[j] = 0\n", ""),
    attend(
        "edge gradients beside the values forgotten",
        "return slope + share * (",
        "return slope + 0 * share * (",
        BLOCK,
    ),
    attend(
        "a masked value counts",
        "if block.score[b] != -np.inf:\n                    u = joined(",
        "if True:\n                    u = joined(",
        BLOCK,
    ),
    attend("two infinite scores share", "total - np.float32(np.nan) if", "total if", SCORE),
    Bug(
        "exp loses the digits of its argument", EXP, "fma(n, -LOG_2_REST, fma(", "(fma(", EXP_TESTS
    ),
    Bug(
        "exp of minus infinity is not zero",
        EXP,
        "choose(x < LOWEST, np.float32(0), result)",
        "result",
        EXP_TESTS,
    ),
    Bug(
        "lanes behind a row's end are read",
        EXP,
        "first_lanes(builder, count), ir",
        "first_lanes(builder, count.type(LANES)), ir",
        EXP_TESTS,
    ),
    aggregate(
        "a sum starts from what memory holds",
        "                total = spread(x.dtype.type(0))\n                for",
        "                total = load(out, (i, h, f))\n                for",
    ),
    aggregate(
        "weight gradients by position", "            edge = edge_id[t]\n", "            edge = t\n"
    ),
    aggregate("NaN loses a maximum", "or (message != message and best == best)", ""),
    aggregate(
        "maximum of negative features is zero",
        "if t == ptr[i] or message > best",
        "if message > best",
    ),
    aggregate("weight gradient without the row scale", "total *= row_scale[i]", "total *= 1"),
    scheduled(
        "last edges of a cut row lost",
        "parts = degree.add(max_item_edges - 1)",
        "parts = degree.add(0)",
    ),
    scheduled("cut items overlap", "part * max_item_edges", "part * (max_item_edges - 1)"),
    scheduled(
        "partial results in one slot",
        "is_split.cumsum(0, dtype=torch.int32).sub_(1)",
        "is_split.int().sub_(1)",
    ),
    Bug(
        "a round of Philox too few",
        PHILOX,
        "ROUND_COUNT = ROUNDS",
        "ROUND_COUNT = ROUNDS - 1",
        PHILOX_TESTS,
    ),
    Bug("heads draw the same word", PHILOX, "which = head % 4", "which = 0", PHILOX_TESTS),
    Bug(
        "vectors that do not divide the width",
        LANES,
        "width & -width",
        "width",
        ("tests/ops/test_lanes.py", "tests/ops"),
    ),
    Bug(
        "slots merged without rescaling",
        FORWARD,
        "factor * mixed[c] + other_factor *",
        "mixed[c] +",
        ORACLE,
    ),
    Bug(
        "a step's tail counts twice",
        "cuda/common/edges.cuh",
        "return inside[o] && !masked[o] ? score",
        "return !masked[o] ? score",
        ORACLE,
    ),
    Bug(
        "lanes past the width take part",
        "cuda/common/lanes.cuh",
        "sum += owned[v] ? part : A(0);",
        "sum += part;",
        ORACLE,
    ),
    Bug(
        "delta of the wrong row",
        BACKWARD,
        "keys.of_head(stats, own.end[o], 4)",
        "keys.of_head(stats, own.end[0], 4)",
        ORACLE,
    ),
    Bug(
        "cut rows written by their last part",
        "cuda/combine.cu",
        "void take(const Total& other) { sum += other.sum; }",
        "void take(const Total& other) { sum = other.sum; }",
        ORACLE,
    ),
    Bug(
        "Philox keyed by position",
        "cuda/common/edges.cuh",
        "dropout.factor(own_number[o], lanes.head)",
        "dropout.factor(own_end[o], lanes.head)",
        ("tests/ops/test_attend_weights.py",),
    ),
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
    recommender(
        "a seen item of the same rank is not counted", "negatives", "right=True", "right=False"
    ),
    recommender(
        "seen items are not counted off", "negatives", " + items - place", " + items - 0 * place"
    ),
    recommender("random numbers are coarse", "negatives", "torch.float64", "torch.float32"),
    recommender("a penalty twice as large", "lightgcn", "self.reg / 2 *", "self.reg *"),
    recommender(
        "one direction of an interaction is kept", "lightgcn", ".repeat(2)", ".repeat(2).roll(1)"
    ),
    recommender("evaluated with dropout", "lightgcn", "if self.training and self", "if self"),
    recommender(
        "negatives have no gradient",
        "ultragcn",
        "(block @ self.items.weight.t()).gather(1, chosen)",
        "(block @ self.items.weight.detach().t()).gather(1, chosen)",
    ),
    recommender("negatives are not averaged", "ultragcn", " / negatives.shape[1] *", " *"),
    recommender("the norm of users alone", "ultragcn", "(self.items.weight)\n", "(user)\n"),
    recommender("a user without items", "ultragcn", ".masked_fill(users == 0, 0.0)", ""),
    recommender("equal weights by chance", "cooccurrence", "ids[candidates], ", ""),
    recommender("a tie leaves too many", "cooccurrence", "values >= least", "values > least"),
    Bug(
        "the gradient goes over the graph itself",
        "neighborgraph/nn/propagate.py",
        "horner(ctx.graph.T, grad",
        "horner(ctx.graph, grad",
        ("tests/nn/test_propagate.py",),
    ),
    Bug(
        "the last coefficient counts in every hop",
        "neighborgraph/nn/propagate.py",
        "        row_scale = scale\n",
        "",
        ("tests/nn/test_propagate.py",),
    ),
)
