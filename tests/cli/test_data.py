"""neighborgraph data: what it writes, and what it refuses."""

from pathlib import Path

import pytest

from neighborgraph.cli import main
from neighborgraph.data.ogb_files import is_synthetic
from neighborgraph.data.ogb_format import OGB_FORMATS, missing_files

SCALES = {name: "0.02" if name == "ogbl-ddi" else "0.001" for name in OGB_FORMATS}


@pytest.mark.parametrize("name", OGB_FORMATS)
def test_synth(capsys, tmp_path: Path, name: str) -> None:
    scale = SCALES[name]
    options = ["--scale", scale, "--homophily", "0.3", "--classes", "4", "--tail", "3"]
    assert main(["data", "synth", name, "--out", str(tmp_path), *options]) == 0
    folder = tmp_path / name.replace("-", "_")
    assert capsys.readouterr().out == (
        f"{folder}: SYNTHETIC, in the format of {name}, scale {scale}\n"
    )
    assert is_synthetic(folder)
    assert list(missing_files(folder, OGB_FORMATS[name])) == []


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["sinth", "ogbn-arxiv"], "unknown action 'sinth'; did you mean 'synth'"),
        (["synth", "ogbn-arxive"], "unknown data set with a synthetic form 'ogbn-arxive'; did you"),
        (["synth", "cora"], "unknown data set with a synthetic form 'cora'"),
        (["synth", "ogbn-arxiv", "--seed", "-1"], "--seed -1 is below 0"),
        (["synth", "ogbn-arxiv", "--classes", "1"], "--classes 1 is outside [2, 40]"),
        (["synth", "ogbl-ddi", "--classes", "1001"], "--classes 1001 is outside [2, 1000]"),
        (["synth", "ogbl-ppa"], "unknown data set with a synthetic form 'ogbl-ppa'"),
    ],
)
def test_refusals(capsys, tmp_path: Path, typed: list[str], message: str) -> None:
    assert main(["data", *typed, "--scale", "0.01", "--out", str(tmp_path / "new")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_scale_is_asked_for(capsys, tmp_path: Path) -> None:
    assert main(["data", "synth", "ogbn-arxiv", "--out", str(tmp_path)]) == 2
    assert "required: --scale" in capsys.readouterr().err
