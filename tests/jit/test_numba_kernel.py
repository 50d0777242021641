import json
import math
import subprocess
import sys
import threading
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numba.core import config as numba_config

from neighborgraph.jit import numba_kernel as module
from neighborgraph.jit.numba_kernel import _chunks, _description, numba_kernel, run_rows

pytestmark = pytest.mark.usefixtures("cache_root")


@numba_kernel
def _double(value):
    return value + value


@numba_kernel
def _sum_rows(begin, end, ptr, idx, x, out):
    for row in range(begin, end):
        total = x[0, 0] - x[0, 0]
        for edge in range(ptr[row], ptr[row + 1]):
            total += _double(x[idx[edge], 0])
        out[row] = total


def _plain(kernel: Any) -> Any:
    """The Python function behind a kernel."""
    return kernel.py_func


def _fresh() -> Any:
    """The kernel as a new process sees it: nothing compiled yet."""
    return numba_kernel(_plain(_sum_rows))


def _problem(degrees, dtype: Any = np.float64):
    random = np.random.default_rng(0)
    ptr = np.concatenate(([0], np.cumsum(degrees))).astype(np.int64)
    idx = random.integers(0, len(degrees), ptr[-1]).astype(np.int32)
    x = random.integers(-8, 8, (len(degrees), 1)).astype(dtype)
    return ptr, idx, x, np.full(len(degrees), -1, dtype)


def _expected(ptr, idx, x):
    edges = np.append(2 * x[idx, 0], 0)
    return np.array([edges[a:b].sum() for a, b in pairwise(ptr)])


def _entries(cache_root):
    folder = cache_root / "numba"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_nothing_is_compiled_or_written_before_the_first_call(cache_root):
    kernel = _fresh()
    assert kernel.signatures == []
    assert not cache_root.exists()


def test_code_is_kept_and_found_again(cache_root):
    problem = _problem([3, 0, 2])
    _fresh()(0, 3, *problem)
    entries = _entries(cache_root)
    assert entries and all(len(entry.name) == 64 for entry in entries)
    again = _fresh()
    problem[-1][:] = -1
    again(0, 3, *problem)
    assert np.array_equal(problem[-1], _expected(*problem[:-1]))
    assert (again.stats.cache_hits.total(), again.stats.cache_misses.total()) == (1, 0)
    assert _entries(cache_root) == entries


def test_each_signature_has_its_entry(cache_root):
    kernel = _fresh()
    kernel(0, 2, *_problem([1, 1]))
    once = len(_entries(cache_root))
    kernel(0, 2, *_problem([1, 1], np.float32))
    assert len(_entries(cache_root)) > once


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-1]])
def test_a_damaged_entry_is_compiled_again(cache_root, damage):
    problem = _problem([3, 0, 2])
    _fresh()(0, 3, *problem)
    kept = {entry: entry.read_bytes() for entry in _entries(cache_root)}
    for entry, content in kept.items():
        entry.write_bytes(damage(content))
    problem[-1][:] = -1
    _fresh()(0, 3, *problem)
    assert np.array_equal(problem[-1], _expected(*problem[:-1]))
    assert any(entry.read_bytes() != damage(content) for entry, content in kept.items())


def test_without_a_folder_kernels_run_with_one_warning(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEIGHBORGRAPH_CACHE", str(tmp_path / "file" / "below"))
    problem = _problem([3, 0, 2])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _fresh()(0, 3, *problem)
    assert [w.category for w in caught] == [RuntimeWarning]
    assert np.array_equal(problem[-1], _expected(*problem[:-1]))


def test_numba_settings_are_untouched_and_nothing_lies_beside_the_sources():
    before = dict(vars(numba_config))
    _fresh()(0, 1, *_problem([1]))
    assert dict(vars(numba_config)) == before
    assert list(Path(__file__).parent.rglob("*.nb[ic]")) == []


def _factory(helper, constant):
    def kernel(value):
        return helper(value) * constant

    return kernel


def test_description_follows_what_numba_freezes_into_code():
    twice = numba_kernel(_plain(_double))
    descriptions = {
        _description(_factory(_double, 2)),
        _description(_factory(_double, 3)),
        _description(_factory(_sum_rows, 2)),
        _description(_plain(_sum_rows)),
        _description(_plain(_double)),
    }
    assert None not in descriptions
    assert len(descriptions) == 5
    assert _description(_factory(twice, 2)) in descriptions


def test_description_follows_the_files_of_called_kernels(tmp_path, monkeypatch):
    (tmp_path / "callee_file.py").write_text(
        "from neighborgraph.jit.numba_kernel import numba_kernel\n"
        "@numba_kernel\ndef callee(x):\n    return x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import callee_file  # pyright: ignore[reportMissingImports]

    before = _description(_factory(callee_file.callee, 2))
    (tmp_path / "callee_file.py").write_text("# edited\n")
    assert before not in (None, _description(_factory(callee_file.callee, 2)))


@pytest.mark.parametrize("constant", [object(), lambda value: value])
def test_what_has_no_lasting_name_is_not_kept(constant):
    assert _description(_factory(_double, constant)) is None


def test_description_follows_plain_functions():
    assert "_expected" in str(_description(_factory(_expected, 2)))


def test_code_without_a_file_is_not_kept(cache_root):
    space = {}
    exec("def plain(x):\n    return x + 1\n", space)
    assert numba_kernel(space["plain"])(1) == 2
    assert _entries(cache_root) == []


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_keep_their_meaning(special):
    @numba_kernel
    def classify(x):
        return np.isnan(x), np.isinf(x), x == x, x < np.inf

    x = np.float64(special)
    assert classify(x) == (np.isnan(x), np.isinf(x), x == x, x < np.inf)
    assert classify(np.float64(1.0)) == (False, False, True, True)


@pytest.mark.parametrize(
    "degrees",
    [[1], [0] * 100, [5] * 64, [0, 0, 10_000, 0, 0], [10_000, *[1] * 999], list(range(200))],
)
@pytest.mark.parametrize("count", [1, 2, 8, 500])
def test_chunks_cover_every_row_once(degrees, count):
    ptr, *_ = _problem(degrees)
    chunks = list(_chunks(ptr, count))
    assert chunks[0][0] == 0
    assert chunks[-1][1] == len(degrees)
    assert all(a[1] == b[0] for a, b in pairwise(chunks))
    assert all(begin < end for begin, end in chunks)
    assert len(chunks) <= count
    share = (ptr[-1] + len(degrees)) / count
    assert all(
        ptr[end] - ptr[begin] + end - begin <= share + max(degrees) + 2 for begin, end in chunks
    )


@pytest.fixture
def threads(monkeypatch):
    """Four workers, whatever the machine has."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("rows", [0, 1, 100, 30_000])
def test_run_rows_calls_the_kernel_for_every_row(rows):
    problem = _problem(np.arange(rows) % 5)
    run_rows(_sum_rows, *problem)
    assert np.array_equal(problem[-1], _expected(*problem[:-1]))


def _who(begin, end, ptr, calls):
    calls.append((begin, end, threading.get_ident()))


@pytest.mark.usefixtures("threads")
def test_little_work_stays_in_the_calling_thread():
    calls = []
    run_rows(_who, np.arange(1001), calls)
    assert calls == [(0, 1000, threading.get_ident())]


def test_one_thread_means_one_call(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    calls = []
    run_rows(_who, np.arange(100_001), calls)
    assert calls == [(0, 100_000, threading.get_ident())]


@pytest.mark.usefixtures("threads")
def test_much_work_is_split_and_no_thread_remains():
    calls, before = [], threading.active_count()
    run_rows(_who, np.arange(100_001), calls)
    assert len(calls) == 16
    assert threading.get_ident() not in {thread for *_, thread in calls}
    assert threading.active_count() == before


@pytest.mark.usefixtures("threads")
def test_every_call_has_scratch_of_its_own():
    seen = []
    run_rows(lambda begin, end, ptr, own: seen.append(own), np.arange(100_001), scratch=object)
    assert len(set(seen)) == 16


@pytest.mark.usefixtures("threads")
def test_no_rows_mean_no_call():
    run_rows(_who, np.zeros(1, np.int64), None)


@pytest.mark.usefixtures("threads")
def test_an_error_in_a_chunk_reaches_the_caller():
    def fails(begin, end, ptr):
        raise ValueError(f"rows from {begin}")

    with pytest.raises(ValueError, match="rows from 0"):
        run_rows(fails, np.arange(100_001))


PROCESSES = """
import json, os, sys, threading
import numpy as np, torch
torch.set_num_threads(2)
from neighborgraph.jit import numba_kernel as module

@module.numba_kernel
def fill(begin, end, ptr, out):
    for row in range(begin, end):
        out[row] = row * 2

def right(rows=30_000):
    out = np.zeros(rows)
    module.run_rows(fill, np.arange(rows + 1), out)
    return bool((out == 2 * np.arange(rows)).all())

answers = []
threads = [threading.Thread(target=lambda: answers.append(right())) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
codes = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        os._exit(0 if right() else 1)
    codes.append(os.waitpid(child, 0)[1])
print(json.dumps([answers, codes]))
"""


def test_threads_and_forked_children_may_call_at_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    answer = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(answer.stdout) == [[True] * 4, [0, 0]]


def test_the_second_process_compiles_nothing(cache_root, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    seconds = [sys.executable, str(script)]
    subprocess.run(seconds, capture_output=True, check=True, timeout=120)
    entries = {entry: entry.stat().st_mtime_ns for entry in _entries(cache_root)}
    subprocess.run(seconds, capture_output=True, check=True, timeout=120)
    assert {entry: entry.stat().st_mtime_ns for entry in _entries(cache_root)} == entries
    assert len(entries) == 1


def test_fastmath_leaves_nan_and_infinity_alone():
    assert not module.FASTMATH & {"fast", "nnan", "ninf"}
