"""What the benchmark programs share as commands: the device, and errors as one line."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence

import torch

from neighborgraph.errors import BackendUnavailable, ConfigError, NeighborgraphError
from neighborgraph.jit import driver

USER_ERROR = 2


def expect_device(name: str) -> torch.device:
    """The device, or an error that says why there is none."""
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise ConfigError(f"unknown device {name!r} (known: cpu, cuda, cuda:N)")
    device = torch.device(name)
    if device.type == "cuda" and not driver().available:
        raise BackendUnavailable(f"--device {name}: {driver().reason}; use --device cpu")
    return device


def run_command(
    parser: argparse.ArgumentParser,
    configure: Callable[[argparse.ArgumentParser], None],
    command: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None,
) -> int:
    """Parse and run; a user error is one line and exit code 2."""
    configure(parser)
    try:
        return command(parser.parse_args(arguments))
    except NeighborgraphError as error:
        print(f"neighborgraph: {error}", file=sys.stderr)
        return USER_ERROR
