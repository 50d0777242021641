"""Every form is read; everything that is wrong in a file is named by line and text."""

import sys
import types
from pathlib import Path

import pytest

from neighborgraph.data import Columns, InteractionLog, read_interactions
from neighborgraph.errors import BackendUnavailable, ConfigError, DataFileError


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_set(log: InteractionLog) -> set[tuple]:
    return {(log.user_ids[u].item(), log.item_ids[i].item()) for u, i in log.pairs.t().tolist()}


# --- LightGCN's text ---


def test_folder_keeps_its_published_test(tmp_path: Path) -> None:
    write(tmp_path, "train.txt", "0 5 7\n1 7 7 7\n3\n4 5")  # the last line without its end
    write(tmp_path, "test.txt", "0 9\r\n4 7\r\n")
    log = read_interactions(tmp_path, Columns())
    assert as_set(log) == {(0, 5), (0, 7), (1, 7), (4, 5)}  # 1 7 counts once
    assert log.user_ids.tolist() == [0, 1, 3, 4]  # 3 is a user without an item
    assert log.item_ids.tolist() == [5, 7, 9]  # 9 is only in the test
    assert log.test is not None
    assert log.test.tolist() == [[0, 3], [2, 1]]
    assert log.times is None


def test_one_text_file_has_no_test_part(tmp_path: Path) -> None:
    log = read_interactions(write(tmp_path, "mine.txt", f"{2**40} 1 2\n0 {2**62}\n"), Columns())
    assert log.name == "mine"
    assert log.test is None
    assert as_set(log) == {(2**40, 1), (2**40, 2), (0, 2**62)}


@pytest.mark.parametrize(
    "line", ["a 1", "1 2,3", "1 -2", "1 1.0", "1 +2", "", "1 0x2", f"1 {2**63}", "1 ²", "1 1_0"]
)
def test_malformed_line_is_named_with_its_text(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "mine.txt", f"0 1\n{line}\n2 3\n")
    with pytest.raises(DataFileError) as caught:
        read_interactions(path, Columns())
    assert f"{path}, line 2: expected user item item ..., with ids" in str(caught.value)
    assert str(caught.value).endswith(f"got {line!r}")


def test_a_long_line_is_shown_in_part(tmp_path: Path) -> None:
    path = write(tmp_path, "mine.txt", "0 " + "x" * 10_000)
    with pytest.raises(DataFileError) as caught:
        read_interactions(path, Columns())
    assert len(str(caught.value)) < 300 + len(str(path))


def test_a_pair_in_both_parts_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train.txt", "7 1 2 3\n")
    write(tmp_path, "test.txt", "7 2 3 4\n")
    with pytest.raises(DataFileError, match=r"user 7 with item 2 is in train .* as are 1 other"):
        read_interactions(tmp_path, Columns())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not a text file"),
        (b"0 1\n\x00\x00\n", "is not a text file: it holds a zero byte"),
        (b"", "is empty"),
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_not_text(tmp_path: Path, content: bytes, message: str, suffix: str) -> None:
    with pytest.raises(DataFileError, match=message):
        read_interactions(write(tmp_path, f"mine{suffix}", content), Columns())


def test_absent_files(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"cannot read .*mine\.csv: No such file"):
        read_interactions(tmp_path / "mine.csv", Columns())
    with pytest.raises(DataFileError, match=r"cannot read .*train\.txt: No such file"):
        read_interactions(tmp_path, Columns())


def test_unknown_ending(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a folder, or end in \.txt, \.csv"):
        read_interactions(tmp_path / "mine.xlsx", Columns())


# --- Tables ---

TABLE = """movie,who,"how, much",when
Up,ann,5,100
"Paris, Texas",bob,2,50.5
Up,ann,1,300
Alien,ann,4,200
"""
NAMED = Columns("who", "movie", time="when", weight="how, much", min_weight=2)


def test_table_with_named_columns(tmp_path: Path) -> None:
    log = read_interactions(write(tmp_path, "ratings.csv", TABLE), NAMED)
    # The lighter of ann's two rows for Up is left out, and its time with it.
    assert as_set(log) == {("ann", "Up"), ("bob", "Paris, Texas"), ("ann", "Alien")}
    assert log.times is not None
    assert log.times.tolist() == [200.0, 100.0, 50.5]
    assert log.source == "ratings.csv"


def test_crlf_byte_order_mark_and_tabs(tmp_path: Path) -> None:
    text = "\ufeff" + TABLE.replace(", ", "; ").replace('"', "").replace(",", "\t")
    path = write(tmp_path, "ratings.tsv", text.replace("\n", "\r\n"))
    named = Columns("who", "movie", "when", "how; much", 2)
    assert as_set(read_interactions(path, named)) >= {("ann", "Up"), ("bob", "Paris; Texas")}


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        (["3", "1", "20"], [1, 3, 20]),
        (["3", "01", "20"], ["01", "20", "3"]),
        ([str(2**63), "1", "2"], ["1", "2", str(2**63)]),
        (["-4", str(2**40), "0"], [-4, 0, 2**40]),
    ],
)
def test_ids_are_integers_when_all_are(tmp_path: Path, ids: list[str], kept: list) -> None:
    rows = "\n".join(f"{user},x" for user in ids)
    log = read_interactions(write(tmp_path, "t.csv", f"user,item\n{rows}\n"), Columns())
    assert log.user_ids.tolist() == kept


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Up,ann,5", r"line 3: expected 4 columns, got 'Up,ann,5'"),
        ("Up,ann,5,1,2", r"line 3: expected 4 columns"),
        ("", r"line 3: expected 4 columns, got ''"),
        ("Up,,5,1", r"line 3: expected ids of 1 to 200 characters, .* got 'Up, , 5, 1'"),
        (f"Up,{'a' * 201},5,1", r"line 3: expected ids of 1 to 200"),
        ("Up,ann,many,1", r"line 3: expected ids of 1 to 200"),
        ("Up,ann,5,nan", r"line 3: expected ids of 1 to 200"),
        ("Up,ann,inf,1", r"line 3: expected ids of 1 to 200"),
        ('Up,"ann,5,1', r"line 3: unexpected end of data"),
    ],
)
def test_faulty_rows(tmp_path: Path, row: str, message: str) -> None:
    text = 'movie,who,"how, much",when\nUp,ann,5,100\n' + row + "\n"
    with pytest.raises(DataFileError, match=message):
        read_interactions(write(tmp_path, "t.csv", text), NAMED)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("who,item", r"has 0 columns named 'user' \(found: who, item\); .*--user-column"),
        ("user,item,user", "has 2 columns named 'user'"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(DataFileError, match=message):
        read_interactions(write(tmp_path, "t.csv", header + "\n"), Columns())


def test_no_row_is_left(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "user,item,stars\n1,2,3\n")
    with pytest.raises(DataFileError, match="has no row with a weight of 4 or more"):
        read_interactions(path, Columns(weight="stars", min_weight=4))


# --- Parquet ---


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    columns = {"user": ["b", "a", "b"], "item": [2**40, 7, 7], "t": [1.5, 2.0, 3.0], "x": [0] * 3}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    log = read_interactions(tmp_path / "t.parquet", Columns(time="t"))
    assert as_set(log) == {("b", 2**40), ("a", 7), ("b", 7)}
    parquet.write_table(pyarrow.table(columns | {"item": [1, None, 2]}), tmp_path / "t.parquet")
    with pytest.raises(DataFileError, match="line 2: expected ids of 1 to 200"):
        read_interactions(tmp_path / "t.parquet", Columns())
    with pytest.raises(DataFileError, match=r"cannot read .* as Parquet"):
        read_interactions(write(tmp_path, "u.parquet", "user,item\n"), Columns())


def test_parquet_without_its_package_names_the_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'neighborgraph\[parquet\]'"):
        read_interactions(write(tmp_path, "t.parquet", "PAR1"), Columns())


def test_parquet_reads_only_the_named_columns(tmp_path: Path, monkeypatch) -> None:
    asked = []

    class File:
        schema_arrow = types.SimpleNamespace(names=["user", "item", "wide"])

        def __init__(self, path: Path) -> None:
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def read(self, columns: list[str]):
            asked.extend(columns)
            values = [["a", "b"], [1, 2]]
            listed = [types.SimpleNamespace(to_pylist=lambda v=v: v) for v in values]
            return types.SimpleNamespace(columns=listed, column_names=columns)

    package = types.ModuleType("pyarrow")
    package.ArrowException = RuntimeError  # pyright: ignore[reportAttributeAccessIssue]
    package.parquet = types.ModuleType("pyarrow.parquet")  # pyright: ignore[reportAttributeAccessIssue]
    package.parquet.ParquetFile = File  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "pyarrow", package)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", package.parquet)  # pyright: ignore[reportAttributeAccessIssue]
    assert as_set(read_interactions(tmp_path / "t.parquet", Columns())) == {("a", 1), ("b", 2)}
    assert asked == ["user", "item"]
