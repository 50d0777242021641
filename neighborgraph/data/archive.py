"""Fetching an archive when asked to: over verified https, whole, and unpacked with care.

It is for publishers of no digests, OGB and TGB. What is checked is the size that the server
announces, the checksum that the archive keeps of each file in it, and that no file is missing; the
readers check the numbers of nodes and edges.
"""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from neighborgraph.data.download import open_https
from neighborgraph.errors import DataFileError

MAX_UNPACKED = 2**35
"""Bytes an archive may unpack to; the archives that are read here are far smaller."""


def fetch_archive(
    url: str,
    target: Path,
    missing_files: Callable[[Path], Iterable[str]],
    open_url: Callable[[str], Any] = open_https,
) -> None:
    """Fetch and unpack an archive, so that ``target`` is complete or still absent.

    Args:
        url: Where it is.
        target: The data set's folder, which must be absent.
        missing_files: The files that an unpacked folder lacks.
        open_url: Opens an https address; what it gives has ``read`` and ``headers``.

    Raises:
        DataFileError: The network, the server, the archive or the disk is not as it should be.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as place:
            archive = Path(place) / "archive.zip"
            receive(url, archive, open_url)
            unpacked = unpack(archive, Path(place) / "unpacked")
            missing = list(missing_files(unpacked))
            if missing:
                raise DataFileError(f"{url} lacks {', '.join(missing)}")
            shutil.move(unpacked, target)
    except (OSError, HTTPException, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataFileError(
            f"cannot fetch {url}: {error}. Fetch it some other way and unpack it so that "
            f"its files lie in {target}"
        ) from error


def receive(url: str, file: Path, open_url: Callable[[str], Any]) -> None:
    """Write what the server sends, which must be as long as it says."""
    with open_url(url) as response, file.open("wb") as out:
        length = response.headers.get("Content-Length")
        total = None if length is None else int(length)
        with tqdm.wrapattr(response, "read", total=total, desc=url, disable=None) as body:
            shutil.copyfileobj(body, out, 2**20)
    received = file.stat().st_size
    if total is not None and received != total:
        raise ValueError(f"the transfer stopped after {received} of {total} bytes")


def unpack(archive: Path, folder: Path) -> Path:
    """The one folder that an archive holds, or ``folder`` where files are not in any.

    Each file's checksum is compared as it is written.
    """
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        size = sum(member.file_size for member in members)
        if size > MAX_UNPACKED:
            raise ValueError(f"the archive would unpack to {size} bytes, over {MAX_UNPACKED}")
        for member in members:
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(
                    f"the archive holds the file {member.filename!r} outside of itself"
                )
        tops = {PurePosixPath(member.filename).parts[0] for member in members}
        loose = [member.filename for member in members if "/" not in member.filename]
        if not loose and len(tops) != 1:
            raise ValueError(f"the archive holds {len(tops)} folders in the place of one")
        content.extractall(folder)
    return folder if loose else folder / tops.pop()
