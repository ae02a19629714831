"""What to show a new user next, when it pays to find out."""

from graphmeta.explore.belief import Belief, Scales
from graphmeta.explore.explorer import POLICIES, Explorer, ExploringSession
from graphmeta.explore.fit_scales import fit_scales
from graphmeta.explore.policies import (
    EXPLORING,
    UCB,
    Corrected,
    EpsilonGreedy,
    Greedy,
    Policy,
    Popularity,
    Thompson,
)
from graphmeta.explore.posterior import Posterior
from graphmeta.explore.reliability import calibration_error, count_quantile, reliability
from graphmeta.explore.simulate import Simulated, simulate_sessions

__all__ = [
    "EXPLORING",
    "POLICIES",
    "UCB",
    "Belief",
    "Corrected",
    "EpsilonGreedy",
    "Explorer",
    "ExploringSession",
    "Greedy",
    "Policy",
    "Popularity",
    "Posterior",
    "Scales",
    "Simulated",
    "Thompson",
    "calibration_error",
    "count_quantile",
    "fit_scales",
    "reliability",
    "simulate_sessions",
]
