"""A download is complete and verified, or it leaves nothing behind."""

import io
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPMessage
from pathlib import Path

import pytest

from neighborgraph.data.download import RefuseDowngrade, download, open_https
from neighborgraph.errors import DataFileError

GOOD = b"the published content"
URL = "https://example.org/data.bin"


def matches(content: bytes) -> bool:
    return content == GOOD


def test_good_content_is_written(tmp_path: Path) -> None:
    target = tmp_path / "new" / "data.bin"
    download(URL, target, matches, lambda url: io.BytesIO(GOOD))
    assert target.read_bytes() == GOOD
    assert [path.name for path in target.parent.iterdir()] == ["data.bin"]


def test_verified_file_needs_no_network(tmp_path: Path) -> None:
    target = tmp_path / "data.bin"
    target.write_bytes(GOOD)

    def no_network(url: str):
        raise AssertionError("the network was used")

    download(URL, target, matches, no_network)


@pytest.mark.parametrize("sent", [b"", GOOD[:-1], GOOD + b"x", b"<html>busy</html>"])
@pytest.mark.parametrize("before", [None, b"an older file"])
def test_wrong_content_changes_nothing(tmp_path: Path, sent: bytes, before: bytes | None) -> None:
    target = tmp_path / "data.bin"
    if before is not None:
        target.write_bytes(before)
    with pytest.raises(DataFileError, match=f"sent {len(sent)} bytes that are not the published"):
        download(URL, target, matches, lambda url: io.BytesIO(sent))
    assert (target.read_bytes() if target.exists() else None) == before
    assert len(list(tmp_path.iterdir())) == (before is not None)


@pytest.mark.parametrize(
    "failure",
    [
        urllib.error.HTTPError(URL, 404, "Not Found", Message(), None),
        urllib.error.URLError("no route to host"),
        TimeoutError("timed out"),
    ],
)
def test_network_failures_name_address_and_target(tmp_path: Path, failure: Exception) -> None:
    def fail(url: str):
        raise failure

    with pytest.raises(DataFileError, match=r"cannot download https://example.org/data.bin") as e:
        download(URL, tmp_path / "data.bin", matches, fail)
    assert str(tmp_path / "data.bin") in str(e.value)


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFileError, match=r"cannot write .*data-root"):
        download(URL, tmp_path / "file" / "data.bin", matches, lambda url: io.BytesIO(GOOD))


def test_plain_http_is_refused() -> None:
    with pytest.raises(DataFileError, match="is not an https address"):
        open_https("http://example.org/data.bin")


def test_redirect_to_plain_http_is_refused() -> None:
    request = urllib.request.Request(URL)
    follow = RefuseDowngrade().redirect_request
    with pytest.raises(DataFileError, match=r"redirects to http://example\.org/x"):
        follow(request, io.BytesIO(), 302, "Found", HTTPMessage(), "http://example.org/x")
    assert follow(request, io.BytesIO(), 302, "Found", HTTPMessage(), "https://example.org/x")
