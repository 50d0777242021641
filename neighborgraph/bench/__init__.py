"""Measuring: one record a run, one runner of seeds, one timer."""
