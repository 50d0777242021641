"""Bugs of sums, of the work schedule, of random numbers, and of the kernels of a GPU."""

from .bug import Bug

AGGREGATE = "neighborgraph/ops/aggregate/cpu.py"
AGGREGATE_TESTS = ("tests/ops/test_aggregate.py", "tests/ops/test_aggregate_oracle.py", "tests/ops")
ORACLE = ("tests/ops/test_attend_oracle.py",)
LOCALITY = "neighborgraph/graph/locality.py"
PHILOX_TESTS = ("tests/ops/test_philox_numba.py", "tests/ops")
SCHEDULE = "neighborgraph/graph/schedule.py"
PHILOX = "neighborgraph/ops/philox_numba.py"
LANES = "neighborgraph/ops/lanes.py"
FORWARD, BACKWARD = "cuda/attend_forward.cu", "cuda/attend_backward.cu"


def aggregate(name: str, right: str, wrong: str) -> Bug:
    """A bug of aggregate on the CPU."""
    return Bug(name, AGGREGATE, right, wrong, AGGREGATE_TESTS)


def scheduled(name: str, right: str, wrong: str) -> Bug:
    """A bug of the work schedule."""
    return Bug(name, SCHEDULE, right, wrong, ("tests/graph/test_schedule.py", "tests/graph"))


def ordered(name: str, right: str, wrong: str) -> Bug:
    """A bug of the locality order."""
    return Bug(name, LOCALITY, right, wrong, ("tests/graph/test_locality.py",))


BUGS = (
    aggregate(
        "a sum starts from what memory holds",
        "                total = spread(x.dtype.type(0))\n                for",
        "                total = load(out, (i, h, f))\n                for",
    ),
    aggregate(
        "weight gradients by position", "            edge = edge_id[t]\n", "            edge = t\n"
    ),
    aggregate("NaN loses a maximum", " | (is_nan & (best == best))", ""),
    aggregate("maximum of negative features is zero", "takes | (won == np.int32(-1))", "takes"),
    Bug(
        "a tie of a maximum goes by position",
        AGGREGATE,
        "(won > edge_id[t])",
        "(won != won)",
        ("tests/graph/test_reorder.py",),
    ),
    ordered("all nodes move at once", "((name >> (move // 2)) ^ move) & 1 == 0", "name >= 0"),
    ordered("hubs draw everybody", "volume.double() * rest.double()", "0 * rest.double()"),
    ordered("no sweep", "range(SWEEPS)", "range(0)"),
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
)
