"""Streams by name and of a file."""

from pathlib import Path

import pytest
import torch

from neighborgraph.data import STREAMS, load_events, read_events
from neighborgraph.errors import ConfigError, DataFileError


def test_the_small_stream() -> None:
    log = load_events("tiny-events")
    events = log.events
    assert (len(events), events.num_nodes) == (1500, 60)
    assert torch.equal(events.time, load_events("tiny-events").events.time)
    inside = events.source // 10 == events.destination // 10
    assert 0.85 < inside.double().mean() < 0.97
    assert [len(part) for part in vars(events.split()).values()][:3] == [1050, 225, 225]


def test_uci_messages_are_read_from_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "uci-messages"
    folder.mkdir()
    (folder / "CollegeMsg.txt").write_text("1 2 1082040961\n3 4 1082155839\n5 2 1082414391\n")
    log = load_events("uci-messages", tmp_path)
    assert (log.name, len(log.events), log.events.num_nodes) == ("uci-messages", 3, 5)
    assert log.events.time.tolist() == [1082040961, 1082155839, 1082414391]


def test_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"CollegeMsg.txt not found: looked in .*uci-messages"):
        load_events("uci-messages", tmp_path)
    with pytest.raises(ConfigError, match="unknown data set 'uci-message'"):
        load_events("uci-message")
    assert "uci-messages" in STREAMS


def test_the_ending_of_a_file_says_its_form(tmp_path: Path) -> None:
    snap, jodie, other = (tmp_path / name for name in ("a.txt", "b.csv", "c.json"))
    snap.write_text("1 2 3\n2 3 4\n")
    jodie.write_text("user,item,time,label,feature\n0,0,1.5,0,7\n1,0,2.5,0,8\n")
    assert read_events(snap).events.num_nodes == 3
    assert read_events(jodie).num_sources == 2
    with pytest.raises(DataFileError, match=r"must end in .csv"):
        read_events(other)
