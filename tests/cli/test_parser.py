"""The parser itself; its messages are tested where a user meets them, in test_init.py."""

import pytest

from neighborgraph.cli.parser import COMMANDS, build_parser, parse
from neighborgraph.errors import ConfigError


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_first_line_of_help(name: str) -> None:
    assert (COMMANDS[name].__doc__ or "").splitlines()[0].endswith(".")
    needed = {
        "run": ["mlp", "digits"],
        "recommend": ["folder", "--out", "lists.csv"],
        "report": ["runs"],
        "data": ["synth", "ogbn-arxiv", "--scale", "0.1", "--out", "data"],
    }
    typed = [name, *needed.get(name, [])]
    assert parse(build_parser(), typed).command is COMMANDS[name].command


def test_options_are_not_abbreviated() -> None:
    with pytest.raises(ConfigError, match="unknown option '--seed'; did you mean '--seeds'"):
        parse(build_parser(), ["run", "mlp", "digits", "--seed", "3"])


def test_option_without_its_value() -> None:
    with pytest.raises(ConfigError, match="--out: expected one argument; see neighborgraph run"):
        parse(build_parser(), ["run", "mlp", "digits", "--out"])
