"""Processes: those that train one model together, as torchrun starts them; alone by default."""

import hashlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

# Its functions have the process group of the moment as a default value. Imported later, as Torch's
# optimizers do, it would keep that group, whose threads would then abort Python at its end.
import torch.distributed.nn
from torch import Tensor, nn

from neighborgraph.errors import BackendUnavailable, ConfigError, TrainingError

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others. One that ends is noticed at once."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train one model, each with all of its parameters.

    What is summed has the same bits in every process afterwards, so all of them come to the same
    decisions. Alone, every method does nothing.

    Attributes:
        rank: This one's number.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's part of ``count`` things; the parts differ by one at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum_(self, *tensors: Tensor) -> None:
        """Put the sum over all processes in the place of each tensor."""
        if self.size > 1:
            with self.named_failure():
                for tensor in tensors:
                    dist.all_reduce(tensor)

    def sum_gradients(self, model: nn.Module) -> None:
        """Put the sum over all processes in the place of each parameter's gradient."""
        if self.size > 1:
            self.sum_(*(p.grad for p in model.parameters() if p.grad is not None))

    def copy_parameters(self, model: nn.Module) -> None:
        """Give every process the parameters of the first."""
        if self.size > 1:
            with self.named_failure(), torch.no_grad():
                for parameter in model.parameters():
                    dist.broadcast(parameter, src=0)

    def copy_buffers(self, model: nn.Module) -> None:
        """Give every process what the first has beside parameters, such as running means."""
        if self.size > 1:
            with self.named_failure():
                for buffer in model.buffers():
                    dist.broadcast(buffer, src=0)

    def highest(self, number: int) -> int:
        """The largest of a number of each process; waits for all of them."""
        if self.size == 1:
            return number
        shared = torch.tensor(number, device="cuda" if dist.get_backend() == "nccl" else "cpu")
        with self.named_failure():
            dist.all_reduce(shared, dist.ReduceOp.MAX)
            return int(shared)

    def expect_same(self, state: str) -> None:
        """Refuse to go on when ``state`` is not the same text in every process.

        Raises:
            TrainingError: It is not.
        """
        digest = int.from_bytes(hashlib.sha256(state.encode()).digest()[:7], "little")
        if self.highest(digest) != -self.highest(-digest):
            raise TrainingError(
                f"the processes do not begin alike; number {self.rank} of {self.size} is at "
                f"{state}. Start all with the same arguments, and with --out on a disk that they "
                "share"
            )

    @contextmanager
    def named_failure(self) -> Iterator[None]:
        """Say what it means when processes cannot talk to one another."""
        try:
            yield
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise TrainingError(
                f"process {self.rank} of {self.size} has lost the others, one of which ended or "
                f"did not answer for {PATIENCE.seconds // 60} minutes; what that one said comes "
                f"first ({reason})"
            ) from error


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started; without torchrun this one is alone.

    Args:
        device: Where this one trains: `own_device`.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    except BaseException as error:
        # Gloo's threads must not outlive Python. NCCL could wait for a process that has ended.
        if backend == "gloo":
            forget_locals(error)
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def forget_locals(error: BaseException | None) -> None:
    """Drop the variables of the calls that an error and its causes ended, process groups too."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def own_device(device: torch.device) -> torch.device:
    """``device``, or under torchrun the GPU that has this process's number on its machine.

    Raises:
        BackendUnavailable: There are fewer GPUs than processes.
        ConfigError: ``device`` is one certain GPU, which the processes cannot share.
    """
    if device.type != "cuda" or not dist.is_torchelastic_launched():
        return device
    number, gpus = dist.get_node_local_rank(), torch.cuda.device_count()
    if device.index is not None:
        raise ConfigError(
            f"--device {device} is one GPU, but torchrun gives every process its own; use "
            "--device cuda, or set CUDA_VISIBLE_DEVICES"
        )
    if number >= gpus:
        raise BackendUnavailable(
            f"process {number} of this machine has no GPU of its own: there are {gpus}; start "
            f"torchrun with --nproc_per_node={gpus}"
        )
    return torch.device("cuda", number)
