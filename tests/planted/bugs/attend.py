"""Bugs of attention on the CPU, and of its exponentials."""

from .bug import Bug

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


def attend(name: str, right: str, wrong: str, file: str = ATTEND) -> Bug:
    """A bug of attend on the CPU."""
    return Bug(name, file, right, wrong, ATTEND_TESTS)


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
)
