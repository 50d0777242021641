"""A lock on an output folder, so that two runs never write into one another's files."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neighborgraph.errors import ConfigError

LOCK = ".lock"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Own ``folder``, which is created, until the block ends.

    The system drops the lock when its process ends, however it ends, so none is ever stale.

    Raises:
        ConfigError: The folder cannot be written, or another run owns it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(
            f"cannot write to the output folder {folder}: {error.strerror}; choose another with "
            "--out"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(handle, 200).decode(errors="replace").strip() or "another run"
            raise ConfigError(
                f"{folder} is in use by {owner}; wait for it or choose another folder with --out"
            ) from error
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(handle)
