"""TensorBoard: each number of an evaluation under its name; a missing package names the extra."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from neighborgraph.errors import BackendUnavailable, ConfigError
from neighborgraph.tasks.tensorboard import TensorBoard


class Writer:
    """Stands in for the package's writer."""

    written: list[tuple]

    def __init__(self, folder: str) -> None:
        if folder == "/refused":
            raise PermissionError(13, "Permission denied")
        self.written, self.closed = [], False

    def add_scalar(self, name: str, value: float, epoch: int) -> None:
        self.written.append((name, value, epoch))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def package(monkeypatch) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)


def test_each_number_of_an_epoch(package, tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board({"epoch": 10, "loss": 0.5, "val_recall@20": 0.25})
    board.close()
    assert isinstance(board.writer, Writer)
    assert board.writer.written == [("loss", 0.5, 10), ("val_recall@20", 0.25, 10)]
    assert board.writer.closed


def test_a_folder_that_cannot_be_written(package) -> None:
    with pytest.raises(ConfigError, match="cannot write to /refused: Permission denied"):
        TensorBoard(Path("/refused"))


def test_missing_package_names_the_extra(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'neighborgraph\[tensorboard\]'"):
        TensorBoard(tmp_path)


def test_with_the_package(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    board = TensorBoard(tmp_path)
    board({"epoch": 1, "loss": 0.5})
    board.close()
    assert list(tmp_path.glob("events.out.tfevents.*"))
