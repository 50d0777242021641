"""Files that are whole or absent: the disk format of everything compiled.

An entry is ``magic, key, length, SHA-256 of the payload, payload``. It is written under a
temporary name, flushed to the disk and renamed, so a reader sees all of it or nothing; a reader
believes nothing that the digest does not confirm. No lock is needed: two processes that compile
the same kernel rename equal files over each other. File times are never compared, except to
remove what a killed writer left behind.
"""

import contextlib
import hashlib
import os
import re
import stat
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neighborgraph import paths

_MAGIC = b"ngraph\x00\x01"
_LENGTH_BYTES = 8
_DIGEST_BYTES = 32
_HEADER_BYTES = len(_MAGIC) + _DIGEST_BYTES + _LENGTH_BYTES + _DIGEST_BYTES
_ENTRY = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = ".tmp"
_TEMPORARY_LIFE = 3600.0  # seconds; no compilation takes that long

_warning_lock = threading.Lock()
_warned = False


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds.

    Attributes:
        folder: Where the entries are; it need not exist.
        entries: Number of entries.
        bytes: Their size together.
    """

    folder: Path
    entries: int
    bytes: int


@dataclass(frozen=True)
class Store:
    """Entries under one sub-folder of the cache folder, each named by its key.

    A key is the SHA-256, as 64 hexadecimal digits, of everything its payload depends on.
    """

    name: str

    def read(self, key: str) -> bytes | None:
        """The payload stored under ``key``, or None when there is none that can be trusted."""
        folder = self._usable_folder()
        if folder is None:
            return None
        try:
            return _unwrap(_read_own_file(folder / key), key)
        except OSError:
            return None

    def write(self, key: str, payload: bytes) -> None:
        """Store ``payload``; a fault is announced once a process and otherwise ignored."""
        folder = self._usable_folder()
        if folder is None:
            return
        try:
            _write_whole(folder / key, _wrap(payload, key))
        except OSError as error:
            _announce_unusable(folder, error)
            return
        _remove_old_temporaries(folder)

    def info(self) -> StoreInfo:
        """Count the entries; nothing is created."""
        sizes = [entry.stat(follow_symlinks=False).st_size for entry in self._entries()]
        return StoreInfo(self._folder(), len(sizes), sum(sizes))

    def clear(self) -> int:
        """Remove every entry and nothing else; returns how many there were."""
        removed = 0
        for entry in self._entries():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)
                removed += 1
        return removed

    def _folder(self) -> Path:
        return paths.cache_root() / self.name

    def _usable_folder(self) -> Path | None:
        """The folder, checked anew at every use: it may vanish or change hands in between."""
        folder = self._folder()
        try:
            return paths.private_folder(folder)
        except OSError as error:
            _announce_unusable(folder, error)
            return None

    def _entries(self) -> list[os.DirEntry[str]]:
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self._folder()) as entries,
        ):
            return [
                entry
                for entry in entries
                if _ENTRY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            ]
        return []


def _wrap(payload: bytes, key: str) -> bytes:
    length = len(payload).to_bytes(_LENGTH_BYTES, "little")
    return _MAGIC + bytes.fromhex(key) + length + hashlib.sha256(payload).digest() + payload


def _unwrap(content: bytes, key: str) -> bytes | None:
    """The payload, or None when any byte of the entry is not what :func:`_wrap` made it."""
    payload = content[_HEADER_BYTES:]
    return payload if content == _wrap(payload, key) else None


def _read_own_file(path: Path) -> bytes:
    """Read a regular file of this user; a link is not followed and a pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(f"{path} is not a regular file of this user")
        return file.read()


def _write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` in one step that a crash cannot split."""
    with _temporary_beside(path) as (descriptor, temporary):
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[tuple[int, str]]:
    """An open temporary in the folder of ``path``, removed unless it was renamed."""
    descriptor, name = tempfile.mkstemp(_TEMPORARY, f"{path.name[:16]}-", path.parent)
    try:
        yield descriptor, name
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def _remove_old_temporaries(folder: Path) -> None:
    """Remove what killed writers left; another process may do the same at this moment."""
    oldest = time.time() - _TEMPORARY_LIFE
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith(_TEMPORARY) and entry.stat().st_mtime < oldest:
                    os.unlink(entry.path)


def _announce_unusable(folder: Path, error: OSError) -> None:
    """Warn, once a process, that compiled code is not kept."""
    global _warned
    with _warning_lock:
        if _warned:
            return
        _warned = True
    warnings.warn(
        f"compiled kernels are not kept between runs: {folder} cannot be used ({error}); "
        "set NEIGHBORGRAPH_CACHE to a folder that only you can write to",
        RuntimeWarning,
        stacklevel=4,
    )
