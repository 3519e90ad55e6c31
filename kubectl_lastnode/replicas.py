"""Running recorders and extenders, and how to ask them: at a URL, or through the API server's proxy of their pods; and
the recorders' journals, joined by the pod's UID."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from kubectl_lastnode.cluster import Cluster
from lastnode.kube.errors import KubeError, NotFound
from lastnode.kube.fetch import fetch
from lastnode.kube.wire import decode
from lastnode.outcome import JOURNAL, Journal, SessionRecord
from lastnode.reasons import Reason

RECORDER: Final = "recorder"
EXTENDER: Final = "extender"
# As deploy/chart labels all pods of ours. The container is called after its program: an extender also runs in the
# second scheduler's pods.
SELECTOR: Final = {"labelSelector": "app.kubernetes.io/part-of=lastnode"}
_SECONDS: Final = 5.0
_SESSIONS: Final = "/sessions"


class Replica(NamedTuple):
    """``title``: for people. ``get``: the body of a GET of a path, raises ApiError, Unreachable."""

    title: str
    get: Callable[[str], bytes]


class Journals(NamedTuple):
    """``found``: one a replica. ``trouble``: a line for each replica that could not be read."""

    found: tuple[Journal, ...] = ()
    trouble: tuple[str, ...] = ()

    @property
    def sessions(self) -> list[SessionRecord]:
        return join(self.found)

    @property
    def since(self) -> datetime | None:
        """How far back the oldest of them goes."""
        return min((journal.since for journal in self.found), default=None)

    @property
    def complete_since(self) -> datetime | None:
        """From when on nothing is missing: what a replica counted before it was started anew is forgotten.

        Only where no replica is missing and none dropped anything; else as far as the found ones know.
        """
        return max((journal.since for journal in self.found), default=None)

    @property
    def dropped(self) -> int:
        return sum(journal.dropped for journal in self.found)


def find(cluster: Cluster, program: str, urls: str = "", ca: str | None = None) -> list[Replica]:
    """Those at the URLs (by commas; ``ca``: PEM file for https, else the system's), or those that run as pods anywhere.

    :raises ApiError, Unreachable: the pods cannot be listed.
    """
    if urls:
        return [_by_url(url, ca) for url in map(str.strip, urls.split(",")) if url]
    return [
        _by_proxy(cluster, pod, container)
        for pod in cluster.objects("/api/v1/pods", SELECTOR)
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        for container in pod["spec"]["containers"]
        if container["name"] == program
    ]


def read_journals(recorders: Iterable[Replica], pod_uid: str = "") -> Journals:
    """All journals, or what they know of one pod."""
    found, trouble = [], []
    path = f"{_SESSIONS}?pod_uid={pod_uid}" if pod_uid else _SESSIONS
    for recorder in recorders:
        try:
            found.append(decode(JOURNAL, recorder.get(path), "not a journal that this version reads"))
        except NotFound:
            trouble.append(f"recorder {recorder.title} has no {_SESSIONS}: an older version, or its pod is gone")
        except KubeError as error:
            trouble.append(f"recorder {recorder.title} does not answer: {error}")
    return Journals(tuple(found), tuple(trouble))


def join(journals: Sequence[Journal]) -> list[SessionRecord]:
    """Every session once, by the time when it became Ready; where two replicas counted one, whoever knows more."""
    known: dict[str, SessionRecord] = {}
    for record in (record for journal in journals for record in journal.sessions):
        before = known.get(record.pod_uid)
        if before is None or _knowledge(record) > _knowledge(before):
            known[record.pod_uid] = record
    return sorted(known.values(), key=lambda r: (r.ready_at.timestamp() if r.ready_at else 0.0, r.namespace, r.pod))


def _by_url(url: str, ca: str | None) -> Replica:
    return Replica(url, lambda path: fetch(url.rstrip("/") + path, seconds=_SECONDS, ca=ca))


def _by_proxy(cluster: Cluster, pod: Any, container: Any) -> Replica:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    port = next(iter(container.get("ports") or [{}]))
    scheme = "https:" if port.get("name") == "https" else ""
    base = f"/api/v1/namespaces/{namespace}/pods/{scheme}{name}:{port.get('containerPort', 80)}/proxy"
    return Replica(f"{namespace}/{name}", lambda path: cluster.api.request("GET", base + path, seconds=_SECONDS))


def _knowledge(record: SessionRecord) -> tuple[bool, bool]:
    return record.reason is not Reason.UNKNOWN, bool(record.asked)
