"""Randomness: an epoch draws the same whatever came before it."""

import hashlib

import torch


def keyed_generator(device: torch.device, seed: int, epoch: int) -> torch.Generator:
    """A generator whose numbers follow from the seed and the epoch alone."""
    # Torch's generator on the CPU takes 32 bits of a seed; a digest spreads both numbers over them.
    digest = hashlib.sha256(f"{seed} {epoch}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:4], "little"))
