"""Runnable experiments: `python -m graphmeta.experiments.coldstart`."""
