"""CPU kernels: loops over rows compiled by numba, and spread over threads by us."""

import hashlib
import inspect
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar

import llvmlite
import numba
import numpy as np
import torch
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps
from numba.extending import _Intrinsic

from neighborgraph.jit.store import Store

P = ParamSpec("P")
R = TypeVar("R")

# Sums may be reordered and fused, but NaN and infinity keep their meaning: no nnan, no ninf.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

# Kernels own no arrays: without numba's runtime they count no references, once per call of a part.
OPTIONS = {"nogil": True, "fastmath": FASTMATH, "boundscheck": False, "_nrt": False}

_FORMAT = 2
_STORE = Store("numba")
_INLINE_COST = 20_000  # rows + edges; below it, starting threads costs more than it saves
_CHUNKS_PER_WORKER = 4  # leaves room to even out rows of unequal cost


def numba_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile ``function`` at its first call, free of the interpreter lock, and keep the code.

    The machine code is kept in the project's private cache folder. numba's own cache is not
    used: it writes beside the sources or into a folder set for the whole process, trusts any
    pickle it finds, and two processes that write at once can pair a signature with code of
    another one.
    """
    compiled: Any = numba.njit(**OPTIONS)(function)
    description = _description(function)
    if description is not None:
        compiled._cache = _DiskCache(description)
    return compiled


def run_rows(
    kernel: Callable[..., object],
    ptr: np.ndarray,
    *args: object,
    scratch: Callable[[], object] | None = None,
) -> None:
    """Call ``kernel(begin, end, ptr, *args)`` over contiguous chunks that cover all rows.

    The threads are ours and live for one call. numba's own parallel loops would keep a pool for
    the life of the process, and its pools either abort when two threads call at once or die in
    a forked child. The kernel releases the interpreter lock and must write only to its rows.

    Args:
        kernel: Function of the rows ``begin`` to ``end - 1``.
        ptr: Row pointers, int64 ``[n + 1]``; row ``i`` has edges ``ptr[i]`` to ``ptr[i + 1] - 1``.
        *args: Further arguments, passed on.
        scratch: Makes one argument more, the last, which every call has for itself.
    """
    rows = len(ptr) - 1
    workers = torch.get_num_threads()

    def run(begin: int, end: int) -> None:
        kernel(begin, end, ptr, *args, *(() if scratch is None else (scratch(),)))

    if rows == 0:
        return
    if workers == 1 or rows + int(ptr[-1] - ptr[0]) < _INLINE_COST:
        run(0, rows)
        return
    with ThreadPoolExecutor(workers) as pool:
        calls = [
            pool.submit(run, begin, end)
            for begin, end in _chunks(ptr, workers * _CHUNKS_PER_WORKER)
        ]
    for call in calls:
        call.result()


def _chunks(ptr: np.ndarray, count: int) -> Iterator[tuple[int, int]]:
    """Split rows into at most ``count`` ranges of about equal cost; a row costs 1 + its edges."""
    rows = len(ptr) - 1
    cost = ptr + np.arange(rows + 1)
    targets = cost[0] + (cost[-1] - cost[0]) * np.arange(1, count) // count
    bounds = np.unique(np.concatenate(([0], np.searchsorted(cost, targets), [rows])))
    yield from zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)


class _DiskCache(NullCache):
    """The cache numba asks before it compiles, one entry for a function and a signature."""

    def __init__(self, description: str) -> None:
        self._description = description

    def load_overload(self, sig: object, target_context: Any) -> Any:
        """The code stored for ``sig``, or None."""
        target_context.refresh()
        payload = _STORE.read(self._key(sig, target_context.codegen()))
        if payload is None:
            return None
        # The entry is in a folder only this user can write to and its digest was confirmed.
        return CompileResult._rebuild(target_context, *pickle.loads(payload))

    def save_overload(self, sig: object, cres: Any) -> None:
        """Store code unless it holds addresses of this process."""
        if not cres.lifted and not cres.library.has_dynamic_globals:
            _STORE.write(self._key(sig, cres.codegen), dumps(cres._reduce()))

    def _key(self, sig: object, codegen: Any) -> str:
        inputs = (self._description, repr(sig), codegen.magic_tuple())
        return hashlib.sha256(repr(inputs).encode()).hexdigest()


def _description(function: FunctionType) -> str | None:
    """All that the machine code of ``function`` depends on, or None when that is not known.

    It is: the versions of the compilers, the files of the function and of every compiled
    function it calls, directly or not, and the values that numba freezes into the code.
    """
    parts = [_FORMAT, numba.__version__, llvmlite.__version__, sorted(FASTMATH)]
    seen: set[FunctionType] = set()
    wanted = [function]
    try:
        while wanted:
            current = wanted.pop()
            if current in seen:
                continue
            seen.add(current)
            source = Path(current.__code__.co_filename).read_bytes()
            parts += [current.__module__, current.__qualname__, hashlib.sha256(source).hexdigest()]
            captured = inspect.getclosurevars(current)
            for name, value in sorted({**captured.globals, **captured.nonlocals}.items()):
                if isinstance(value, Dispatcher):
                    wanted.append(value.py_func)
                elif isinstance(value, _Intrinsic):
                    wanted.append(value._defn)
                elif isinstance(value, FunctionType) and "<" not in value.__qualname__:
                    wanted.append(value)
                elif not isinstance(value, ModuleType):
                    parts.append((name, repr(value)))
    except (OSError, ValueError):  # no such file, or a variable bound later
        return None
    text = repr(parts)
    return None if " at 0x" in text else text
