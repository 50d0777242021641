"""Checkpoints that are complete or absent, and that prove their content before it is used.

A checkpoint is a folder ``step-<step>-<digest>``. It is written under a temporary name beside its
place: the tensors, the rest as JSON, and last a manifest with the size and SHA-256 of both; all are
flushed to the disk before the rename. The folder's name holds the manifest's own digest, so no
changed byte anywhere goes unnoticed. Nothing is pickled.
"""

import hashlib
import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from neighborgraph.errors import CheckpointError

FORMAT = 1
KEEP = 2
"""Newest checkpoints kept."""
NAME = re.compile(r"step-(\d{10})-([0-9a-f]{16})")
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """What was saved.

    Attributes:
        step: The number it was saved under.
        tensors: Name to tensor, on the CPU.
        state: The rest, as JSON keeps it.
        skipped: Newer checkpoints that did not verify, and why.
    """

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in a folder of their own."""

    folder: Path

    def save(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> Path:
        """Write a checkpoint and drop all but the newest two.

        Args:
            step: 0 to 10^10 - 1.
            tensors: Name to tensor, on any device.
            state: Anything JSON can hold.

        Returns:
            The checkpoint's folder.

        Raises:
            CheckpointError: It could not be written; earlier ones are as they were.
        """
        try:
            path = self.write(step, tensors, state)
        except OSError as error:
            raise CheckpointError(
                f"cannot write a checkpoint to {self.folder}: {error.strerror or error}; choose "
                "another folder with --out"
            ) from error
        for old in [other for other in self.newest_first() if other != path][KEEP - 1 :]:
            shutil.rmtree(old, ignore_errors=True)
        return path

    def write(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> Path:
        """Everything under a temporary name, flushed, then renamed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".tmp-{os.getpid()}-{step}"
        for leftover in self.folder.glob(".tmp-*"):
            # One run owns this folder, so a temporary folder is what a killed run left.
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            temporary.mkdir()
            # Clones: a view would drag its whole storage along.
            compact = {
                name: t.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, t in tensors.items()
            }
            content = {
                TENSORS: safetensors.torch.save(compact),
                STATE: json.dumps(state).encode(),
            }
            manifest = json.dumps(
                {
                    "format": FORMAT,
                    "step": step,
                    # Makes every manifest, and so every folder's name, different.
                    "saved": time.time_ns(),
                    "files": {
                        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                        for name, data in content.items()
                    },
                }
            ).encode()
            for name, data in (content | {MANIFEST: manifest}).items():
                write_flushed(temporary / name, data)
            flush_folder(temporary)
            path = self.folder / f"step-{step:010d}-{hashlib.sha256(manifest).hexdigest()[:16]}"
            os.rename(temporary, path)
            flush_folder(self.folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return path

    def load(self) -> Checkpoint | None:
        """The newest checkpoint that verifies; None when there is none at all.

        Raises:
            CheckpointError: There are checkpoints, and each of them is damaged.
        """
        skipped: list[str] = []
        for path in self.newest_first():
            try:
                checkpoint = read_verified(path)
            except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
                skipped.append(f"{path.name}: {error}")
            else:
                return Checkpoint(
                    checkpoint.step, checkpoint.tensors, checkpoint.state, tuple(skipped)
                )
        if skipped:
            raise CheckpointError(
                f"no checkpoint in {self.folder} is intact ({'; '.join(skipped)}); delete the "
                "folder to start again"
            )
        return None

    def clear(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def newest_first(self) -> list[Path]:
        """Folders named like checkpoints, by falling step; of equal steps the later saved first."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda p: (p.name[:15], p.stat().st_mtime_ns), reverse=True)


def read_verified(path: Path) -> Checkpoint:
    """Read a checkpoint's files once, and use those very bytes only after they verified.

    Raises:
        ValueError: Something is missing, superfluous or changed.
    """
    match = NAME.fullmatch(path.name)
    manifest_data = (path / MANIFEST).read_bytes()
    if match is None or hashlib.sha256(manifest_data).hexdigest()[:16] != match[2]:
        raise ValueError("its manifest was changed")
    manifest = json.loads(manifest_data)
    if manifest["format"] != FORMAT:
        raise ValueError(f"it has format {manifest['format']}, this release reads {FORMAT}")
    found = sorted(entry.name for entry in path.iterdir())
    if found != sorted([MANIFEST, *manifest["files"]]):
        raise ValueError(f"it holds the files {', '.join(found)}")
    if manifest["step"] != int(match[1]):
        raise ValueError(f"its name says step {int(match[1])}, its manifest {manifest['step']}")
    content = {}
    for name, expected in manifest["files"].items():
        data = (path / name).read_bytes()
        if len(data) != expected["size"]:
            raise ValueError(f"{name} has {len(data)} of {expected['size']} bytes")
        if hashlib.sha256(data).hexdigest() != expected["sha256"]:
            raise ValueError(f"{name} was changed")
        content[name] = data
    tensors = safetensors.torch.load(content[TENSORS])
    return Checkpoint(manifest["step"], tensors, json.loads(content[STATE]))


def write_flushed(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Wait until a folder's list of names is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
