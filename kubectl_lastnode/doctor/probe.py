"""What a running program says of itself: readiness and metrics, by replica."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from kubectl_lastnode.doctor.finding import Finding, fail, ok
from kubectl_lastnode.replicas import Program
from lastnode.kube.errors import ApiError, KubeError

_NOT_READY: Final = 503


class Probe(NamedTuple):
    """``unreachable``, ``unready``: why, empty where it is not so. ``samples``: (name, labels, value)."""

    title: str
    unreachable: str = ""
    unready: str = ""
    samples: tuple[tuple[str, dict[str, str], float], ...] = ()

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 without any."""
        fitting = (value for n, has, value in self.samples if n == name and labels.items() <= has.items())
        return sum(fitting)

    def by(self, name: str, label: str) -> dict[str, float]:
        """A metric's values by one label, those of 0 left out."""
        return {has[label]: value for n, has, value in self.samples if n == name and label in has and value}

    @property
    def version(self) -> str:
        return next((has.get("version", "") for n, has, _ in self.samples if n == "lastnode_build_info"), "")


def probe(program: Program) -> Probe:
    """Asks once for /readyz and /metrics; never raises."""
    try:
        unready = _readiness(program)
        return Probe(program.title, unready=unready, samples=samples(program.get("/metrics").decode(errors="replace")))
    except (KubeError, ValueError) as error:
        return Probe(program.title, unreachable=str(error) or type(error).__name__)


def samples(text: str) -> tuple[tuple[str, dict[str, str], float], ...]:
    """A page of metrics. :raises ValueError: it is none."""
    families = text_string_to_metric_families(text)
    return tuple((sample.name, dict(sample.labels), sample.value) for family in families for sample in family.samples)


def total(probes: Iterable[Probe], name: str, **labels: str) -> float:
    """Over all replicas."""
    return sum(each.total(name, **labels) for each in probes)


def by(probes: Iterable[Probe], name: str, label: str) -> dict[str, float]:
    """Over all replicas."""
    sums: dict[str, float] = {}
    for each in probes:
        for value, number in each.by(name, label).items():
            sums[value] = sums.get(value, 0.0) + number
    return sums


def reached(what: str, probes: Iterable[Probe]) -> Iterator[Finding]:
    """Whether each replica of ``what`` (recorder, extender) answers and is ready."""
    for each in probes:
        if each.unreachable:
            remedy = f"Look at its pod; if only you cannot reach it, port-forward and use --{what}-url."
            yield fail(what, f"{each.title} does not answer: {each.unreachable}", remedy)
        elif each.unready:
            yield fail(what, f"{each.title} is not ready: {each.unready}", "Look at its log and its account.")
        else:
            yield ok(what, f"{each.title} is ready")


def _readiness(program: Program) -> str:
    try:
        program.get("/readyz?verbose")
        return ""
    except ApiError as error:
        if error.status != _NOT_READY:
            raise
        return error.reason
