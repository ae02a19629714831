"""What Prometheus is told. No label holds anything of a user."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counts of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "graphmeta_requests",
            "Answered requests",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "graphmeta_request_seconds",
            "Time until the answer",
            ["method", "route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.batch_size = Histogram(
            "graphmeta_batch_size",
            "Users ranked together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self._registry,
        )
        self.ranked = Counter(
            "graphmeta_ranked_users", "Ranked users", ["source"], registry=self._registry
        )
        self.lost_states = Counter(
            "graphmeta_lost_states",
            "States that could not be kept; the user is adapted again",
            registry=self._registry,
        )
        self._waiting = Gauge(
            "graphmeta_waiting_requests", "Requests in the queue", registry=self._registry
        )

    def watch_queue(self, n_waiting: Callable[[], int]) -> None:
        """Read the length of the queue from a function."""
        self._waiting.set_function(n_waiting)

    def text(self) -> bytes:
        """Return all counts in Prometheus' text format."""
        return generate_latest(self._registry)
