"""sample: draw some of the neighbours that each row gathers from."""

from neighborgraph.ops.sample.op import Draw, Sample, relabel, sample_neighbors
from neighborgraph.ops.sample.population import Population, ordered
from neighborgraph.ops.sample.two_hops import TwoHops, sample_two_hops

__all__ = [
    "Draw",
    "Population",
    "Sample",
    "TwoHops",
    "ordered",
    "relabel",
    "sample_neighbors",
    "sample_two_hops",
]
