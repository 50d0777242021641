"""The parser of all sub-commands: its complaints are one line and name the nearest word."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from neighborgraph.checks import nearest
from neighborgraph.cli import bench, cache, data, env, ls, recommend, report, run
from neighborgraph.errors import ConfigError

COMMANDS = {
    "ls": ls,
    "run": run,
    "report": report,
    "recommend": recommend,
    "bench": bench,
    "data": data,
    "env": env,
    "cache": cache,
}
"""Sub-command to module, whose ``configure`` adds its options and ``command`` runs it."""


class Parser(argparse.ArgumentParser):
    """Raises where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise ConfigError(f"{message}; see {self.prog} --help")


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="neighborgraph", description="Graph neural networks over fused sparse kernels."
    )
    commands = parser.add_subparsers(dest="name", metavar="COMMAND", parser_class=Parser)
    for name, module in COMMANDS.items():
        help_text = (module.__doc__ or "").splitlines()[0]
        sub = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        module.configure(sub)
        sub.set_defaults(command=module.command, parser=sub)
    return parser


def parse(parser: Parser, typed: Sequence[str]) -> argparse.Namespace:
    """The options of one command line.

    Raises:
        ConfigError: The command or an option is unknown, or a value is of the wrong form.
    """
    words = [word for word in typed if not word.startswith("-")]
    if not typed:
        raise ConfigError(f"a command is missing: {', '.join(COMMANDS)}; see neighborgraph --help")
    if words and words[0] not in COMMANDS and typed[0] == words[0]:
        raise ConfigError(
            f"unknown command {words[0]!r}{nearest(words[0], COMMANDS)} "
            f"(known: {', '.join(COMMANDS)})"
        )
    options, rest = parser.parse_known_args(typed)
    if options.name is None:
        raise ConfigError(f"a command is missing: {', '.join(COMMANDS)}; see neighborgraph --help")
    if rest:
        known = [word for action in options.parser._actions for word in action.option_strings]
        what = "option" if rest[0].startswith("-") else "argument"
        raise ConfigError(
            f"unknown {what} {rest[0]!r}{nearest(rest[0].partition('=')[0], known)}; see "
            f"{options.parser.prog} --help"
        )
    return options
