"""What is counted on the recorder's side. The only module here that imports prometheus_client.

Label values come from closed sets and configured resource names; never a workload, a pod or a session.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from lastnode.attribution import Verdict
from lastnode.daemon.metrics import tally
from lastnode.kube.store import Store
from lastnode.objects import Workload
from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import MOVED, Meant
from recorder.life import Write
from recorder.why.extenders import Found
from recorder.why.inquiry import Look

# From a pod's Ready to the annotation: ready times have whole seconds, so up to 1 s of it is only their rounding.
_LAG_BUCKETS = (1, 2, 5, 30, 300)
# From a container that is there already to an image of tens of gigabytes.
_STARTUP_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300)


class Told(Meant):
    """What became of an Event."""

    CREATED = "created", "the Event was created"
    SUPPRESSED = "suppressed", "too many Events of this workload, or altogether"
    REFUSED = "refused", "no right to create Events, or the namespace is gone"
    FAILED = "failed", "the API server did not answer"


class Nomination(Meant):
    """What became of one."""

    NOMINATED = "nominated", "kube-scheduler tries the session's node first"
    OVERTAKEN = "overtaken", "the pod was placed, changed or deleted first, and was left alone"
    REFUSED = "refused", "no right to patch pods/status, or a policy forbids it"
    FAILED = "failed", "the API server did not do it; tried again while the pod waits"


class RecordMetrics:
    """Counts of the recorder's own work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.write = tally(
            registry, "lastnode_record_writes", "Decisions on a workload's annotations by result.", "result", Write
        )
        self.verdict = tally(
            registry, "lastnode_attributions", "Ready sessions by how they were attributed.", "verdict", Verdict
        )
        self.nomination = tally(
            registry, "lastnode_nominations", "Waiting sessions that were to be tried on their node first.", "result",
            Nomination,
        )  # fmt: skip
        lag = Histogram(
            "lastnode_record_lag_seconds", "From a session's Ready condition to the written annotation.",
            buckets=_LAG_BUCKETS, registry=registry,
        )  # fmt: skip
        self.lag: Callable[[float], None] = lag.observe
        self._registry = registry

    def follow(self, pending: Callable[[], float], leading: Callable[[], float]) -> None:
        """Gauges read at each scrape: workloads with something not written yet, and whether this replica writes."""
        leader = Gauge("lastnode_leader", "1 while this replica may write.", registry=self._registry)
        leader.set_function(leading)
        about = "Workloads with a placement that is not written yet."
        Gauge("lastnode_record_pending_workloads", about, registry=self._registry).set_function(pending)

    def follow_schedulers(self, silences: Mapping[str, Callable[[], float]]) -> None:
        """Another one: by scheduler, how long it left a pod unlooked at."""
        about = "How long the oldest pod that names this scheduler waits for it to look; 0 without one."
        gauge = Gauge("lastnode_scheduler_silence_seconds", about, ["scheduler"], registry=self._registry)
        for scheduler, seconds in silences.items():
            gauge.labels(scheduler).set_function(seconds)


class SessionMetrics:
    """What became of sessions. ``namespaces``: how many may have a label value of their own; 0: no such label."""

    def __init__(self, registry: CollectorRegistry, namespaces: int = 0) -> None:
        self._namespaces = _Limited(namespaces) if namespaces else None
        self._kinds: set[str] = set()
        labels = ["kind", "outcome", "reason"] + (["workload_namespace"] if namespaces else [])
        self._sessions = Counter(
            "lastnode_sessions", "Sessions that became Ready, by what became of them.", labels, registry=registry
        )
        self._startup = Histogram(
            "lastnode_session_startup_seconds",
            "From a session pod's creation to Ready: in whole seconds until it is bound, then as the recorder saw it.",
            ["kind", "outcome"],
            buckets=_STARTUP_BUCKETS,
            registry=registry,
        )
        self._phases = Summary(
            "lastnode_session_phase_seconds",
            "The same in parts: until it was scheduled, and from then until it was Ready.",
            ["outcome", "phase"],
            registry=registry,
        )
        self.event = tally(
            registry, "lastnode_session_events", "Events about sessions that moved, by result.", "result", Told
        )
        about = "Questions to the extender about sessions that moved."
        self.inquiry = tally(registry, "lastnode_extender_inquiries", about, "result", Found)
        about = "Looks at nodes that sessions missed, by where they came from."
        self.look = tally(registry, "lastnode_node_inquiries", about, "result", Look)

    def kind(self, kind: str) -> None:
        """A workload of this kind opted in: its counters begin at 0, so that no increase misses their first case."""
        if kind in self._kinds:
            return
        self._kinds.add(kind)
        for outcome in Outcome:
            self._startup.labels(kind, outcome)
            for reason in MOVED if outcome is Outcome.MOVED else ("",):
                if self._namespaces is None:
                    self._sessions.labels(kind, outcome, reason)

    def follow(self, workloads: Iterable[Store[Workload]]) -> None:
        """Have the counters of each kind there from the first workload on that opts in."""
        for store in workloads:
            store.subscribe(lambda _, after: self.kind(after.kind) if after and after.sticky else None)

    def session(self, record: SessionRecord) -> None:
        labels = [record.kind, record.outcome, record.reason or ""]
        if self._namespaces is not None:
            labels.append(self._namespaces.of(record.namespace))
        self._sessions.labels(*labels).inc()
        if record.startup_seconds is not None:
            self._startup.labels(record.kind, record.outcome).observe(record.startup_seconds)
        for phase, seconds in record.phases.items():
            self._phases.labels(record.outcome, phase).observe(seconds)


class _Limited:
    """The first ``limit`` values keep their names, any other is ``_other``, which no namespace can be called."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= self._limit:
                return "_other"
            self._known.add(value)
        return value
