"""Every form of a stream is read exactly; everything wrong in a file is named by line and text."""

from pathlib import Path

import pytest
import torch
from torch_geometric.data import TemporalData

from neighborgraph.data import EventLog, RankedLog, from_temporal_data, read_jodie, read_snap
from neighborgraph.errors import DataFileError, DtypeError, InputError
from neighborgraph.graph import Events
from neighborgraph.paths import data_root

HEADER = "user_id,item_id,timestamp,state_label,comma_separated_list_of_features\n"


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


def test_snap(tmp_path: Path) -> None:
    text = "# from to at\n9 7 30\n\n7 5 10 # later\n 5\t9  20\r\n"
    log = read_snap(write(tmp_path, "mail.txt", text))
    assert (log.name, log.num_sources, log.source) == ("mail", None, "mail.txt")
    assert log.node_ids.tolist() == [5, 7, 9]
    events = log.events
    assert events.time.tolist() == [10, 20, 30]
    assert (events.source.tolist(), events.destination.tolist()) == ([1, 0, 2], [0, 2, 1])
    assert (events.num_nodes, events.feature, events.label) == (3, None, None)


def test_times_of_snap_are_exact(tmp_path: Path) -> None:
    nanoseconds = read_snap(write(tmp_path, "a", "0 1 1700000000000000001\n1 0 -3\n")).events
    assert nanoseconds.time.tolist() == [-3, 1_700_000_000_000_000_001]
    seconds = read_snap(write(tmp_path, "b", f"0 {2**63 - 1} 1.5\n1 0 2\n"))
    assert seconds.events.time.dtype == torch.float64
    assert seconds.events.time.tolist() == [1.5, 2.0]
    assert seconds.node_ids[-1] == 2**63 - 1


@pytest.mark.parametrize(
    "line", ["1 2", "1 2 3 4", "a 2 3", "1 -2 3", "1 2 x", "1 2 nan", "1 2 inf", f"1 {2**63} 3"]
)
def test_a_malformed_line_of_snap_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "mail.txt", f"0 1 2\n{line}\n")
    with pytest.raises(DataFileError) as caught:
        read_snap(path)
    assert f"{path}, line 2: expected source destination time" in str(caught.value)
    assert str(caught.value).endswith(f"got {line!r}")


def test_jodie(tmp_path: Path) -> None:
    text = f"{HEADER}4,8,2.5,1,0.5,-1\n2,3,0.0,0,1,2\n4,3,7.0,0,3,4\n"
    log = read_jodie(write(tmp_path, "wikipedia.csv", text))
    events = log.events
    assert log.num_sources == 2
    assert log.node_ids.tolist() == [2, 4, 3, 8]  # users, then items with ids of their own
    assert events.time.tolist() == [0.0, 2.5, 7.0]
    assert (events.source.tolist(), events.destination.tolist()) == ([0, 1, 1], [2, 3, 2])
    assert events.feature is not None
    assert events.feature.tolist() == [[1, 2], [0.5, -1], [3, 4]]
    assert events.label is not None
    assert events.label.tolist() == [0, 1, 0]


def test_jodie_without_features_and_with_whole_times(tmp_path: Path) -> None:
    events = read_jodie(write(tmp_path, "a.csv", f"{HEADER}0,0,{2**53 + 1},0\n")).events
    assert (events.feature, events.time.tolist()) == (None, [2**53 + 1])


@pytest.mark.parametrize(
    "line",
    ["1,2,3", "1,2", "", "x,2,3,0,1", "1,2,nan,0,1", "1,2,3,0,inf", "1,2,3,0,1,2", "1,2,3,0,x"],
)
def test_a_malformed_line_of_jodie_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "a.csv", f"{HEADER}0,0,0,0,1\n{line}\n")
    with pytest.raises(DataFileError, match=r"line 3: expected user,item,time,label and 1 feat"):
        read_jodie(path)


@pytest.mark.parametrize("read", [read_snap, read_jodie])
def test_files_without_an_event_are_refused(tmp_path: Path, read) -> None:
    with pytest.raises(DataFileError, match="its lines should be"):
        read(write(tmp_path, "empty", "# nothing\n"))
    with pytest.raises(DataFileError, match="cannot read"):
        read(tmp_path / "absent")
    with pytest.raises(DataFileError, match="not a text file"):
        read(write(tmp_path, "binary", "0 \0"))


def test_times_of_no_type_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a", f"0 1 {2**63}\n")
    with pytest.raises(DataFileError, match="outside int64"):
        read_snap(path)


def test_quotes_that_do_not_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="line 2"):
        read_jodie(write(tmp_path, "a.csv", f'{HEADER}0,"0'))


def test_digests_tell_streams_apart(tmp_path: Path) -> None:
    texts = ["0 1 2\n", "0 1 3\n", "1 0 2\n", "0 2 2\n", "0 1 2\n"]
    digests = [read_snap(write(tmp_path, "a", text)).digest for text in texts]
    assert digests[0] == digests[4]
    assert len(set(digests)) == 4


def test_temporal_data_of_pyg() -> None:
    data = TemporalData(
        src=torch.tensor([0, 1]),
        dst=torch.tensor([2, 0]),
        t=torch.tensor([7, 5]),
        msg=torch.tensor([[1.0], [2.0]]),
        y=torch.tensor([0, 1]),
    )
    events = from_temporal_data(data)
    assert events.time.tolist() == [5, 7]
    assert (events.source.tolist(), events.num_nodes) == ([1, 0], 3)
    assert events.feature is not None
    assert events.feature.tolist() == [[2.0], [1.0]]
    assert events.label is not None
    assert events.label.tolist() == [1, 0]
    assert from_temporal_data(data, 9).num_nodes == 9
    with pytest.raises(InputError, match=r"source\[1\]|destination\[0\]"):
        from_temporal_data(data, 2)
    with pytest.raises(DtypeError, match=r"data.src must be a tensor, got NoneType"):
        from_temporal_data(object())


def test_the_real_messages() -> None:
    path = data_root() / "uci-messages" / "CollegeMsg.txt"
    if not path.is_file():
        pytest.skip("NEIGHBORGRAPH_DATA holds no uci-messages")
    log = read_snap(path)
    assert (len(log.events), log.events.num_nodes) == (59_835, 1_899)
    split = log.events.split()
    assert (len(split.train), len(split.val), len(split.test)) == (41_884, 8_975, 8_976)


def ranked(val: list[list[int]], test: list[list[int]]) -> RankedLog:
    time = torch.tensor([1, 2, 3, 4, 4])
    events = Events.of(torch.arange(5), torch.arange(5), time, num_nodes=5)
    negatives = {"val_negatives": torch.tensor(val), "test_negatives": torch.tensor(test)}
    ids = torch.arange(5).numpy()
    return RankedLog("few", events, ids, None, "", official=lambda *_: 0.5, **negatives)


def test_the_split_of_ranked_events_is_that_of_their_negatives() -> None:
    split = ranked([[1, 2]], [[1, -1], [2, 3]]).split
    parts = split.train, split.val, split.test
    assert [part.event.tolist() for part in parts] == [[0, 1], [2], [3, 4]]
    assert split.hidden.tolist() == []


def test_negatives_are_part_of_the_digest() -> None:
    log = ranked([[1, 2]], [[1, -1], [2, 3]])
    assert log.digest == ranked([[1, 2]], [[1, -1], [2, 3]]).digest
    assert log.digest != ranked([[1, 2]], [[1, -1], [2, 4]]).digest
    plain = EventLog(log.name, log.events, log.node_ids, None, "")
    assert log.digest != plain.digest
