"""The kit of planted bugs fits the sources as they are; ``python tests/planted`` runs it."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location(
    "bugs", ROOT / "tests" / "planted" / "bugs" / "__init__.py"
)
assert SPEC is not None
assert SPEC.loader is not None
bugs = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = bugs  # where its own modules find each other
SPEC.loader.exec_module(bugs)


@pytest.mark.parametrize("bug", bugs.BUGS, ids=lambda bug: bug.name)
def test_every_bug_has_one_place(bug) -> None:
    assert (ROOT / bug.file).read_text().count(bug.right) == 1
    assert bug.right != bug.wrong
    assert all((ROOT / tests).exists() for tests in bug.tests)


def test_there_are_enough() -> None:
    assert sum(not bug.needs_gpu for bug in bugs.BUGS) >= 38
    assert len({(bug.file, bug.name) for bug in bugs.BUGS}) == len(bugs.BUGS) >= 40
