"""Which workload a session is of, as far as it can be known now, and also once its controller is gone."""

from collections.abc import Callable
from typing import Final

from cachetools import TTLCache

from lastnode.attribution import Attribution, Verdict, attribute
from lastnode.kube.store import ObjectKey
from lastnode.objects import Linked, Session
from lastnode.view import View

# What a Sandbox said of its workload outlives it: pods are watched on another connection, which may be minutes behind
# (250 bytes each).
GONE_SECONDS: Final = 600.0
MOST_GONE: Final = 20_000


class Attributing:
    """Not thread-safe. ``known``: whether every resource was listed once. ``clock``: seconds that pass."""

    def __init__(self, view: View, known: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._view = view
        self._known = known
        self._gone: TTLCache[str, Linked] = TTLCache(MOST_GONE, GONE_SECONDS, timer=clock)  # by UID

    def gone(self, controller: Linked) -> None:
        """It was removed, or replaced by another of its name."""
        self._gone[controller.uid] = controller

    def of(self, session: Session) -> Attribution:
        complete = self._known()
        found = attribute(session, self._view.seen, complete=complete)
        gone = self._gone.get(session.controller_uid or "")
        if found.verdict is not Verdict.CONTROLLER_UNKNOWN or gone is None:
            return found
        seen = self._view.seen._replace(controller=lambda _resource, _key: gone)
        return attribute(session, seen, complete=complete)

    def controller_of(self, session: Session) -> Linked | None:
        """What controls its pod and leads on, where that is seen, or was until lately."""
        key = ObjectKey(session.namespace, session.controller or "")
        seen = (self._view.seen.controller(way.through, key) for way in session.ways if way.through)
        found = next((each for each in seen if each is not None and each.uid == session.controller_uid), None)
        return found or self._gone.get(session.controller_uid or "")

    def again(self, session: Session, found: Attribution) -> Attribution:
        """Attributed once: afterwards the same workload as it is now, unless it is gone or does not opt in any more."""
        known = found.workload
        present = self._view.workload(known.workload_key) if known else None
        if known is None or present is None or present.uid != known.uid or not present.sticky:
            return self.of(session)
        return found._replace(workload=present)
