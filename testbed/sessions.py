"""Starts sessions, waits until they are Ready and ends them, as agentcube's workload manager or a Sandbox's user does.

One watch for all sessions, so that waiting for a thousand of them costs the API server no more than waiting for one.
The builders of :mod:`testbed.workloads` are importable from here too.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

from lastnode.contract import SANDBOX_HASH_LABEL, SANDBOX_KIND
from lastnode.kube.api import Api, load
from lastnode.kube.errors import NotFound
from lastnode.kube.queue import Backoff
from lastnode.kube.store import ObjectKey, Store
from lastnode.kube.watch import ListWatch
from testbed.agent import requests, wire
from testbed.agent.wire import SeenPod
from testbed.errors import LocalError
from testbed.sandboxes import operated
from testbed.workloads import Object, agent_runtime, code_interpreter, pod_template, sandbox_for

__all__ = ["Object", "Session", "SessionTimeout", "Sessions", "agent_runtime", "code_interpreter", "pod_template",
           "sandbox_for"]  # fmt: skip

_JOIN_SECONDS = 5.0
_LISTED_SECONDS = 30.0


class SessionTimeout(LocalError):
    """Sessions did not become what was waited for; the text says what each of them (the first ten) was instead."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session's pod as last seen.

    ``seconds``: from its Sandbox being asked for to its pod being seen Ready, on this process's clock; None before.
    ``bound_seconds``: the same to its pod being seen bound to a node.
    ``pulled_bytes``, ``model_seconds``: what its node pulled, and the model's own start-up time from being bound to
    Ready, independent of the time scale; None before it is Ready.
    """

    key: ObjectKey
    node: str
    uid: str
    phase: str
    ready: bool
    seconds: float | None = None
    bound_seconds: float | None = None
    pulled_bytes: int | None = None
    model_seconds: float | None = None
    trouble: str = ""


class Sessions:
    """A context manager around one watch of all pods of Sandboxes. Safe to use from several threads."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self.api = api
        self._clock = clock
        self._seen: dict[ObjectKey, Session] = {}
        self._asked_at: dict[ObjectKey, float] = {}
        self._changed = Condition()
        pods: Store[SeenPod] = Store()
        pods.subscribe(self._on_change)
        self._watch = ListWatch(
            api, "pods", wire.pod, pods, selectors={"labelSelector": SANDBOX_HASH_LABEL}, backoff=Backoff(0.2, 2.0)
        )
        self._thread = Thread(target=self._watch.run, name="sessions", daemon=True)

    @classmethod
    def connect(cls, kubeconfig: Path | str, connections: int = 16) -> Self:
        """:raises ConfigError: the kubeconfig cannot be used."""
        return cls(load(str(kubeconfig), "lastnode-local-sessions", connections))

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(lambda: self._watch.progress.synced, _LISTED_SECONDS, lambda: "the pods cannot be listed")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._watch.stop()
        self._thread.join(_JOIN_SECONDS)

    def create(self, obj: Mapping[str, Any]) -> Object:
        """Create any namespaced object (a workload, a Sandbox); returns it as the server stored it.

        :raises ApiError, Unreachable: as :meth:`lastnode.kube.api.Api.request`.
        """
        return self._decode("POST", _collection(obj), obj)

    def read(self, obj: Mapping[str, Any]) -> Object:
        """The object as it is now, found by apiVersion, kind, namespace and name. Raises like :meth:`create`."""
        return self._decode("GET", f"{_collection(obj)}/{obj['metadata']['name']}")

    def delete(self, obj: Mapping[str, Any]) -> None:
        """Delete an object; one that is gone already is as good. Raises like :meth:`create`."""
        with contextlib.suppress(NotFound):
            self.api.request("DELETE", f"{_collection(obj)}/{obj['metadata']['name']}")

    def start(self, sandbox: Mapping[str, Any]) -> ObjectKey:
        """Ask for a session; returns the key to wait for. Raises like :meth:`create`."""
        key = key_of(sandbox)
        self._asked_at[key] = self._clock()
        self.create(sandbox)
        return key

    def suspend(self, sandbox: Mapping[str, Any]) -> None:
        """Have a Sandbox's pod deleted, in the version that ``sandbox`` is written in. Raises like :meth:`create`."""
        self._change(sandbox, operated(sandbox["apiVersion"], running=False))

    def resume(self, sandbox: Mapping[str, Any]) -> ObjectKey:
        """Ask for a pod again; returns the key to wait for, once the former pod is gone. Raises like :meth:`create`."""
        key = key_of(sandbox)
        self._asked_at[key] = self._clock()
        self._change(sandbox, operated(sandbox["apiVersion"], running=True))
        return key

    def get(self, key: ObjectKey) -> Session | None:
        """The session's pod as last seen, None without one."""
        return self._seen.get(key)

    def wait_ready(self, keys: Iterable[ObjectKey], seconds: float = 30.0) -> dict[ObjectKey, Session]:
        """The sessions once all of them have been seen Ready (some may have ended since).

        :raises SessionTimeout: not within ``seconds``, or one of them failed before.
        """
        wanted = list(keys)

        def done() -> bool:
            states = (self._seen.get(key) for key in wanted)
            return all(state is not None and (state.seconds is not None or state.phase == "Failed") for state in states)

        self._wait(done, seconds, lambda: self._not(wanted, "Ready"))
        sessions = {key: self._seen[key] for key in wanted if key in self._seen}
        if any(session.seconds is None for session in sessions.values()):
            raise SessionTimeout(self._not(wanted, "Ready"))
        return sessions

    def wait_gone(self, keys: Iterable[ObjectKey], seconds: float = 30.0) -> None:
        """:raises SessionTimeout: some of the sessions still have pods after ``seconds``."""
        wanted = list(keys)

        def text() -> str:
            return f"still there: {', '.join(str(key) for key in wanted if key in self._seen)}"

        self._wait(lambda: not any(key in self._seen for key in wanted), seconds, text)

    def wait_until(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for anything that follows from :meth:`get`; asked again after each change of a session's pod.

        :raises SessionTimeout: with ``what`` as its text.
        """
        self._wait(done, seconds, lambda: what)

    def _wait(self, done: Callable[[], bool], seconds: float, text: Callable[[], str]) -> None:
        deadline = self._clock() + seconds
        with self._changed:
            while not done():
                left = deadline - self._clock()
                if left <= 0:
                    raise SessionTimeout(f"{text()}, after {seconds:g} s")
                self._changed.wait(min(left, 0.2))  # a list's end is no change of a pod

    def _on_change(self, before: SeenPod | None, after: SeenPod | None) -> None:
        with self._changed:
            if after is not None:
                self._seen[after.key] = self._updated(after)
            elif before is not None:
                self._seen.pop(before.key, None)
            self._changed.notify_all()

    def _updated(self, pod: SeenPod) -> Session:
        ready = pod.ready_at is not None
        why = next((c.get("message", "") for c in pod.kept if c.get("status") == "False"), "")
        session = Session(pod.key, pod.node, pod.uid, pod.phase, ready and not pod.deleting, trouble=why)
        before = self._seen.get(pod.key)
        before = before if before is not None and before.uid == pod.uid else None
        if pod.node:
            bound = before.bound_seconds if before else None
            session = replace(session, bound_seconds=self._since_asked(pod.key) if bound is None else bound)
        if before is not None and before.seconds is not None:
            return replace(
                session,
                seconds=before.seconds,
                pulled_bytes=before.pulled_bytes,
                model_seconds=before.model_seconds,
            )
        return self._timed(session, pod) if ready else session

    def _timed(self, session: Session, pod: SeenPod) -> Session:
        start_up = json.loads(pod.start_up or "{}")
        return replace(
            session,
            seconds=self._since_asked(session.key),
            pulled_bytes=start_up.get("pulledBytes"),
            model_seconds=start_up.get("startSeconds"),
        )

    def _since_asked(self, key: ObjectKey) -> float:
        now = self._clock()
        return now - self._asked_at.get(key, now)

    def _not(self, keys: Iterable[ObjectKey], what: str) -> str:
        late = [key for key in keys if (state := self._seen.get(key)) is None or state.seconds is None]
        said = "; ".join(f"{key}: {_words(self._seen.get(key))}" for key in late[:10])
        return f"{len(late)} sessions not {what} ({said})"

    def _change(self, obj: Mapping[str, Any], patch: Object) -> None:
        path = f"{_collection(obj)}/{obj['metadata']['name']}"
        self.api.request("PATCH", path, body=patch, content_type=requests.MERGE_PATCH)

    def _decode(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Object:
        answer: Object = json.loads(self.api.request(method, path, body=body))
        return answer


def key_of(obj: Mapping[str, Any]) -> ObjectKey:
    """Where an object is; a Sandbox's pod has its key."""
    return ObjectKey(obj["metadata"].get("namespace", "default"), obj["metadata"]["name"])


def _collection(obj: Mapping[str, Any]) -> str:
    """In the version that the object is written in; kinds of custom resources only, whose plurals are regular."""
    plural = "sandboxes" if obj["kind"] == SANDBOX_KIND else f"{obj['kind'].lower()}s"
    return f"/apis/{obj['apiVersion']}/namespaces/{obj['metadata'].get('namespace', 'default')}/{plural}"


def _words(session: Session | None) -> str:
    if session is None:
        return "no pod"
    return (
        f"{session.phase or 'Pending'} on {session.node or 'no node'}{': ' if session.trouble else ''}{session.trouble}"
    )
