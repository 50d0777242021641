"""sample: draw some of the neighbours that each row gathers from."""

from neighborgraph.ops.sample.op import Draw, Sample, relabel, sample_neighbors
from neighborgraph.ops.sample.population import Population, ordered

__all__ = ["Draw", "Population", "Sample", "ordered", "relabel", "sample_neighbors"]
