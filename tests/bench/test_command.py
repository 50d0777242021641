"""What the benchmark programs share as commands."""

import argparse

import pytest
import torch

from neighborgraph.bench import command
from neighborgraph.errors import BackendUnavailable, ConfigError, InputError
from neighborgraph.jit import Driver


def test_cpu() -> None:
    assert command.expect_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cpu:0", ""])
def test_unknown_device(name: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown device .* \(known: cpu, cuda, cuda:N\)"):
        command.expect_device(name)


def test_absent_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "driver", lambda: Driver(False, "no GPU here"))
    with pytest.raises(BackendUnavailable, match="--device cuda: no GPU here; use --device cpu"):
        command.expect_device("cuda")


def test_user_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(options: argparse.Namespace) -> int:
        raise InputError("wrong")

    parser = argparse.ArgumentParser()
    assert command.run_command(parser, lambda parser: None, fail, []) == 2
    assert capsys.readouterr().err == "neighborgraph: wrong\n"
