"""Made-up OGB folders: labelled in every file, repeatable, whole or absent."""

from pathlib import Path

import pytest

from neighborgraph.data.ogb_files import LABEL, is_synthetic, kept_name
from neighborgraph.data.ogb_format import OGB_FORMATS
from neighborgraph.data.ogb_graph import SyntheticSettings
from neighborgraph.data.ogb_synthetic import write_synthetic
from neighborgraph.errors import ConfigError, DataFileError

NAMES = ["ogbn-arxiv", "ogbl-collab"]


@pytest.fixture(scope="module", params=NAMES)
def folder(request, tmp_path_factory) -> Path:
    settings = SyntheticSettings(request.param, 0.01, seed=3)
    return write_synthetic(settings, tmp_path_factory.mktemp("ogb"))


def name_of(folder: Path) -> str:
    return folder.name.replace("_", "-")


def test_every_file_is_labelled(folder: Path) -> None:
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert files == {folder / file for file in OGB_FORMATS[name_of(folder)].files}
    for path in files:
        named = path.read_text() if path.suffix == ".txt" else kept_name(path)
        assert named.startswith(LABEL), path
    assert is_synthetic(folder)


def test_the_same_settings_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    name = name_of(folder)
    again = write_synthetic(SyntheticSettings(name, 0.01, seed=3), tmp_path / "same")
    other = write_synthetic(SyntheticSettings(name, 0.01, seed=4), tmp_path / "other")
    for path in folder.rglob("*.*"):
        same = again / path.relative_to(folder)
        assert same.read_bytes() == path.read_bytes()
    assert (other / "raw/edge.csv.gz").read_bytes() != (folder / "raw/edge.csv.gz").read_bytes()


def test_too_dense(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too few nodes for its edges within classes"):
        write_synthetic(SyntheticSettings("ogbn-products", 2e-4, homophily=1.0), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_left_alone(folder: Path) -> None:
    with pytest.raises(DataFileError, match="exists; delete it"):
        write_synthetic(SyntheticSettings(name_of(folder), 0.01), folder.parent)


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFileError, match="cannot write"):
        write_synthetic(SyntheticSettings("ogbn-arxiv", 0.01), tmp_path / "file")
