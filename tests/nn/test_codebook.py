"""Codebook: against a transcription with loops, exact counts, revival, and several processes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.nn import Codebook

SCRIPT = Path(__file__).with_name("codebook_process.py")


class Plain:
    """The update of one batch as it is written down, row by row and in fp64."""

    def __init__(self, codebook: Codebook) -> None:
        self.centroids = codebook.centroids.double()
        self.size = codebook.size.double()
        self.total = codebook.total.double()
        self.code = codebook.code.tolist()
        self.decay = codebook.decay

    def update(self, x: Tensor, node: Tensor) -> list[int]:
        x = x.double()
        x = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()
        belongs = []
        for row in x:
            distances = [float((row - centroid).square().sum()) for centroid in self.centroids]
            belongs.append(distances.index(min(distances)))
        for c in range(len(self.size)):
            rows = [row for row, code in zip(x, belongs, strict=True) if code == c]
            found = sum(rows, torch.zeros(x.shape[1], dtype=torch.float64))
            self.size[c] = self.decay * self.size[c] + (1 - self.decay) * len(rows)
            self.total[c] = self.decay * self.total[c] + (1 - self.decay) * found
            if self.size[c] > 0:
                self.centroids[c] = self.total[c] / self.size[c]
        for i, code in zip(node.tolist(), belongs, strict=True):
            self.code[i] = code
        return belongs


def test_equals_the_transcription() -> None:
    codebook = Codebook(8, 3, num_nodes=50, decay=0.9, dead_below=0)
    plain = Plain(codebook)
    for _ in range(20):
        node, x = torch.randperm(50)[:20], 5 * torch.randn(20, 3) + 2
        assert codebook.update(x, node).tolist() == plain.update(x, node)
        assert codebook.code.tolist() == plain.code
        assert codebook.count.tolist() == torch.bincount(codebook.code, minlength=8).tolist()
        torch.testing.assert_close(codebook.size.double(), plain.size, rtol=1e-5, atol=1e-5)
        centroids = codebook.centroids.double()
        torch.testing.assert_close(centroids, plain.centroids, rtol=1e-5, atol=1e-5)


def test_normalisation_is_that_of_batch_norm() -> None:
    codebook, norm = Codebook(4, 3, num_nodes=50), torch.nn.BatchNorm1d(3, affine=False)
    for _ in range(5):
        x = 3 * torch.randn(20, 3) - 1
        torch.testing.assert_close(codebook.normalized(x), norm(x))
    torch.testing.assert_close(codebook.mean, norm.running_mean)
    torch.testing.assert_close(codebook.variance, norm.running_var)


def test_rows_are_where_the_vectors_are() -> None:
    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 30.0]])
    codebook = Codebook(3, 2, num_nodes=300)
    for _ in range(300):
        node = torch.randperm(300)[:60]
        codebook.update(corners[node % 3] + 0.1 * torch.randn(60, 2), node)
    assert (torch.cdist(corners, codebook.rows()).min(dim=1).values < 0.5).all()
    assert (torch.cdist(corners, codebook.rows()).argmin(dim=1).unique()).numel() == 3


def test_dead_centroids_start_anew() -> None:
    codebook = Codebook(64, 2, num_nodes=100)
    codebook.centroids.fill_(1e6)
    codebook.centroids[0] = 0
    codebook.update(torch.randn(30, 2), torch.arange(30))
    assert (codebook.centroids.abs() < 10).all()
    assert (codebook.size > 0).all()
    assert int(codebook.count.sum()) == 100


def test_more_centroids_than_rows_and_a_batch_of_one() -> None:
    codebook = Codebook(1000, 2, num_nodes=5)
    for node in (torch.arange(5), torch.tensor([3])):
        codebook.update(torch.randn(len(node), 2), node)
        assert codebook.rows().isfinite().all()
        assert int(codebook.count.sum()) == 5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(dtype: torch.dtype) -> None:
    one, other = Codebook(8, 3, num_nodes=50), Codebook(8, 3, num_nodes=50)
    other.load_state_dict(one.state_dict())
    x, node = 1e5 * torch.randn(20, 3), torch.arange(20)  # beyond float16
    torch.manual_seed(0)
    one.update(x, node)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=dtype):
        other.update(x, node)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
        assert tensor.isfinite().all(), name


def learn(folder: Path, world: int, dead_below: float) -> list[dict[str, Tensor]]:
    """The codebook of every process."""
    folder.mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(rank), str(world), folder, str(dead_below)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * world, "\n".join(errors)
    return [torch.load(folder / f"{rank}-of-{world}.pt") for rank in range(world)]


def test_two_processes_learn_the_codebook_of_one(tmp_path: Path) -> None:
    (one,), two = learn(tmp_path / "one", 1, 0.0), learn(tmp_path / "two", 2, 0.0)
    for state in two:
        for name, tensor in one.items():
            torch.testing.assert_close(state[name], tensor, msg=name)
    first, second = learn(tmp_path / "reviving", 2, 0.5)
    for name, tensor in first.items():
        assert torch.equal(second[name], tensor), name
    assert first["count"].tolist() == torch.bincount(first["code"], minlength=8).tolist()


def test_refusals() -> None:
    with pytest.raises(InputError, match="num_codes=0 must be at least 1"):
        Codebook(0, 3, 5)
    with pytest.raises(InputError, match=r"decay=1.0 is outside \[0, 1\)"):
        Codebook(4, 3, 5, decay=1.0)
    codebook = Codebook(4, 3, 5)
    with pytest.raises(InputError, match=r"x must have shape \[b, 3\], got \[2, 4\]"):
        codebook.update(torch.randn(2, 4), torch.arange(2))
    with pytest.raises(InputError, match=r"node must have shape \[2\] \(one a row of x\), got"):
        codebook.update(torch.randn(2, 3), torch.arange(3))
    with pytest.raises(DtypeError, match="node must be one of int64"):
        codebook.update(torch.randn(2, 3), torch.arange(2, dtype=torch.int32))


def test_it_says_what_it_holds() -> None:
    assert repr(Codebook(4, 3, 5)) == "Codebook(4, 3, 5 nodes, decay=0.99)"
