"""Baselines: each a `Scorer` that fits the training graph and ranks for cold users."""

__all__: list[str] = []
