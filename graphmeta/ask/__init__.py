"""What to ask a new user next, so that few questions tell much."""

from graphmeta.ask.adaptive import AdaptiveQuestions
from graphmeta.ask.decision_tree import DecisionTreeQuestions
from graphmeta.ask.interview import QUESTIONS, Interview
from graphmeta.ask.questions import Answers, Questions
from graphmeta.ask.simulate import simulate_interviews
from graphmeta.ask.static import (
    EntropyQuestions,
    GreedyQuestions,
    PopularityEntropyQuestions,
    PopularityQuestions,
    RandomQuestions,
)

__all__ = [
    "QUESTIONS",
    "AdaptiveQuestions",
    "Answers",
    "DecisionTreeQuestions",
    "EntropyQuestions",
    "GreedyQuestions",
    "Interview",
    "PopularityEntropyQuestions",
    "PopularityQuestions",
    "Questions",
    "RandomQuestions",
    "simulate_interviews",
]
