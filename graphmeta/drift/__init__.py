"""Keeping up: with a catalogue and its users over time, and with one user's changing interest."""

from graphmeta.drift.carried_over import carried_over
from graphmeta.drift.interest_tracker import ChangeDetector, Interest, InterestTracker
from graphmeta.drift.newcomers import newcomers
from graphmeta.drift.older_model import OlderModel
from graphmeta.drift.page_hinkley import PageHinkley
from graphmeta.drift.rolling_windows import Window, rolling_windows
from graphmeta.drift.surprise import surprise_of

__all__ = [
    "ChangeDetector",
    "Interest",
    "InterestTracker",
    "OlderModel",
    "PageHinkley",
    "Window",
    "carried_over",
    "newcomers",
    "rolling_windows",
    "surprise_of",
]
