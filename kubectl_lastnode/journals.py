"""The recorders' journals: read from every replica, joined by the pod's UID. Reading is the edge; the rest is pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from kubectl_lastnode.replicas import Program
from lastnode.kube.errors import KubeError, NotFound
from lastnode.kube.wire import decode
from lastnode.outcome import JOURNAL, Journal, Reason, SessionRecord

SESSIONS_PATH: Final = "/sessions"


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


def read(replicas: Iterable[Program], pod_uid: str = "") -> Journals:
    """All journals, or what they know of one pod."""
    found, trouble = [], []
    path = f"{SESSIONS_PATH}?pod_uid={pod_uid}" if pod_uid else SESSIONS_PATH
    for replica in replicas:
        try:
            found.append(decode(JOURNAL, replica.get(path), "not a journal that this version reads"))
        except NotFound:
            trouble.append(f"recorder {replica.title} has no {SESSIONS_PATH}: an older version, or its pod is gone")
        except KubeError as error:
            trouble.append(f"recorder {replica.title} does not answer: {error}")
    return Journals(tuple(found), tuple(trouble))


def join(journals: Sequence[Journal]) -> list[SessionRecord]:
    """Every session once, by the time when it became Ready; where two replicas counted one, whoever knows more."""
    known: dict[str, SessionRecord] = {}
    for record in (record for journal in journals for record in journal.sessions):
        before = known.get(record.pod_uid)
        if before is None or _knowledge(record) > _knowledge(before):
            known[record.pod_uid] = record
    return sorted(known.values(), key=lambda record: (_stamp(record.ready_at), record.namespace, record.pod))


def _knowledge(record: SessionRecord) -> tuple[bool, bool]:
    return record.reason is not Reason.UNKNOWN, bool(record.asked)


def _stamp(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
