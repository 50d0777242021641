"""Made-up data sets in the folders and files of OGB's real ones, labelled as made up."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from neighborgraph.data.ogb_files import LABEL
from neighborgraph.data.ogb_format import RELEASE, Format, LinkFormat, NodeFormat, folder_name
from neighborgraph.data.ogb_graph import SyntheticSettings
from neighborgraph.data.ogb_synthetic_links import write_link_files
from neighborgraph.data.ogb_synthetic_nodes import write_node_files
from neighborgraph.errors import DataFileError

WRITERS: dict[type[Format], Callable[[SyntheticSettings, Path], None]] = {
    NodeFormat: write_node_files,
    LinkFormat: write_link_files,
}
"""Kind of data set to what draws it and writes all files but the release note."""


def write_synthetic(settings: SyntheticSettings, out: Path) -> Path:
    """Write a data set to ``out``/<folder as OGB names it>, whole or not at all.

    The same settings give the same bytes.

    Args:
        settings: What to make.
        out: The data root; created when absent.

    Returns:
        The data set's folder.

    Raises:
        ConfigError: The graph cannot have so many edges.
        DataFileError: The folder exists, or cannot be written.
    """
    target = out / folder_name(settings.name)
    if target.exists():
        raise DataFileError(f"{target} exists; delete it or choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{target.name}.") as temporary:
            folder = Path(temporary) / target.name
            for place in ("raw", f"split/{settings.form.split}", "processed"):
                (folder / place).mkdir(parents=True)
            WRITERS[type(settings.form)](settings, folder)
            note = f"{LABEL}: made up by neighborgraph data synth, not the real {settings.name}.\n"
            (folder / RELEASE).write_text(note + json.dumps(asdict(settings)) + "\n")
            shutil.move(folder, target)
    except OSError as error:
        raise DataFileError(f"cannot write {target}: {error.strerror or error}") from error
    return target
