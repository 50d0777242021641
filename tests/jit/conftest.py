"""A small kernel with an include, and a cache folder for one test alone."""

import pytest

from neighborgraph.jit import cache, store

HEADER = """
#pragma once
template <typename T> struct Twice { static T of(T x) { return x + x; } };
"""

SCALE = """
#include "common/twice.cuh"
#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T, int N>
__global__ void scale(T* out, const T* in, const T* shift, long long n, double factor) {
  const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
  if (i >= n) return;
  const float moved = static_cast<float>(Twice<T>::of(in[i])) * N * static_cast<float>(factor);
  out[i] = static_cast<T>(moved + (shift ? static_cast<float>(shift[i]) : 0.0f));
}
"""


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    (folder / "common").mkdir(parents=True)
    (folder / "common" / "twice.cuh").write_text(HEADER)
    (folder / "scale.cu").write_text(SCALE)
    return folder


@pytest.fixture
def cache_root(tmp_path, monkeypatch):
    """An empty cache folder, as a fresh process sees it."""
    root = tmp_path / "cache"
    monkeypatch.setenv("NEIGHBORGRAPH_CACHE", str(root))
    monkeypatch.setattr(store, "_warned", False)
    monkeypatch.setattr(cache, "_memory", {})
    monkeypatch.setattr(cache, "_locks", {})
    return root
