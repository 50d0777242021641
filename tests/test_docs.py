"""The documentation builds without a warning, its code runs, its commands parse."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from neighborgraph.cli.parser import build_parser, parse
from neighborgraph.errors import ConfigError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<language>\S*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
RECORD = re.compile(r"\((?:\./)?(docs/results/[^)#\s]+)\)")


def blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Line number and body of every fenced block in a language."""
    for match in FENCE.finditer(text):
        if match["language"] == language:
            yield text.count("\n", 0, match.start("body")), match["body"]


def commands(text: str) -> list[list[str]]:
    """Arguments of every neighborgraph command shown in a console block."""
    lines = [line for _, body in blocks(text, "console") for line in body.splitlines()]
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line[1:] for line in words if line[:1] == ["neighborgraph"]]


def figures_without_record(text: str, root: Path) -> list[str]:
    """First rows of tables with a measured figure whose section links no existing record."""
    found = []
    for section in re.split(r"^#+ ", FENCE.sub("", text), flags=re.MULTILINE):
        rows = [line for line in section.splitlines() if line.startswith("|")]
        has_figure = any(re.search(r"\|\s*[*~<≈]*\d", row) for row in rows)
        records = [root / name for name in RECORD.findall(section)]
        if has_figure and not (records and all(path.is_file() for path in records)):
            found.append(rows[0])
    return found


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def test_pages_build_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*build, "-d", tmp_path / "doctrees", ROOT / "docs", tmp_path / "html"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "ops" / "attend.html").is_file()


PAGES_WITH_CODE = [page for page in PAGES if any(blocks(page.read_text(), "python"))]


def test_code_is_found() -> None:
    assert {"README.md", "docs/start.md", "docs/ops/attend.md"} <= set(names(PAGES_WITH_CODE))


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=names(PAGES_WITH_CODE))
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {"__name__": "__main__"}
    for line, body in blocks(page.read_text(), "python"):
        # Leading empty lines make a traceback show the page's own line numbers.
        exec(compile("\n" * line + body, str(page), "exec"), session)


PAGES_WITH_COMMANDS = [page for page in PAGES if commands(page.read_text())]


def test_commands_are_found() -> None:
    assert {"README.md", "docs/cli.md"} <= set(names(PAGES_WITH_COMMANDS))


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=names(PAGES_WITH_COMMANDS))
def test_commands_parse(page: Path) -> None:
    for arguments in commands(page.read_text()):
        parse(build_parser(), arguments)


@pytest.mark.parametrize("command", ["rum digits", "run", "run gcn digits --seed 3"])
def test_wrong_command_is_noticed(command: str) -> None:
    page = f"```console\n$ neighborgraph {command}  # a comment\n```\n"
    (arguments,) = commands(page)
    assert arguments == command.split()
    with pytest.raises(ConfigError):
        parse(build_parser(), arguments)


def test_links_between_files_lead_somewhere() -> None:
    link = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
    for page in PAGES:
        for target in link.findall(FENCE.sub("", page.read_text())):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_figures_in_readme_name_their_records() -> None:
    assert figures_without_record((ROOT / "README.md").read_text(), ROOT) == []


TABLE = "# Speed\n\n| op | ms |\n|---|---|\n| attend | 1.2 |\n\n"


@pytest.mark.parametrize(
    ("text", "is_fault"),
    [
        (TABLE, True),
        (TABLE + "Measured in [one run](docs/results/absent.jsonl).", True),
        (TABLE + "Measured in [one run](docs/results/run.jsonl).", False),
        (TABLE + "# Other\n\n[one run](docs/results/run.jsonl)", True),
        ("| command | does |\n|---|---|\n| ls | lists |", False),
    ],
)
def test_figures_without_record_are_found(tmp_path: Path, text: str, is_fault: bool) -> None:
    (tmp_path / "docs/results").mkdir(parents=True)
    (tmp_path / "docs/results/run.jsonl").touch()
    assert bool(figures_without_record(text, tmp_path)) == is_fault
