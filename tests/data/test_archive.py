"""Archives: whole or nothing, and nothing outside of the folder."""

import io
import zipfile
from pathlib import Path

import pytest

from neighborgraph.data import SyntheticSettings, write_synthetic
from neighborgraph.data.archive import fetch_archive
from neighborgraph.data.ogb_format import NODE_FORMATS, missing_files
from neighborgraph.errors import DataFileError

FORM = NODE_FORMATS["ogbn-arxiv"]


def missing(folder: Path) -> list[str]:
    return list(missing_files(folder, FORM))


class Response(io.BytesIO):
    """What a server sends."""

    def __init__(self, content: bytes, length: int | None = None) -> None:
        super().__init__(content)
        self.headers = {} if length is None else {"Content-Length": str(length)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> bytes:
    """A data set as OGB packs it: in a folder that is called otherwise."""
    made = write_synthetic(
        SyntheticSettings("ogbn-arxiv", 0.001, classes=3), tmp_path_factory.mktemp("a")
    )
    return packed({f"arxiv/{name}": (made / name).read_bytes() for name in FORM.files})


def packed(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
    return content.getvalue()


@pytest.mark.parametrize("says_its_length", [True, False])
def test_fetch(archive: bytes, tmp_path: Path, says_its_length: bool) -> None:
    asked = []

    def server(url: str) -> Response:
        asked.append(url)
        return Response(archive, len(archive) if says_its_length else None)

    target = tmp_path / "data" / "ogbn_arxiv"
    fetch_archive(FORM.archive, target, missing, server)
    assert asked == ["https://snap.stanford.edu/ogb/data/nodeproppred/arxiv.zip"]
    assert missing(target) == []
    assert [path.name for path in target.parent.iterdir()] == ["ogbn_arxiv"]


def test_files_in_no_folder(tmp_path: Path) -> None:
    content = packed({"events.csv": b"1,2", "more/negatives.pkl": b"3"})
    target = tmp_path / "tgbl_wiki"
    fetch_archive("https://host/wiki.zip", target, lambda _: [], lambda url: Response(content))
    assert (target / "events.csv").read_bytes() == b"1,2"
    assert (target / "more" / "negatives.pkl").read_bytes() == b"3"


def refused(content: bytes, folder: Path, length: int | None = None) -> str:
    """The complaint; nothing is left behind."""
    with pytest.raises(DataFileError, match=r"arxiv\.zip") as caught:
        fetch_archive(
            FORM.archive, folder / "ogbn_arxiv", missing, lambda url: Response(content, length)
        )
    assert list(folder.iterdir()) == []
    return str(caught.value)


def test_interrupted_transfer(archive: bytes, tmp_path: Path) -> None:
    message = refused(archive[:1000], tmp_path, len(archive))
    assert f"the transfer stopped after 1000 of {len(archive)} bytes" in message
    assert "not a zip file" in refused(archive[:1000], tmp_path)


def test_damaged_archive(archive: bytes, tmp_path: Path) -> None:
    middle = len(archive) // 2
    spoiled = archive[:middle] + bytes([archive[middle] ^ 1]) + archive[middle + 1 :]
    assert "Bad CRC-32" in refused(spoiled, tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"arxiv/../../evil": b""}, "outside of itself"),
        ({"/evil": b""}, "outside of itself"),
        ({"arxiv/a": b"", "other/b": b""}, "2 folders in the place of one"),
        ({"arxiv/RELEASE_v1.txt": b""}, r"lacks raw/edge.csv.gz"),
        ({}, "0 folders in the place of one"),
    ],
)
def test_unexpected_content(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    assert message in refused(packed(files), tmp_path)


def test_a_bomb_is_not_unpacked(archive: bytes, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("neighborgraph.data.archive.MAX_UNPACKED", 1000)
    assert "over 1000" in refused(archive, tmp_path)


def test_no_network(tmp_path: Path) -> None:
    def server(url: str) -> Response:
        raise OSError("no route to host")

    with pytest.raises(DataFileError, match=r"no route to host\. Fetch it some other way"):
        fetch_archive(FORM.archive, tmp_path / "ogbn_arxiv", missing, server)
