"""The files of an OGB folder: writing made-up ones, and telling them by the name they keep."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from neighborgraph.data.ogb_format import RELEASE

LABEL = "SYNTHETIC"
"""First word of a made-up set's release note, and of the name kept inside of each of its files."""
CHUNK = 2**17
"""Rows that are turned into text at a time."""


def is_synthetic(folder: Path) -> bool:
    """Whether any file of a complete folder says that it was made up."""
    if (folder / RELEASE).read_bytes().startswith(LABEL.encode()):
        return True
    files = (path for ending in ("csv.gz", "pt") for path in folder.glob(f"*/**/*.{ending}"))
    return any(kept_name(path).startswith(LABEL) for path in files)


def kept_name(path: Path) -> str:
    """The name that a gzip file carries inside, or the first one in an archive of Torch's.

    It is empty where there is none, or where the file is of another kind.
    """
    with path.open("rb") as file:
        head = file.read(300)
    name = b""
    if head[:4] == b"\x1f\x8b\x08\x08":  # a gzip file that has a name and nothing else
        name = head[10:].partition(b"\0")[0]
    elif head[:4] == b"PK\x03\x04":
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return name.decode("latin1")


def read_count(path: Path) -> int:
    """The number that a file of one line holds.

    Raises:
        ValueError: It holds something else, or is damaged.
    """
    try:
        return int(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} is truncated or damaged ({error})") from error


def write_rows(path: Path, blocks: Iterator[np.ndarray] | list[np.ndarray], form: str) -> None:
    """Write rows of numbers as OGB does: compressed, separated by commas, without a header."""
    # The name kept inside says that the file is made up, wherever it is moved to.
    name = f"{LABEL}-{path.name.removesuffix('.gz')}"
    with path.open("wb") as file:
        with gzip.GzipFile(name, "wb", compresslevel=1, fileobj=file, mtime=0) as out:
            for block in blocks:
                for some in range(0, len(block), CHUNK):
                    out.write(as_text(block[some : some + CHUNK], form))


def write_table(raw: Path, nodes: int, edges: np.ndarray) -> None:
    """Write the [m, 2] edges of a graph, and how many nodes and edges it has."""
    write_rows(raw / "edge.csv.gz", [edges], "%d")
    write_rows(raw / "num-node-list.csv.gz", [np.array([[nodes]])], "%d")
    write_rows(raw / "num-edge-list.csv.gz", [np.array([[len(edges)]])], "%d")


def as_text(rows: np.ndarray, form: str) -> bytes:
    """Lines of numbers; one format for many is far faster than a format for each."""
    line = ",".join([form] * rows.shape[1]) + "\n"
    return (line * len(rows) % tuple(rows.ravel().tolist())).encode()


def write_split(path: Path, content: Mapping[str, np.ndarray]) -> None:
    """Write a part of a split of edges as OGB does: arrays by name, pickled by Torch."""
    # Torch keeps the name of the file it writes to, without its ending, inside.
    labelled = path.with_name(f"{LABEL}-{path.name}")
    torch.save(dict(content), labelled)
    labelled.rename(path)
