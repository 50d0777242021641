"""Finding and reading data files: a wrong file is an error with its name, never data."""

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from neighborgraph.data.download import download
from neighborgraph.errors import DataFileError

T = TypeVar("T")
MAX_UNPACKED = 2**32
"""Bytes an archive may unpack to; every data set read here is far smaller."""


@dataclass(frozen=True)
class PublishedFile:
    """A file as its publisher keeps it.

    Attributes:
        url: Where it is, at a fixed commit.
        digest: SHA-1 of ``blob <size>``, a zero byte and the content: git's name of the content.
    """

    url: str
    digest: str

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[1]

    def matches(self, content: bytes) -> bool:
        """Whether ``content`` is what was published."""
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == self.digest


def locate(
    root: Path, folders: Iterable[str], files: Iterable[PublishedFile], allow_download: bool
) -> Path:
    """The first of ``root``/<folder>/raw that holds all files, fetching them when allowed.

    Args:
        root: The data root.
        folders: Places to look in, most usual first; a download goes to the first.
        files: What must be there.
        allow_download: Whether missing files may be fetched.

    Raises:
        DataFileError: Files are missing; names them, the folders looked in and what to type.
    """
    places = [root / folder / "raw" for folder in folders]
    files = list(files)
    for place in places:
        if all((place / file.name).is_file() for file in files):
            return place
    if allow_download:
        for file in files:
            download(file.url, places[0] / file.name, file.matches)
        return places[0]
    closest = max(places, key=lambda place: sum((place / f.name).exists() for f in files))
    missing = ", ".join(f.name for f in files if not (closest / f.name).is_file())
    looked = " and ".join(str(place) for place in places)
    raise DataFileError(
        f"{missing} not found: looked in {looked}. Pass --data-root DIR where "
        f"DIR/{places[0].relative_to(root)} holds the files, or --download to fetch them"
    )


def read_published(folder: Path, file: PublishedFile) -> bytes:
    """The content of a file, which must be the published one byte for byte.

    Raises:
        DataFileError: It cannot be read, or is not the published content.
    """
    path = folder / file.name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror}") from error
    if not file.matches(content):
        raise DataFileError(
            f"{path} is damaged or another file: its {len(content)} bytes are not the published "
            f"content (digest {file.digest}). Delete it and run again with --download, or copy it "
            "anew"
        )
    return content


def read_arrays(path: Path, kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` archive; pickled ones are refused.

    Args:
        path: The archive. Its members carry checksums, which are verified.
        kinds: Name to allowed numpy kinds, such as ``{"labels": "iu"}``.

    Raises:
        DataFileError: The archive is damaged, lacks an array, or one is of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_UNPACKED:
            raise DataFileError(f"{path} would unpack to {unpacked} bytes, over {MAX_UNPACKED}")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in kinds}
    except KeyError as error:
        raise DataFileError(
            f"{path} is not what was expected: {error.args[0]}. It should hold the arrays "
            f"{', '.join(kinds)}"
        ) from error
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataFileError(
            f"{path} is truncated or damaged ({error}); expected an .npz archive with the arrays "
            f"{', '.join(kinds)}. Copy or download it anew"
        ) from error
    for name, allowed in kinds.items():
        if arrays[name].dtype.kind not in allowed:
            raise DataFileError(
                f"{path}: array {name} has dtype {arrays[name].dtype}, expected one of the kinds "
                f"{', '.join(allowed)}"
            )
    return arrays


def build_or_refuse(where: Path, build: Callable[[], T]) -> T:
    """Run ``build`` on what was read, and blame the file at ``where`` when it does not fit."""
    try:
        return build()
    except (ValueError, IndexError, TypeError, RuntimeError) as error:
        raise DataFileError(f"{where} does not hold a consistent data set: {error}") from error
