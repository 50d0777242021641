"""Show or clear the folder of compiled kernels."""

import argparse
import shutil

from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.jit import cache
from neighborgraph.paths import cache_root


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``neighborgraph cache``."""
    parser.add_argument("action", nargs="?", default="info", metavar="info|clear")


def command(options: argparse.Namespace) -> int:
    """Print what the cache holds, or empty it.

    Raises:
        ConfigError: There is no such action, or the folder cannot be emptied.
    """
    actions = {"info": info, "clear": clear}
    if options.action not in actions:
        raise ConfigError(
            f"unknown action {options.action!r}{nearest(options.action, actions)} "
            f"(known: {', '.join(actions)})"
        )
    return actions[options.action]()


def info() -> int:
    """Print folder, number of files and size of both kinds of kernels."""
    kernels = cache.info()
    print(f"GPU kernels  {kernels.folder}: {kernels.entries} files, {kernels.bytes / 2**20:.1f} MB")
    numba = cache_root() / "numba"
    files = [path for path in numba.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"CPU kernels  {numba}: {len(files)} files, {size / 2**20:.1f} MB")
    return 0


def clear() -> int:
    """Delete both kinds of kernels; they are compiled again when they are needed."""
    removed = cache.clear()
    numba = cache_root() / "numba"
    if numba.exists():
        removed += sum(path.is_file() for path in numba.rglob("*"))
        try:
            shutil.rmtree(numba)
        except OSError as error:
            raise ConfigError(f"cannot clear {numba}: {error.strerror}") from error
    print(f"removed {removed} files")
    return 0
