"""A compiled kernel is a value: found in memory, else on the disk, else compiled once."""

import hashlib
import json
import threading
from pathlib import Path

from neighborgraph.jit import compile as nvrtc
from neighborgraph.jit.compile import OPTIONS, Compiled, Instance
from neighborgraph.jit.source import Source, read_source
from neighborgraph.jit.store import Store, StoreInfo
from neighborgraph.version import __version__

_FORMAT = 1
_NAME_LENGTH_BYTES = 4
_KERNELS = Store("kernels")

_memory: dict[str, Compiled] = {}
_locks: dict[str, threading.Lock] = {}


def compile_cached(instance: Instance, arch: str, folder: Path | None = None) -> Compiled:
    """The machine code of ``instance``, compiled only when no cache holds it.

    Threads that ask for the same code wait for one of them to compile it; processes may each
    compile it and store equal files.

    Args:
        instance: Kernel to compile.
        arch: Architecture such as ``"sm_90a"``.
        folder: Folder of CUDA sources; the project's own by default.

    Raises:
        BackendUnavailable: As :func:`neighborgraph.jit.compile.compile_instances`.
    """
    source = read_source(instance.source, folder)
    key = cache_key(source, instance.expression, arch)
    with _locks.setdefault(key, threading.Lock()):
        compiled = _memory.get(key) or _read(key) or _compile(source, instance, arch, key)
        _memory[key] = compiled
    return compiled


def cache_key(source: Source, expression: str, arch: str) -> str:
    """SHA-256 over everything the machine code depends on, as 64 hexadecimal digits."""
    inputs = {
        "format": _FORMAT,
        "package": __version__,
        "file": source.name,
        "source": source.digest,
        "expression": expression,
        "options": OPTIONS,
        "arch": arch,
        "compiler": nvrtc.compiler_version(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def info() -> StoreInfo:
    """Where compiled kernels are kept, how many there are, and their size."""
    return _KERNELS.info()


def clear() -> int:
    """Remove every compiled kernel from the disk; returns how many there were."""
    return _KERNELS.clear()


def _compile(source: Source, instance: Instance, arch: str, key: str) -> Compiled:
    compiled = nvrtc.compile_source(source, [instance.expression], arch)[instance.expression]
    # The compiler reads the included files itself, later than the digest did. If one was
    # edited in between, this code does not belong under this key.
    if read_source(source.name, source.folder).digest == source.digest:
        name = compiled.lowered.encode()
        length = len(name).to_bytes(_NAME_LENGTH_BYTES, "little")
        _KERNELS.write(key, length + name + compiled.cubin)
    return compiled


def _read(key: str) -> Compiled | None:
    payload = _KERNELS.read(key)
    if payload is None:
        return None
    cubin = _NAME_LENGTH_BYTES + int.from_bytes(payload[:_NAME_LENGTH_BYTES], "little")
    return Compiled(payload[cubin:], payload[_NAME_LENGTH_BYTES:cubin].decode())
