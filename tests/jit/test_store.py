import hashlib
import os
import random
import subprocess
import sys
import time
import warnings

import pytest

from neighborgraph.errors import ConfigError
from neighborgraph.jit import store
from neighborgraph.jit.store import Store

STORE = Store("things")
KEY = hashlib.sha256(b"one").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
PAYLOAD = bytes(range(256)) * 3


@pytest.fixture
def entry(cache_root):
    STORE.write(KEY, PAYLOAD)
    return cache_root / "things" / KEY


def test_what_was_written_is_read(entry):
    assert STORE.read(KEY) == PAYLOAD
    assert STORE.read(OTHER) is None


def test_entry_and_folder_are_private(entry):
    assert entry.stat().st_mode & 0o777 == 0o600
    assert entry.parent.stat().st_mode & 0o777 == 0o700


def test_empty_payload_is_an_entry(cache_root):
    STORE.write(KEY, b"")
    assert STORE.read(KEY) == b""


def test_truncation_anywhere_is_a_miss(entry):
    whole = entry.read_bytes()
    for length in range(len(whole)):
        entry.write_bytes(whole[:length])
        assert STORE.read(KEY) is None, length
    entry.write_bytes(whole + b"\0")
    assert STORE.read(KEY) is None


def test_one_flipped_bit_is_a_miss(entry):
    whole = entry.read_bytes()
    header = range(0, 80 * 8)
    anywhere = random.Random(0).sample(range(len(whole) * 8), 200)
    for bit in [*header, *anywhere]:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        entry.write_bytes(damaged)
        assert STORE.read(KEY) is None, bit
    entry.write_bytes(whole)
    assert STORE.read(KEY) == PAYLOAD


def test_a_damaged_entry_is_replaced(entry):
    entry.write_bytes(b"")
    STORE.write(KEY, PAYLOAD)
    assert STORE.read(KEY) == PAYLOAD


def test_entry_of_another_key_is_a_miss(entry):
    entry.rename(entry.with_name(OTHER))
    assert STORE.read(OTHER) is None


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_anything_but_a_file_is_a_miss(entry, kind):
    aside = entry.with_name("aside")
    entry.rename(aside)
    if kind == "symlink":
        entry.symlink_to(aside)
    elif kind == "fifo":
        os.mkfifo(entry)
    else:
        entry.mkdir()
    assert STORE.read(KEY) is None


def test_file_of_another_user_is_a_miss(entry, monkeypatch):
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(entry, 12345, -1)
    assert STORE.read(KEY) is None


def _warnings_of(action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(w.message) for w in caught if w.category is RuntimeWarning]


def _unusable(root, kind):
    root.mkdir(parents=True)
    if kind == "others may write":
        (root / "things").mkdir()
        (root / "things").chmod(0o777)
    elif kind == "link to a shared folder":
        shared = root / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        (root / "things").symlink_to(shared)
    else:
        (root / "things").write_text("a file")


@pytest.mark.parametrize("kind", ["others may write", "link to a shared folder", "a file"])
def test_an_unusable_folder_is_ignored_with_one_warning(cache_root, kind):
    _unusable(cache_root, kind)

    def use():
        STORE.write(KEY, PAYLOAD)
        assert STORE.read(KEY) is None
        STORE.write(OTHER, PAYLOAD)

    messages = _warnings_of(use)
    assert len(messages) == 1
    assert str(cache_root / "things") in messages[0]
    assert "NEIGHBORGRAPH_CACHE" in messages[0]
    assert not list(cache_root.rglob(KEY))


def test_a_valid_entry_in_a_shared_folder_is_not_trusted(entry):
    entry.parent.chmod(0o777)
    assert _warnings_of(lambda: STORE.read(KEY))
    assert STORE.read(KEY) is None


def test_a_home_below_a_regular_file_is_not_fatal(cache_root, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEIGHBORGRAPH_CACHE", str(tmp_path / "file" / "below"))
    messages = _warnings_of(lambda: STORE.write(KEY, PAYLOAD))
    assert len(messages) == 1
    assert "Not a directory" in messages[0]
    assert STORE.info().entries == 0
    assert STORE.clear() == 0


def test_a_relative_cache_folder_is_refused(cache_root, monkeypatch):
    monkeypatch.setenv("NEIGHBORGRAPH_CACHE", "relative")
    with pytest.raises(ConfigError, match="must be an absolute path, got 'relative'"):
        STORE.read(KEY)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_nothing(cache_root, monkeypatch, step):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    messages = _warnings_of(lambda: STORE.write(KEY, PAYLOAD))
    assert len(messages) == 1
    assert "No space left on device" in messages[0]
    assert list((cache_root / "things").iterdir()) == []


def test_old_temporaries_go_and_new_ones_stay(entry):
    old, new = entry.with_name("old.tmp"), entry.with_name("new.tmp")
    for file in (old, new):
        file.write_text("")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    STORE.write(OTHER, PAYLOAD)
    assert not old.exists()
    assert new.exists()


def test_writing_recreates_a_removed_folder(entry):
    entry.unlink()
    entry.parent.rmdir()
    STORE.write(KEY, PAYLOAD)
    assert STORE.read(KEY) == PAYLOAD


def test_info_and_clear_count_entries_alone(entry):
    STORE.write(OTHER, b"")
    stranger = entry.with_name("README")
    stranger.write_text("kept")
    info = STORE.info()
    assert (info.folder, info.entries) == (entry.parent, 2)
    assert info.bytes == 2 * 80 + len(PAYLOAD)
    assert STORE.clear() == 2
    assert STORE.info().entries == 0
    assert stranger.exists()


def test_info_creates_nothing(cache_root):
    assert STORE.info().entries == 0
    assert not cache_root.exists()


KILLED_WRITERS = """
import os, random, signal, sys, time
from neighborgraph.jit.store import Store

store, key, payload = Store("things"), sys.argv[1], bytes(1 << 20)
delays = random.Random(0)
served = []
for _ in range(20):
    writer = os.fork()
    while writer == 0:
        store.write(key, payload)
    time.sleep(delays.uniform(0.0, 0.05))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    exists = (store.info().folder / key).exists()
    served.append(store.read(key) == (payload if exists else None))
print(all(served), exists)
"""


def test_a_killed_writer_leaves_no_bad_entry(cache_root):
    answer = subprocess.run(
        [sys.executable, "-c", KILLED_WRITERS, KEY], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "True True\n"


def test_temporary_that_another_process_removes_first(monkeypatch, tmp_path):
    old = tmp_path / "0-old.tmp"
    vanishing = tmp_path / "1-vanishing.tmp"
    for path in (old, vanishing):
        path.write_bytes(b"")
        os.utime(path, (0, 0))
    unlink = os.unlink

    def unlink_late(path):
        unlink(path)
        if str(path).endswith(vanishing.name):
            raise FileNotFoundError(path)

    monkeypatch.setattr(os, "unlink", unlink_late)
    monkeypatch.setattr(store, "_TEMPORARY", ".tmp")
    # A folder left open half-way would raise ResourceWarning, which is an error here.
    store._remove_old_temporaries(tmp_path)
    assert not list(tmp_path.iterdir())
