"""Sealed files: back bit for bit, replaced whole, and refused by name when anything was changed."""

from pathlib import Path

import pytest
import torch

from neighborgraph.errors import DataFileError
from neighborgraph.sealed import Seal, digest

SEAL = Seal("thing", "neighborgraph.thing.1", "save_thing", DataFileError)
TENSORS = {"a": torch.tensor([1.5, 2.5]), "b": torch.arange(3)}


def test_round_trip(tmp_path: Path) -> None:
    SEAL.write(tmp_path / "file", {"a": torch.zeros(1)}, text="old")
    SEAL.write(tmp_path / "file", TENSORS, text="new")
    tensors, metadata = SEAL.read(tmp_path / "file")
    assert {name: t.tolist() for name, t in tensors.items()} == {"a": [1.5, 2.5], "b": [0, 1, 2]}
    assert metadata == {"format": "neighborgraph.thing.1", "text": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(DataFileError, match=r"cannot read a thing from .*file: "):
        SEAL.read(path)
    with pytest.raises(DataFileError, match=r"cannot write the thing to .*absent/file: "):
        SEAL.write(tmp_path / "absent" / "file", TENSORS)
    other = Seal("other", "neighborgraph.other.1", "save_other", DataFileError)
    other.write(path, TENSORS)
    with pytest.raises(DataFileError, match=r"file is not a thing written by save_thing \(format "):
        SEAL.read(path)
    SEAL.write(path, TENSORS)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=r"file is damaged: .* does not match its SHA-256"):
        SEAL.read(path)


def test_everything_is_part_of_the_digest() -> None:
    digests = {
        digest(TENSORS, {"text": "one"}),
        digest(TENSORS, {"text": "two"}),
        digest({"a": TENSORS["a"], "c": TENSORS["b"]}, {"text": "one"}),
        digest({**TENSORS, "b": TENSORS["b"] + 1}, {"text": "one"}),
        digest({**TENSORS, "b": TENSORS["b"][None]}, {"text": "one"}),
        digest({**TENSORS, "a": TENSORS["a"].view(torch.int32)}, {"text": "one"}),
    }
    assert len(digests) == 6
