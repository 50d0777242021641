"""Sealed files: tensors in one safetensors file, written whole or not at all, and verified.

safetensors has no checksum of its own, so one flipped bit would load as other numbers: the metadata
carries a SHA-256 over everything.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from neighborgraph.errors import NeighborgraphError


@dataclass(frozen=True)
class Seal:
    """One kind of sealed file.

    Attributes:
        what: In messages, such as "graph".
        format: Name and version, in the file.
        writer: The function that writes such files, in messages.
        error: What is raised where a file cannot be written or read.
    """

    what: str
    format: str
    writer: str
    error: type[NeighborgraphError]

    def write(
        self, path: str | os.PathLike[str], tensors: Mapping[str, Tensor], **metadata: str
    ) -> None:
        """Write contiguous tensors on the CPU, and texts, in the place of what was there."""
        target = Path(path)
        texts = {"format": self.format, **metadata}
        texts["sha256"] = digest(tensors, texts)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            save_file(dict(tensors), temporary, texts)
            os.replace(temporary, target)
        except (OSError, SafetensorError) as error:
            # Where nothing could be written there may be nothing to remove, not even a folder.
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise self.error(f"cannot write the {self.what} to {target}: {error}") from error

    def read(self, path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The tensors and texts of a file that is as it was written."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, SafetensorError) as error:
            raise self.error(f"cannot read a {self.what} from {path}: {error}") from error
        if metadata.get("format") != self.format:
            raise self.error(
                f"{path} is not a {self.what} written by {self.writer} (format {self.format})"
            )
        if metadata.pop("sha256", None) != digest(tensors, metadata):
            raise self.error(f"{path} is damaged: its content does not match its SHA-256")
        return tensors, metadata


def digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 over the metadata and every tensor's name, dtype, shape and bytes."""
    total = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        total.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
