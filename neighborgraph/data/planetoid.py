"""Cora, CiteSeer and PubMed in the split of Yang, Cohen and Salakhutdinov (2016), or random ones.

The publisher's ``ind.<name>.*`` files are read as they are, without a network and without writing a
processed copy. All but ``test.index`` are Python pickles, which could run code. They cannot here: a
file must match its published digest first, and the unpickler then knows only the six names that
arrays, sparse matrices and dictionaries are made of.
"""

import io
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neighborgraph.data.dataset import NodeDataset, Split
from neighborgraph.data.files import PublishedFile, build_or_refuse, locate, read_published
from neighborgraph.data.split import fixed, random_per_class
from neighborgraph.errors import DataFileError
from neighborgraph.graph import Graph, to_undirected

URL = (
    "https://raw.githubusercontent.com/kimiyoung/planetoid/"
    "af6abf468a772cc055bec88c52e4d6f51b7c37e3/data/ind.{name}.{part}"
)
FOLDERS = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed"}
NUM_VAL = 500
"""Validation nodes follow the training nodes in the published order."""
NUM_TEST = 1000
DIGESTS = {
    "cora": {
        "x": "c4a91d008245403e7f26aa616b437191509793c0",
        "tx": "6e856d777401ee15dc8619db76c97d0a40ba2d60",
        "allx": "44d53b1fece343538e45592caac521d73c6f98d6",
        "y": "58e30ef120d3553cfaac33ff28c6b5436dbef661",
        "ty": "da1734ab670b5c8ecee78a9c30b35566df916f4b",
        "ally": "04fbd0b083d09341fcf16b395c642329637f0542",
        "graph": "4d3bf85dfc8b1c105a2c995597a1b3eed6947925",
        "test.index": "ded8092db4cd767a367eebe09003b954a5316f24",
    },
    "citeseer": {
        "x": "f094104a66f2689ffbd01085fe6a856689e9db9e",
        "tx": "b2aff18aa1fc6f4f5e8c64db7643b59b24e42584",
        "allx": "592091071ac35b78599c722d0e60b1c655711728",
        "y": "e857ac49b611da98e101a068cf4855350274f68a",
        "ty": "3795f79df0cd1123f4478b77c148a5fbacc4cefb",
        "ally": "7503f81a0b6ac1cc21cb5a97073542a6b1dfe99c",
        "graph": "a01dca663d0103c130f525017a4a9c313037e286",
        "test.index": "62d9e3d5ed53c66b069125af98529d76c70d9b3e",
    },
    "pubmed": {
        "x": "16c0eca8d2b3297014ff80327416f9332eda10d7",
        "tx": "eee4f3c988fde0da87a9ec7b01ca5e7863c1b1f1",
        "allx": "3b86bccf08111c37c632a9dd8ab63db25ea76361",
        "y": "e86670576c85340eeb2271b3c918bfa89322b2cf",
        "ty": "225a0bb9bb6430e3925d04688daf6a0da964c07a",
        "ally": "4c8bcdc80882dd225fe4dd4fafd723baa616ac97",
        "graph": "76eb87e628a6b9d43fc31ea42c8c6c8f3e52b404",
        "test.index": "41f6befcb7750cc4858cb852f2b349a9598cb2f4",
    },
}


class ArrayUnpickler(pickle.Unpickler):
    """Rebuilds arrays, sparse matrices, lists and dictionaries; any other name is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """The class behind a pickled name, if it is one of those allowed."""
        # Imported here: scipy takes a quarter of a second and only these files need it.
        from scipy.sparse import csr_matrix

        known = {
            ("scipy.sparse.csr", "csr_matrix"): csr_matrix,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): reconstruct,
            ("collections", "defaultdict"): new_dictionary,
            ("__builtin__", "list"): list,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"the name {module}.{name} is not allowed")
        return known[module, name]


def reconstruct(kind: type, shape: tuple[int, ...], code: bytes | str) -> np.ndarray:
    """The empty array that a pickle fills in; numpy's own function takes any class."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("an array of an unknown kind")
    return np.ndarray(shape, dtype=np.int8)


def new_dictionary(factory: type) -> dict:
    """A plain dictionary: the default that the file asks for is never needed."""
    return {}


def load_planetoid(name: str, root: Path, download: bool) -> NodeDataset:
    """Read ``cora``, ``citeseer`` or ``pubmed`` from ``root``/<Name>/raw.

    Raises:
        DataFileError: Files are missing, damaged, or not the published ones.
    """
    files = {
        part: PublishedFile(URL.format(name=name, part=part), digest)
        for part, digest in DIGESTS[name].items()
    }
    folders = [FOLDERS[name], f"planetoid/{FOLDERS[name]}"]
    folder = locate(root, folders, files.values(), download)
    content = {part: read_published(folder, file) for part, file in files.items()}
    parts = {
        part: unpickle(folder / files[part].name, data)
        for part, data in content.items()
        if part != "test.index"
    }
    return build_or_refuse(
        folder, partial(assemble, name, parts, content["test.index"].decode("ascii"))
    )


def load_planetoid_random(name: str, root: Path, download: bool) -> NodeDataset:
    """The same nodes as ``<name>-random``, with as many labels drawn anew for every seed.

    Raises:
        DataFileError: Files are missing, damaged, or not the published ones.
    """
    published = load_planetoid(name, root, download)
    return replace(
        published,
        name=f"{name}-random",
        split_rule=random_per_class(published.y, train=20, val=NUM_VAL, test=NUM_TEST),
        source=f"Planetoid, 20 labels a class, {NUM_VAL} and {NUM_TEST} others, drawn by seed",
    )


def unpickle(path: Path, content: bytes) -> Any:
    """What a file holds.

    Raises:
        DataFileError: It is no pickle of arrays.
    """
    try:
        # latin1 is how numpy's byte strings from Python 2 are read.
        return ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:
        # A damaged pickle may raise anything.
        raise DataFileError(f"{path} is not a pickle of arrays: {error}") from error


def assemble(name: str, parts: dict[str, Any], test_index: str) -> NodeDataset:
    """Put test nodes, which the files hold apart and in another order, in their places.

    CiteSeer has 15 isolated nodes that are in no file; their features are zero and their label 0.
    Self-loops, of which it has 124, are dropped: models add one to every node.
    """
    test = np.array(test_index.split(), dtype=np.int64)
    first, last = int(test.min()), int(test.max())
    x = np.zeros((last + 1, parts["allx"].shape[1]), dtype=np.float32)
    onehot = np.zeros((last + 1, parts["ally"].shape[1]))
    x[:first], onehot[:first] = parts["allx"].toarray(), parts["ally"]
    x[test], onehot[test] = parts["tx"].toarray(), parts["ty"]
    edges = [
        (source, node)
        for node, sources in parts["graph"].items()
        for source in sources
        if source != node
    ]
    edge_index = torch.tensor(edges, dtype=torch.int64).t()
    num_train = parts["y"].shape[0]
    split = Split(
        torch.arange(num_train),
        torch.arange(num_train, num_train + NUM_VAL),
        torch.from_numpy(test).sort().values,
    )
    return NodeDataset(
        name=name,
        graph=to_undirected(Graph.from_edge_index(edge_index, num_nodes=last + 1)),
        x=torch.from_numpy(x),
        y=torch.from_numpy(onehot.argmax(axis=1)),
        num_classes=onehot.shape[1],
        split_rule=fixed(split),
        source="Planetoid, public split (Yang, Cohen and Salakhutdinov, 2016)",
    )
