"""A session's life, in one place: seen, bound, Ready, written, counted.

Events of different resources arrive in any order: a pod may be Ready before its controller, its workload or its node
has been seen. Such a session waits, under the name of what it waits for, and goes on when that comes. What was
remembered is looked up when its pod is bound, because its own placement changes the memory later.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Final

import msgspec
from cachetools import TTLCache

from lastnode.attribution import Attribution, Awaited, Verdict
from lastnode.kube.store import ObjectKey
from lastnode.kube.unforeseen import Unforeseen
from lastnode.memory import Memory
from lastnode.objects import Linked, Node, Session, Workload, WorkloadKey
from lastnode.outcome import NOTHING_EXPECTED, Expected, expect
from lastnode.view import View
from recorder.attributing import Attributing
from recorder.awaiting import Awaiting
from recorder.life import (
    Life,
    Pending,
    awaited_by,
    dated,
    had_sessions,
    has_crashed,
    is_of_interest,
    is_ready,
    is_written,
    matters,
    news,
    placement,
    said,
)

# Of one workload. Only a standby comes near it: what the leader may not write stays pending here for ever.
MOST_DUE: Final = 1000
# Workloads whose latest placement was not worth a write; where more come back within minutes, one that crashes may
# leave its node in the memory.
MOST_UNSAID: Final = 10_000

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Sessions:
    """Follows the view's stores. ``schedule``: called whenever a workload has something pending. ``verdict``: told each
    Ready session's verdict, and again when that changes. ``inquire``: given each session that is bound elsewhere than
    it should be, at once. ``count``: given each session, once, when its placement is written and its outcome certain.

    ``recall``: what is written on a workload. ``ttl``: seconds that it counts. ``known``: whether every resource was
    listed once. ``early_crash``: a session that fails so many seconds after it became Ready, or sooner, takes its
    placement back; 0: none does. ``redate``: seconds that a memory's dates may be behind, see :func:`life.decide`.
    ``now``: the time of day.
    """

    view: View
    schedule: Callable[[WorkloadKey], None]
    _: KW_ONLY
    recall: Callable[[Workload], Memory]
    ttl: float
    known: Callable[[], bool]
    early_crash: float = 0.0
    redate: float = 0.0
    verdict: Callable[[Verdict], None] = lambda _: None
    inquire: Callable[[Life], None] = lambda _: None
    count: Callable[[Life], None] = lambda _: None
    unforeseen: Unforeseen = Unforeseen()  # noqa: RUF009 (it only logs)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._early_crash, self._redate = timedelta(seconds=self.early_crash), timedelta(seconds=self.redate)
        self._lives: dict[str, Life] = {}  # pod UID -> a session that is not Ready yet, or waits for something
        self._waiting = Awaiting()
        self._pending: dict[WorkloadKey, Pending] = {}
        # What a memory that stayed as it was does not tell: a crash of that session, or an older one, has to know it.
        self._unsaid: TTLCache[WorkloadKey, Pending] = TTLCache(
            MOST_UNSAID, self.redate + self.early_crash, timer=self.clock
        )
        self._due: dict[WorkloadKey, deque[Life]] = {}  # Ready, and not written yet
        self._attributing = Attributing(self.view, self.known, self.clock)
        self._since: datetime | None = None  # when everything was listed, and who waited for that was looked at
        self._lock = Lock()

    def follow(self) -> None:
        """Subscribe to the view; call it before the watches start."""
        self.view.sessions.inherit(self._inherit)
        self.view.sessions.subscribe(self._on_session)
        for store in self.view.controllers.values():
            store.subscribe(self._on_controller)
        for store in self.view.workloads.values():
            store.subscribe(self._on_workload)
        self.view.nodes.subscribe(partial(self._on_awaited, "nodes"))
        for resource in {*self.view.controllers, *self.view.workloads}:
            self.view.store(resource).subscribe(partial(self._on_awaited, resource))

    def listed(self) -> None:
        """A resource was listed. Once all are, what is not there keeps no session from a later row's workload."""
        if self._since is not None or not self.known():
            return
        with self._lock:
            self._since = self.now()
            ready = self._go_on(self._waiting.everybody())
        self.schedule_all(ready)

    def pending(self, key: WorkloadKey) -> Pending | None:
        """What is not written on this workload yet."""
        with self._lock:
            return self._pending.get(key)

    def unwritten(self) -> list[WorkloadKey]:
        """The workloads with something pending."""
        with self._lock:
            return list(self._pending)

    def schedule_all(self, keys: Iterable[WorkloadKey] | None = None) -> None:
        """Have these workloads looked at; by default all with something pending."""
        for key in self.unwritten() if keys is None else keys:
            self.schedule(key)

    def settle(self, key: WorkloadKey, written: Pending, *, ours: bool, said: bool = True) -> bool:
        """``written`` needs no more work, and its sessions are counted where that is this replica's part (``ours``).
        ``said``: the workload has all of it. False when something newer came meanwhile, which stays pending."""
        with self._lock:
            if self._pending.get(key) == written:
                del self._pending[key]
                if not said:
                    self._unsaid[key] = written
            if key in self._pending:
                return False
            due = self._due.pop(key, ())
        for life in due if ours else ():
            self.count(life)
        return True

    def give_up(self, key: WorkloadKey) -> None:
        """The workload cannot be written just now; what its sessions came to is known all the same."""
        with self._lock:
            due = self._due.pop(key, ())
        for life in due:
            self.count(life)

    def __len__(self) -> int:
        """Workloads with something pending."""
        return len(self._pending)

    @property
    def uncounted(self) -> int:
        """Sessions that will be counted and are not yet."""
        with self._lock:
            return sum(life.counts for life in self._lives.values()) + sum(map(len, self._due.values()))

    def _inherit(self, before: Session | None, after: Session) -> Session:
        """The whole of a pod is needed at its binding, by who knows all nodes; thousands of them are not kept."""
        if after.whole and ((before is not None and before.uid == after.uid) or not self.known()):
            after = msgspec.structs.replace(after, whole=b"")
        return dated(before, after, self._early_crash, self.now())

    def _on_session(self, before: Session | None, after: Session | None) -> None:
        # Of a pool's pods, say, nobody asks for more than that they are none.
        before, after = (one if one is not None and one.ways else None for one in (before, after))
        with self._lock:
            if before is not None and (after is None or after.uid != before.uid):
                self._forget(before.uid)
                before = None
            if after is not None and before is not None and before.over:
                # For good: what a kubelet says later of a pod that is being deleted, or has ended, is no new Ready.
                after = msgspec.structs.replace(after, over=True, ready_at=None)
            if after is None or (before is not None and said(before) == said(after)):
                return
            ready = self._followed(after, new=before is None)
        self.schedule_all(ready)

    def _on_controller(self, before: Linked | None, after: Linked | None) -> None:
        if before is not None and (after is None or after.uid != before.uid):
            with self._lock:
                self._attributing.gone(before)

    def _on_workload(self, before: Workload | None, after: Workload | None) -> None:
        # Another replica may have written it, which is for the writer to find out.
        changed = before or after
        if changed is None:
            return
        with self._lock:
            if before is None or after is None or before.packed_nodes != after.packed_nodes:
                self._unsaid.pop(changed.workload_key, None)  # it went beside what is there no more, or was forgotten
            pending = changed.workload_key in self._pending
        if pending:
            self.schedule(changed.workload_key)

    def _on_awaited(self, resource: str, before: Linked | Node | None, after: Linked | Node | None) -> None:
        # Also when one is removed: that may end an ambiguity, and what is pending for it has become pointless. Of one
        # that has not opted in thousands may wait, and its status may change many times a second.
        changed = after or before
        if changed is None or matters(before) == matters(after):
            return
        with self._lock:
            ready = self._go_on(self._waiting.of(Awaited(resource, changed.namespace, changed.name)))
        self.schedule_all(ready)

    # From here on everything runs under the lock, the look at the view included: what is missing may arrive at this
    # very moment, and its thread then finds the session waiting.

    def _go_on(self, waiting: Iterable[Life]) -> list[WorkloadKey]:
        return [key for life in waiting if (key := self._again(life))]

    def _again(self, life: Life) -> WorkloadKey | None:
        try:
            return self._advance(life, self._attributing.again(life.session, life.found))
        except Exception as error:  # the others that wait for the same go on
            self.unforeseen("sessions", error)
            return None

    def _followed(self, session: Session, *, new: bool) -> list[WorkloadKey]:
        """A session is new or has changed; what has become pending by it."""
        life = self._lives.get(session.uid)
        if life is None:
            life = self._begin(session, new=new)
            found = life.found
        else:
            life.session = session
            found = self._attributing.again(session, life.found)
        life.timed(session, self.clock())
        if session.over and not has_crashed(session, self._early_crash):
            self._forget(session.uid)
            return []
        if is_ready(session) or has_crashed(session, self._early_crash):
            key = self._advance(life, found)
            return [key] if key else []
        self._wait_for(life)
        if not life.counts:
            self._forget(session.uid)
        return []

    def _begin(self, session: Session, *, new: bool) -> Life:
        found = self._attributing.of(session)
        # While a recorder starts, half of the nodes would pass for all, and an older entry step in for one not listed.
        late = session.ready_at is not None or not self.known()
        life = Life(session, found, late=late, counts=new and not session.over and is_of_interest(found))
        if life.counts and not late and found.workload is not None:
            life.expected = self._expect(found.workload, self.recall(found.workload))
        self._lives[session.uid] = life
        if life.strayed_from is not None:
            self.inquire(life)
        return life

    def _advance(self, life: Life, found: Attribution) -> WorkloadKey | None:
        """A session that is Ready, or has crashed: its news become pending, or it waits for what is missing."""
        life.found, session = found, life.session
        node = self.view.nodes.get(ObjectKey("", session.node or ""))
        if is_ready(session) and life.told is not found.verdict:
            self._tell(life, found.verdict)
        awaits = awaited_by(session, found, node)
        self._wait_for(life, awaits)
        if awaits:
            return None
        if is_ready(session) or not life.counts:
            self._lives.pop(session.uid, None)
        if found.workload is None:
            return None
        self._add_news(life, found.workload, node)
        return found.workload.workload_key

    def _add_news(self, life: Life, workload: Workload, node: Node | None) -> None:
        key, uid, session = workload.workload_key, workload.uid, life.session
        unsaid = self._unsaid.pop(key, Pending(uid))
        controller = self._attributing.controller_of(session)
        pressing = is_ready(session) and had_sessions(controller, self.recall(workload), unsaid.memory)
        if node is not None and is_ready(session) and life.counts:
            self._is_due(life, workload, node, timedelta(0) if pressing or self._is_new(session) else self._redate)
        known = unsaid.plus(self._pending.get(key, Pending(uid)))
        self._pending[key] = known.plus(news(uid, session, node, self._early_crash)._replace(pressing=pressing))

    def _is_new(self, session: Session) -> bool:
        """Whether it became Ready after everything was listed: also where a watch brought that late, as after the API
        server's restart, nobody has counted it before."""
        return bool(self._since and session.first_ready_at and session.first_ready_at > self._since)

    def _is_due(self, life: Life, workload: Workload, node: Node, redate: timedelta) -> None:
        """It is to be counted once it is written, unless somebody has done both before this replica saw it."""
        life.counts, life.node, memory = False, node, self.recall(workload)
        if life.late and is_written(memory, placement(life.session, node), self.now(), redate):
            return
        if life.expected is None:
            others = tuple(entry for entry in memory if entry.pod_uid != life.session.uid)
            life.expected = self._expect(workload, others, life.session.created_at if life.late else None)
        self._due.setdefault(workload.workload_key, deque(maxlen=MOST_DUE)).append(life)

    def _expect(self, workload: Workload, memory: Memory, at: datetime | None = None) -> Expected:
        relatives = () if memory else self.view.groups.newest(workload)
        if not memory and not relatives:
            return NOTHING_EXPECTED
        nodes = self.view.nodes_by_name if self.known() else None
        return expect(memory, now=at or self.now(), ttl=self.ttl, nodes=nodes, relatives=relatives)

    def _wait_for(self, life: Life, awaits: tuple[Awaited, ...] = ()) -> None:
        if awaits and self.view.sessions.get(life.session.key) is None:
            awaits = ()  # deleted meanwhile: no event would ever take it out again
            self._lives.pop(life.session.uid, None)
        self._waiting.put(life, awaits)

    def _forget(self, uid: str) -> None:
        life = self._lives.pop(uid, None)
        if life is not None:
            self._wait_for(life)

    def _tell(self, life: Life, verdict: Verdict) -> None:
        life.told = verdict
        self.verdict(verdict)
        if verdict is Verdict.AMBIGUOUS:
            session = life.session
            log.warning(
                "not recorded: workloads of two kinds have the name that it gives, and opted in; the label %s tells "
                "them apart",
                " or ".join(way.kind_by for way in session.ways if way.kind_by),
                extra={"namespace": session.namespace, "pod": session.name, "reason": str(verdict)},
            )  # fmt: skip
