"""One name on every floor: source file, test file, kernel file, documentation page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Files without a test file of their own name, and what tests them instead.
TESTED_ELSEWHERE: dict[str, str] = {
    "errors.py": "class statements only; every test of a refusal names one of them",
}


def missing_counterparts(root: Path) -> Iterator[str]:
    """Whatever the source tree at ``root`` calls for but has not."""
    package = root / "neighborgraph"
    for path in sorted(package.rglob("*.py")):
        file = path.relative_to(package)
        is_operator = len(file.parts) == 3 and file.parts[0] == "ops"
        if path.name in ("__init__.py", "__main__.py") or is_operator:
            continue
        if file.as_posix() not in TESTED_ELSEWHERE:
            test = root / "tests" / file.parent / f"test_{file.name}"
            if not test.is_file():
                yield f"{file.as_posix()} has no tests/{test.relative_to(root / 'tests')}"
    for op in sorted(path.parent for path in (package / "ops").glob("*/__init__.py")):
        yield from missing_for_operator(root, op)


def missing_for_operator(root: Path, folder: Path) -> Iterator[str]:
    """The four files, kernels, page and test of one operator."""
    op = folder.name
    for role in ("op", "reference", "cpu", "cuda"):
        if not (folder / f"{role}.py").is_file():
            yield f"ops/{op} has no {role}.py"
    for folder_name, pattern in (("tests/ops", f"test_{op}*.py"), ("cuda", f"{op}*.cu")):
        if not any((root / folder_name).glob(pattern)):
            yield f"ops/{op} has no {folder_name}/{pattern}"
    if not (root / "docs" / "ops" / f"{op}.md").is_file():
        yield f"ops/{op} has no docs/ops/{op}.md"


def test_every_source_file_has_its_counterparts() -> None:
    missing = list(missing_counterparts(ROOT))
    assert not missing, "\n".join(missing)


def test_exemptions_name_real_files() -> None:
    stale = [file for file in TESTED_ELSEWHERE if not (ROOT / "neighborgraph" / file).is_file()]
    assert stale == []


COMPLETE = (
    "neighborgraph/graph/csr.py",
    "tests/graph/test_csr.py",
    "neighborgraph/ops/mix/__init__.py",
    "neighborgraph/ops/mix/op.py",
    "neighborgraph/ops/mix/reference.py",
    "neighborgraph/ops/mix/cpu.py",
    "neighborgraph/ops/mix/cuda.py",
    "cuda/mix_forward.cu",
    "tests/ops/test_mix.py",
    "docs/ops/mix.md",
)
OPTIONAL = ("neighborgraph/graph/csr.py", "neighborgraph/ops/mix/__init__.py")


def plant(root: Path, files: tuple[str, ...]) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_complete_tree_is_accepted(tmp_path: Path) -> None:
    plant(tmp_path, COMPLETE)
    assert list(missing_counterparts(tmp_path)) == []


@pytest.mark.parametrize("gone", sorted(set(COMPLETE) - set(OPTIONAL)))
def test_each_missing_file_is_reported(tmp_path: Path, gone: str) -> None:
    plant(tmp_path, COMPLETE)
    (tmp_path / gone).unlink()
    found = list(missing_counterparts(tmp_path))
    assert len(found) == 1
    assert Path(gone).stem.removeprefix("test_").split("_")[0] in found[0]
