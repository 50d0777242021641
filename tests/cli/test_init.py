"""The command as a user meets it: exit codes, one line an error, signals, closed pipes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from neighborgraph.cli import main
from neighborgraph.errors import ConfigError
from neighborgraph.paths import data_root
from neighborgraph.tasks import NodeClassification

TINY = ["run", "mlp", "digits", "--tiny"]


def refusal(capsys, *typed: str) -> str:
    """The one line on stderr of a command that must end with exit code 2."""
    assert main(typed) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("neighborgraph: ")
    return line


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "a command is missing: ls, run, report, recommend, bench, data, env, cache"),
        (["rnu"], "unknown command 'rnu'; did you mean 'run'?"),
        (["run", "dagnn"], "the following arguments are required: DATASET"),
        (["run", "dagn", "digits"], "unknown model 'dagn'; did you mean 'dagnn'?"),
        (["run", "dagnn,gnc", "digits"], "unknown model 'gnc'; did you mean 'gcn'?"),
        (["run", "mlp,mlp", "digits"], "names a model twice"),
        (["run", "dagnn", "cara"], "unknown data set 'cara'; did you mean 'cora'?"),
        (["run", "lightgcn"], "arguments are required: DATASET (or --interactions FILE)"),
        (["run", "lightgcn", "cora"], "unknown data set for lightgcn 'cora' (known: gowalla"),
        (["run", "gcn", "gowalla"], "unknown data set for gcn 'gowalla'"),
        (["run", "gcn,lightgcn", "cora"], "mixes models of nodes with recommenders"),
        (["run", "gcn", "--interactions", "a.csv"], "--interactions is for recommenders"),
        (["run", "lightgcn", "lastfm", "--interactions", "a.csv"], "two data sets; name one"),
        (["run", "lightgcn", "--interactions", "a.xls"], "must be a folder, or end in .txt"),
        (["run", "lightgcn", "gowalla", "--download"], "--download fetches no interactions"),
        (["run", "lightgcn", "lastfm", "--time-column", "t"], "--time-column describes a file"),
        (["run", "lightgcn", "--interactions", "a.csv", "--min-weight", "2"], "--weight-column"),
        (["run", "mlp", "digits", "--sedes", "3"], "'--sedes'; did you mean '--seeds'?"),
        (["run", "mlp", "digits", "--seeds", "0"], "'0' is not a number from 1"),
        (["run", "mlp", "digits", "--seeds", "-1"], "--seeds"),
        (["run", "mlp", "digits", "extra"], "unknown argument 'extra'"),
        (["run", "mlp", "digits", "--set", "optimizer.lrr=1"], "did you mean 'optimizer.lr'?"),
        (["run", "mlp", "digits", "--set", "lr=1"], "must look like optimizer.lr=0.01"),
        (["run", "mlp", "digits", "--device", "gpu"], "unknown device 'gpu'"),
        (["ls", "modles"], "unknown list 'modles'; did you mean 'models'?"),
        (["cache", "claer"], "unknown action 'claer'; did you mean 'clear'?"),
    ],
)
def test_one_line_that_says_what_to_type(capsys, typed: list[str], message: str) -> None:
    assert message in refusal(capsys, *typed)


def test_wrong_data_root(capsys, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "runs")]
    line = refusal(capsys, "run", "dagnn", "cora", "--data-root", str(tmp_path), *out)
    assert f"looked in {tmp_path}/Cora/raw" in line
    assert "--data-root DIR where DIR/Cora/raw holds the files" in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_asked_and_absent(capsys) -> None:
    line = refusal(capsys, *TINY, "--device", "cuda")
    assert line.endswith("; use --device cpu")


def test_truncated_data_file(capsys, tmp_path: Path) -> None:
    sources = [data_root() / folder / "raw" for folder in ("dblp", "citationfull/dblp")]
    found = [source for source in sources if source.is_dir()]
    if not found:
        pytest.skip(f"dblp is not in {data_root()}; set NEIGHBORGRAPH_DATA to its folder")
    shutil.copytree(found[0], tmp_path / "dblp" / "raw")
    path = tmp_path / "dblp" / "raw" / "dblp.npz"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:100_000])
    root = ["--data-root", str(tmp_path), "--out", str(tmp_path / "runs")]
    assert f"{path} is truncated or damaged" in refusal(capsys, "run", "dagnn", "dblp", *root)


def test_output_folder_that_cannot_be_written(capsys, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refusal(capsys, *TINY, "--out", str(tmp_path / "file" / "runs"))
    assert "cannot write to the output folder" in line
    assert "choose another with --out" in line


def test_corrupt_checkpoint(capsys, tmp_path: Path) -> None:
    typed = [*TINY, "--out", str(tmp_path), "--resume", "--device", "cpu"]
    assert main(typed) == 0
    capsys.readouterr()
    (tmp_path / "records.jsonl").unlink()
    for path in tmp_path.rglob("state.json"):
        path.write_text("{}")
    line = refusal(capsys, *typed)
    assert "is intact" in line
    assert "delete the folder to start again" in line


def test_training_that_diverges(capsys, tmp_path: Path, monkeypatch) -> None:
    loss = NodeClassification.loss
    monkeypatch.setattr(NodeClassification, "loss", lambda self, m: loss(self, m) * float("inf"))
    typed = ["run", "mlp", "digits", "--tiny", "--out", str(tmp_path), "--device", "cpu"]
    line = refusal(capsys, *typed)
    assert "mlp on tiny, seed 0, epoch 1: the training loss is inf" in line
    assert "--set optimizer.lr" in line


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ConfigError, match="unknown model"):
        main(["run", "dagn", "digits", "--debug"])


def test_help_says_what_there_is(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "Train models on a data set" in capsys.readouterr().out


def start(*typed: str, **streams) -> subprocess.Popen:
    command = [sys.executable, "-m", "neighborgraph", *typed]
    return subprocess.Popen(command, text=True, **streams)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_says_how_to_resume_and_resumes(tmp_path: Path, number: int) -> None:
    typed = ["run", "mlp", "tiny", "--device", "cpu", "--out", str(tmp_path)]
    # Checkpoints of a run that would take a minute: the first shows that training has begun.
    typed += ["--set", "training.epochs=30000", "--set", "training.patience=0"]
    typed += ["--set", "training.checkpoint_every=50"]
    with start(*typed, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("manifest.json")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert error.splitlines()[-1] == (
        f"neighborgraph: stopped by {signal.Signals(number).name}; "
        "add --resume to the same command to continue"
    )
    assert "Traceback" not in error
    assert list(tmp_path.rglob("manifest.json"))
    assert main(typed) == 2


def test_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start("ls", stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGPIPE
    assert error == ""


def test_cache_folder_that_cannot_be_used_is_one_line_and_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "runs"
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "neighborgraph",
            "run",
            "gcn",
            "digits",
            "--tiny",
            "--out",
            str(out),
        ],
        env=os.environ | {"NEIGHBORGRAPH_CACHE": str(tmp_path / "file" / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0
    (warning,) = [line for line in ran.stderr.splitlines() if "warning" in line]
    assert warning.startswith("neighborgraph: warning: compiled kernels are not kept")
    assert "NEIGHBORGRAPH_CACHE" in warning
