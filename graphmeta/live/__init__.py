"""Comparing rankings on users who are there: from logs, interleaved, or in two arms."""

from graphmeta.live.ab_design import ABDesign
from graphmeta.live.arm_difference import ArmDifference, compare_arms
from graphmeta.live.assignment import Assignment
from graphmeta.live.interleaving import Interleaved, team_draft
from graphmeta.live.off_policy import OffPolicyEstimate, estimate_off_policy
from graphmeta.live.overlap import Overlap
from graphmeta.live.policies import Policy
from graphmeta.live.preference import Preference, compare_interleaved
from graphmeta.live.sequential_test import Look, SequentialTest
from graphmeta.live.softmax_policy import Slates, SoftmaxPolicy
from graphmeta.live.top_policy import TopPolicy

__all__ = [
    "ABDesign",
    "ArmDifference",
    "Assignment",
    "Interleaved",
    "Look",
    "OffPolicyEstimate",
    "Overlap",
    "Policy",
    "Preference",
    "SequentialTest",
    "Slates",
    "SoftmaxPolicy",
    "TopPolicy",
    "compare_arms",
    "compare_interleaved",
    "estimate_off_policy",
    "team_draft",
]
