"""What is counted on the extender's side. The only module here that imports prometheus_client."""

from collections.abc import Callable
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, Summary

from extender.waiting import Ending
from lastnode.daemon.metrics import tally
from lastnode.reasons import MUTATE, PRIORITIZE

# From a quarter of a millisecond to far beyond any sensible httpTimeout.
_SECONDS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_NODES: Final = (1, 2, 5, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class RequestMetrics:
    """Counts for one verb: its requests by what came of them, and how long each took."""

    def __init__(self, count: Callable[[str], None], seconds: Histogram) -> None:
        self._count = count
        self._seconds = seconds

    def request(self, result: str, seconds: float) -> None:
        self._count(result)
        self._seconds.observe(seconds)


class PrioritizeMetrics(RequestMetrics):
    """Counts for POST /prioritize."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Prioritize requests by what came of them."
        count = tally(registry, "lastnode_prioritize", about, "result", PRIORITIZE)
        super().__init__(count, _answering("lastnode_prioritize", "prioritize", registry))
        self._offered = Histogram(
            "lastnode_prioritize_offered_nodes",
            "Nodes that the scheduler offered for a session's pod.",
            buckets=_NODES,
            registry=registry,
        )

    def offered(self, nodes: int) -> None:
        self._offered.observe(nodes)


class InjectionMetrics(RequestMetrics):
    """Counts for POST /mutate."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Pods that the webhook was asked about, by what came of it."
        count = tally(registry, "lastnode_injections", about, "result", MUTATE)
        super().__init__(count, _answering("lastnode_injection", "mutate", registry))


def _answering(name: str, verb: str, registry: CollectorRegistry) -> Histogram:
    about = f"Time to answer a {verb} request, measured inside the program."
    return Histogram(f"{name}_duration_seconds", about, buckets=_SECONDS, registry=registry)


class WaitMetrics:
    """Counts for requests that had to wait for a controller, by verb."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # No buckets: no wait is long (CONTROLLER_SECONDS), and how many there are and how they end is what matters.
        self._seconds = Summary(
            "lastnode_controller_wait_seconds",
            "Waits for a controller that the watch had not brought yet, by who asked and how they ended.",
            ["verb", "result"],
            registry=registry,
        )

    def of(self, verb: str) -> Callable[[Ending, float], None]:
        """For :class:`extender.waiting.Patience`."""
        endings = {ending: self._seconds.labels(verb, ending) for ending in Ending}
        return lambda ending, seconds: endings[ending].observe(seconds)


class TlsMetrics:
    """Counts for the certificate and for clients that were turned away."""

    def __init__(self, registry: CollectorRegistry) -> None:
        expiry = Gauge(
            "lastnode_certificate_expiry_timestamp_seconds",
            "When the certificate that new connections get stops being valid (Unix time).",
            registry=registry,
        )
        self.expires: Callable[[float], None] = expiry.set
        about = "Times that the certificate's files had changed, by whether the new ones could be used."
        self.reloaded = tally(registry, "lastnode_certificate_reloads", about, "result", ("loaded", "failed"))
        about = "Clients turned away before their request was read."
        refused = tally(registry, "lastnode_clients_refused", about, "reason", ("handshake", "no_certificate"))
        self.handshake_failed = partial(refused, "handshake")
        self.no_certificate = partial(refused, "no_certificate")
