"""Run PyG's own tests without and with our classes in the place of its, and compare.

``python tests/pyg PATH`` takes a checkout of PyG at the tag of the installed release. Words after
that choose test files by name. ``--results FOLDER`` keeps the outcomes; those of PyG alone that are
there already are not made again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from neighborgraph.nn.accelerate import originals

HERE = Path(__file__).parent
CONVS = ("transformer", "gat", "gatv2", "gcn", "sage", "lg", "graph", "gin")
FILES = (
    *(f"nn/conv/test_{name}_conv.py" for name in CONVS),
    "nn/conv/test_appnp.py",
    "nn/conv/test_message_passing.py",
    "nn/conv/test_static_graph.py",
    "nn/conv/test_hetero_conv.py",
    "nn/conv/test_gps_conv.py",
    "nn/conv/test_dir_gnn_conv.py",
    "nn/test_sequential.py",
    "nn/test_model_summary.py",
    "nn/test_to_hetero_module.py",
    "nn/test_to_hetero_transformer.py",
    "nn/test_to_hetero_with_bases_transformer.py",
    "nn/test_to_fixed_size_transformer.py",
    "nn/test_compile_basic.py",
    "nn/test_compile_conv.py",
    "nn/test_compile_dynamic.py",
    "nn/models/test_basic_gnn.py",
    "nn/models/test_lightgcn.py",
    "explain",
    "utils/test_embedding.py",
    "utils/test_trim_to_layer.py",
    "loader/test_neighbor_loader.py",
    "loader/test_link_neighbor_loader.py",
)
"""Below PyG's folder ``test``; all run with its FULL_TEST=1, but for the two that take long."""
ORDINARY = ("explain", "nn/models/test_basic_gnn.py")
LONGEST_RUN = 3600.0
"""Seconds of one file."""


def swaps() -> list[str]:
    """The classes to swap, as the plugin takes them."""
    names = (layer.__name__ for layer in originals())
    return [
        *(f"torch_geometric.nn.{name}=neighborgraph.nn.{name}" for name in names),
        "torch_geometric.loader.NeighborLoader=loaders.NeighborLoader",
        "torch_geometric.loader.LinkNeighborLoader=loaders.LinkNeighborLoader",
    ]


def run(checkout: Path, file: str, swapped: list[str], record: Path) -> dict[str, str]:
    """Outcomes of one file's tests by their ids; the record is JUnit's."""
    record.parent.mkdir(parents=True, exist_ok=True)
    command = [
        # -P, because the folder holds a package with the name of the installed one.
        *(sys.executable, "-P", "-m", "pytest", "-q", "-p", "swap", "-p", "no:cacheprovider"),
        *("-o", "addopts=", "-m", "not rag and not dataset", f"--junitxml={record}"),
        *(f"--swap={pair}" for pair in swapped),
        f"test/{file}",
    ]
    path = [str(HERE), str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    if file not in ORDINARY:
        environment["FULL_TEST"] = "1"
    done = subprocess.run(
        command,
        cwd=checkout,
        env=environment,
        timeout=LONGEST_RUN,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    record.with_suffix(".log").write_text(done.stdout)
    return outcomes(record)


def outcomes(record: Path) -> dict[str, str]:
    """``passed``, ``skipped`` or ``failed`` by id; nothing where pytest did not get to the end."""
    if not record.is_file():
        return {}
    found = {}
    for case in ElementTree.parse(record).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "passed"
        outcome = "skipped" if "skipped" in kinds else outcome
        found[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return found


def forgiven(record: Path) -> int:
    """How many comparisons of a run pass only up to rounding; see the plugin."""
    properties = ElementTree.parse(record).iter("property") if record.is_file() else ()
    return sum(int(each.get("value", 0)) for each in properties if each.get("name") == "forgiven")


@dataclass(frozen=True)
class Comparison:
    """Outcomes of the same tests without us, and with us.

    Attributes:
        theirs: By id.
        ours: By id.
        forgiven: Comparisons that pass with us only up to rounding.
    """

    theirs: dict[str, str]
    ours: dict[str, str]
    forgiven: int = 0

    @property
    def new_failures(self) -> list[str]:
        """Tests that fail, or are gone, with us alone; no test at all is one."""
        bad = [name for name, outcome in self.ours.items() if outcome == "failed"]
        gone = [name for name in self.theirs if name not in self.ours]
        new = [name for name in bad + gone if self.theirs.get(name) != "failed"]
        return new if self.ours else [*new, "no test ran"]

    @property
    def shared_failures(self) -> list[str]:
        """Tests that fail in PyG as it is."""
        return [name for name, was in self.theirs.items() if was == "failed"]

    def __str__(self) -> str:
        sides = (("PyG", self.theirs), ("ours", self.ours))
        said = "; ".join(f"{side}: {counts(found)}" for side, found in sides)
        return f"{said} ({self.forgiven} comparisons up to rounding)" if self.forgiven else said


def counts(found: dict[str, str]) -> str:
    """``35 passed, 2 skipped``."""
    return ", ".join(f"{n} {outcome}" for outcome, n in sorted(Counter(found.values()).items()))


def compare(checkout: Path, file: str, swapped: list[str], results: Path) -> Comparison:
    """One file, both ways."""
    name = file.replace("/", ".").removesuffix(".py")
    record = results / "theirs" / f"{name}.xml"
    theirs = outcomes(record) or run(checkout, file, [], record)
    record = results / "ours" / f"{name}.xml"
    record.unlink(missing_ok=True)
    return Comparison(theirs, run(checkout, file, swapped, record), forgiven(record))


def main(arguments: list[str]) -> int:
    """Print a line a file, then all failures; 0 when none is new."""
    parser = argparse.ArgumentParser("python tests/pyg", description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of PyG")
    parser.add_argument("words", nargs="*", help="only files whose names hold one of these")
    parser.add_argument("--results", type=Path, help="a folder to keep the outcomes in")
    options = parser.parse_args(arguments)
    files = [f for f in FILES if not options.words or any(word in f for word in options.words)]
    swapped = swaps()
    with tempfile.TemporaryDirectory() as folder:
        results = (options.results or Path(folder)).resolve()
        everything = Comparison({}, {})
        new, shared = [], []
        for file in files:
            found = compare(options.checkout, file, swapped, results)
            print(f"{file}: {found}; {len(found.new_failures)} new", flush=True)
            everything = Comparison(
                everything.theirs | found.theirs,
                everything.ours | found.ours,
                everything.forgiven + found.forgiven,
            )
            new += found.new_failures
            shared += found.shared_failures
    print(f"all {len(files)}: {everything}")
    print("\n".join([f"failures that PyG has too: {len(shared)}", *shared]))
    print("\n".join([f"new failures: {len(new)}", *new]))
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
