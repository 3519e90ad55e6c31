"""What recorders remember of sessions: read from each replica, and joined."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from lastnode.kube import wire
from lastnode.kube.errors import ApiError, KubeError, NotFound, Refused, Unreachable
from lastnode.outcome import JOURNAL, Journal, SessionRecord
from lastnode.reasons import Reason

SESSIONS: Final = "/sessions"


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
        """From when on nothing is missing, as far as the found ones know: a start forgets what was counted before."""
        return max((journal.since for journal in self.found), default=None)

    @property
    def dropped(self) -> int:
        return sum(journal.dropped for journal in self.found)


def read_journals(recorders: Iterable[Replica], pod_uid: str = "") -> Journals:
    """All journals, or what they know of one pod."""
    found, trouble = [], []
    path = f"{SESSIONS}?pod_uid={pod_uid}" if pod_uid else SESSIONS
    for recorder in recorders:
        try:
            found.append(wire.decode(JOURNAL, recorder.get(path), "not a journal that this version reads"))
        except NotFound:
            trouble.append(f"recorder {recorder.title} has no {SESSIONS}: an older version, or its pod is gone")
        except (Unreachable, ApiError) as error:
            does = "refuses" if isinstance(error, Refused) else "does not answer"
            trouble.append(f"recorder {recorder.title} {does}: {error}")
        except KubeError as error:
            trouble.append(f"recorder {recorder.title} is not asked: {error}")
    return Journals(tuple(found), tuple(trouble))


def join(journals: Sequence[Journal]) -> list[SessionRecord]:
    """Every session once, by the time when it became Ready; where two replicas counted one, whoever knows more."""
    known: dict[str, SessionRecord] = {}
    everything = [record for journal in journals for record in journal.sessions]
    for record in sorted(everything, key=lambda r: (r.reason is not Reason.UNKNOWN, bool(r.asked)), reverse=True):
        known.setdefault(record.pod_uid, record)
    return sorted(known.values(), key=lambda r: (r.ready_at.timestamp() if r.ready_at else 0.0, r.namespace, r.pod))
