"""Where files live: the only reader of environment variables, and the private cache folder.

``NEIGHBORGRAPH_CACHE`` names the folder for compiled kernels (default: the user's cache folder),
``NEIGHBORGRAPH_DATA`` the folder for data sets (default: ``data`` in the working folder).
"""

import os
import stat
from pathlib import Path

from neighborgraph.errors import ConfigError


def cache_root() -> Path:
    """The folder that holds compiled kernels; it need not exist.

    Raises:
        ConfigError: ``NEIGHBORGRAPH_CACHE`` is a relative path.
    """
    named = os.environ.get("NEIGHBORGRAPH_CACHE", "")
    if named:
        root = Path(named).expanduser()
        if not root.is_absolute():
            raise ConfigError(f"NEIGHBORGRAPH_CACHE must be an absolute path, got {named!r}")
        return root
    base = os.environ.get("XDG_CACHE_HOME", "")
    if base and Path(base).is_absolute():
        return Path(base) / "neighborgraph"
    home = os.environ.get("HOME", "")
    return Path(home or "/nonexistent") / ".cache" / "neighborgraph"


def data_root() -> Path:
    """The folder data sets are read from when no ``--data-root`` is given."""
    return Path(os.environ.get("NEIGHBORGRAPH_DATA") or "data").expanduser()


def private_folder(path: Path) -> Path:
    """Create ``path`` for this user alone and return it resolved.

    Raises:
        OSError: It cannot be created, belongs to another user, or others may write to it. A
            folder others can write to could be filled with somebody else's machine code.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    resolved = path.resolve(strict=True)
    status = resolved.stat()
    if status.st_uid != os.getuid():
        raise PermissionError(f"{resolved} belongs to another user (id {status.st_uid})")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"others may write to {resolved}; run chmod go-w on it")
    return resolved
