"""Downloads that are verified before they are named: TLS, content digest, then rename."""

import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO

from neighborgraph.errors import DataFileError

TIMEOUT = 60
"""Seconds without a byte after which the server is given up."""
MAX_BYTES = 2**30
"""No data set read here has a file that large."""


class RefuseDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to another https address."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # noqa: D102
        if not newurl.startswith("https://"):
            raise DataFileError(f"{req.full_url} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str) -> IO[bytes]:
    """The body of an https address, whose certificate is verified against the system's list."""
    if not url.startswith("https://"):
        raise DataFileError(f"{url} is not an https address")
    return urllib.request.build_opener(RefuseDowngrade).open(url, timeout=TIMEOUT)


def download(
    url: str,
    target: Path,
    matches: Callable[[bytes], bool],
    open_url: Callable[[str], IO[bytes]] = open_https,
) -> None:
    """Fetch ``url`` to ``target`` unless the right content is there already.

    The content is verified in memory, written under a temporary name beside the target and
    renamed, so that ``target`` is at every moment absent, the old file, or complete.

    Args:
        url: https address.
        target: File to write; its folder is created.
        matches: Whether some content is the published one.
        open_url: Opens the address.

    Raises:
        DataFileError: The network, the server, the content or the folder is not as it should be.
    """
    if target.is_file() and matches(target.read_bytes()):
        return
    try:
        with open_url(url) as response:
            content = response.read(MAX_BYTES)
    except (OSError, HTTPException, ValueError) as error:
        raise DataFileError(
            f"cannot download {url}: {error}. Fetch it some other way and save it as {target}"
        ) from error
    if not matches(content):
        raise DataFileError(
            f"{url} sent {len(content)} bytes that are not the published content (an interrupted "
            f"transfer, an error page, or a changed file); {target} was not touched"
        )
    try:
        write_whole(target, content)
    except OSError as error:
        raise DataFileError(
            f"cannot write {target}: {error.strerror}; pass another --data-root"
        ) from error


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that it is there completely or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
