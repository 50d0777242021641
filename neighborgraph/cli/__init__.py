"""The ``neighborgraph`` command: one sub-command a file."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence

from neighborgraph.cli.parser import build_parser, parse
from neighborgraph.errors import NeighborgraphError

USER_ERROR = 2
SIGNAL_BASE = 128
"""A process that a signal ended has this plus the signal's number as exit code."""
SIGINT, SIGPIPE = 2, 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What was typed after ``neighborgraph``; by default that of this process.

    Returns:
        0 when it did what was asked; 2 after one line that says what was wrong and what to type;
        128 + n after signal n, so 130 after Ctrl-C.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="neighborgraph: %(message)s", level=logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            options = parse(build_parser(), typed)
            code = options.command(options)
        sys.stdout.flush()
    except NeighborgraphError as error:
        if "--debug" in typed:
            raise
        print(f"neighborgraph: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt as stop:
        hint = "; add --resume to the same command to continue" if "run" in typed[:1] else ""
        print(f"neighborgraph: {str(stop) or 'stopped by SIGINT'}{hint}", file=sys.stderr)
        return SIGNAL_BASE + getattr(stop, "signal_number", SIGINT)
    except BrokenPipeError:
        # The reader has gone. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNAL_BASE + SIGPIPE
    return code


def show_warning(message: Warning | str, *where: object) -> None:
    """Say a warning in one line, like everything else; where in the code it arose helps nobody."""
    print(f"neighborgraph: warning: {' '.join(str(message).split())}", file=sys.stderr)
