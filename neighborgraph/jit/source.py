"""CUDA sources: where they are, what a file includes, and a digest of all of it."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from neighborgraph.errors import BackendUnavailable

_PACKAGE = Path(__file__).resolve().parents[1]
_QUOTED_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """One ``.cu`` file as it was when read.

    Attributes:
        name: Path relative to ``folder``.
        folder: The folder every quoted include is relative to.
        text: The file's text.
        digest: SHA-256 over the names and bytes of the file and everything it includes.
    """

    name: str
    folder: Path
    text: str
    digest: str


def kernel_folder() -> Path:
    """The folder of CUDA sources: the installed copy, else the checkout's.

    Raises:
        BackendUnavailable: Neither exists, so the installation is incomplete.
    """
    installed, checkout = _PACKAGE / "_cuda", _PACKAGE.parent / "cuda"
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise BackendUnavailable(
        f"the CUDA sources are missing: neither {installed} nor {checkout} is a folder; "
        "install neighborgraph again"
    )


def read_source(name: str, folder: Path | None = None) -> Source:
    """Read a file and digest it together with everything it includes.

    Args:
        name: Path relative to ``folder``, such as ``"aggregate.cu"``.
        folder: Folder of CUDA sources; :func:`kernel_folder` by default.

    Returns:
        The file's text and the digest of its include closure.

    Raises:
        BackendUnavailable: The file or one it includes is missing.
    """
    folder = kernel_folder() if folder is None else folder
    files = _closure(name, folder)
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        # The length keeps bytes from moving across the border of two files unnoticed.
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return Source(name, folder, files[name].decode(), digest.hexdigest())


def _closure(name: str, folder: Path) -> dict[str, bytes]:
    """The bytes of a file and of all it includes in quotes, by path relative to ``folder``.

    Headers in angle brackets belong to the CUDA toolkit, whose version the cache key holds.
    """
    files: dict[str, bytes] = {}
    wanted = [(name, "")]
    while wanted:
        path, includer = wanted.pop()
        if path in files:
            continue
        try:
            files[path] = (folder / path).read_bytes()
        except OSError as error:
            place = f", included by {includer}," if includer else ""
            raise BackendUnavailable(
                f"the CUDA source {path}{place} cannot be read in {folder} ({error.strerror}); "
                "quoted includes are relative to that folder"
            ) from error
        found = _QUOTED_INCLUDE.findall(files[path])
        wanted.extend((include.decode(), path) for include in found)
    return files
