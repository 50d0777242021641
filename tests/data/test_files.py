"""Finding files, and refusing every damaged one by name."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from neighborgraph.data.files import (
    PublishedFile,
    build_or_refuse,
    locate,
    read_arrays,
    read_published,
)
from neighborgraph.errors import DataFileError

CONTENT = b"ids and labels"
DIGEST = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
FILE = PublishedFile("https://example.org/data/x.bin", DIGEST)
OTHER = PublishedFile("https://example.org/data/y.bin", DIGEST)
KINDS = {"edges": "iu", "features": "f"}


def archive(path: Path) -> Path:
    np.savez(path, edges=np.arange(2000).reshape(2, -1), features=np.ones((50, 3)))
    return path


def test_digest_is_the_one_of_git() -> None:
    # git hash-object of a file that holds "hello" and a newline.
    greeting = PublishedFile("", "ce013625030ba8dba906f756967f9e9ca394464a")
    assert greeting.matches(b"hello\n")


@pytest.mark.parametrize("folder", ["Cora", "planetoid/Cora"])
def test_both_layouts_are_found(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder / "raw"
    place.mkdir(parents=True)
    (place / "x.bin").write_bytes(CONTENT)
    assert locate(tmp_path, ["Cora", "planetoid/Cora"], [FILE], False) == place


def test_missing_files_are_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "Cora" / "raw").mkdir(parents=True)
    (tmp_path / "Cora" / "raw" / "x.bin").touch()
    with pytest.raises(DataFileError) as caught:
        locate(tmp_path, ["Cora", "planetoid/Cora"], [FILE, OTHER], False)
    message = str(caught.value)
    assert message.startswith("y.bin not found: looked in")
    assert str(tmp_path / "planetoid" / "Cora" / "raw") in message
    assert "--data-root DIR where DIR/Cora/raw" in message
    assert "--download" in message


def test_allowed_download_goes_to_the_first_place(tmp_path: Path, monkeypatch) -> None:
    fetched = []
    monkeypatch.setattr(
        "neighborgraph.data.files.download", lambda url, target, matches: fetched.append(target)
    )
    assert locate(tmp_path, ["Cora", "other"], [FILE, OTHER], True) == tmp_path / "Cora" / "raw"
    assert [path.name for path in fetched] == ["x.bin", "y.bin"]


def test_published_content_is_returned(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(CONTENT)
    assert read_published(tmp_path, FILE) == CONTENT


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT.replace(b"i", b"j", 1)])
def test_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(DataFileError, match=r"x\.bin is damaged or another file: its \d+ bytes"):
        read_published(tmp_path, FILE)


def test_arrays(tmp_path: Path) -> None:
    arrays = read_arrays(archive(tmp_path / "a.npz"), KINDS)
    assert arrays["edges"].shape == (2, 1000)


def test_no_damaged_archive_is_read_as_something_else(tmp_path: Path) -> None:
    good = archive(tmp_path / "a.npz").read_bytes()
    whole = read_arrays(tmp_path / "a.npz", KINDS)
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(good)
        if random.random() < 0.3:
            del damaged[int(random.integers(len(good))) :]
        else:
            damaged[int(random.integers(len(good)))] ^= 1 << int(random.integers(8))
        path = tmp_path / "damaged.npz"
        path.write_bytes(damaged)
        try:
            arrays = read_arrays(path, KINDS)
        except DataFileError as error:
            assert "damaged.npz" in str(error)
            refused += 1
        else:
            # Some bytes of an archive, such as its time stamps, mean nothing.
            assert all(np.array_equal(arrays[name], whole[name]) for name in KINDS)
    assert refused > 150


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"edges": np.arange(3)}, "features.* should hold the arrays edges, features"),
        ({"edges": np.ones(3), "features": np.ones(3)}, "array edges has dtype float64"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataFileError, match=message):
        read_arrays(tmp_path / "a.npz", KINDS)


def test_no_code_from_a_pickled_array(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Hostile:
        def __reduce__(self):
            return Path.touch, (marker,)

    hostile = np.empty(1, dtype=object)
    hostile[0] = Hostile()
    np.savez(tmp_path / "a.npz", edges=hostile, features=np.ones(3), allow_pickle=True)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Hostile()))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(DataFileError, match=name):
            read_arrays(tmp_path / name, KINDS)
    assert not marker.exists()


def test_a_claim_of_terabytes_is_refused_before_memory_is_taken(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("neighborgraph.data.files.MAX_UNPACKED", 1000)
    with pytest.raises(DataFileError, match=r"would unpack to \d+ bytes, over 1000"):
        read_arrays(archive(tmp_path / "a.npz"), KINDS)


def test_inconsistent_content_names_the_file(tmp_path: Path) -> None:
    def build() -> None:
        raise ValueError("label 9 is outside [0, 7)")

    with pytest.raises(DataFileError, match=r"x\.npz does not hold a consistent .*label 9"):
        build_or_refuse(tmp_path / "x.npz", build)
