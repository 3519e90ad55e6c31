"""A cluster with its programs, and the workloads on it: sessions that begin, are counted and end."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lastnode import contract
from lastnode.daemon.settings import configured
from lastnode.kinds import Kind
from lastnode.outcome import Outcome, SessionRecord
from testbed.errors import ApiError
from testbed.sandboxes import operated
from testbed.stack import Stack, is_ready
from testbed.workloads import Object
from tests.agent.conftest import FLAGS
from tests.extender.cluster import Wire, collection, make_nodes, path_of, start_scheduler
from tests.kinds.rows import SANDBOX, Row, config
from tests.outcomes.scene import decisions
from tests.recorder.httpproxy import HttpProxy
from tests.waiting import eventually, second_after

NODES = 6
# In the one the webhook is asked about pods, in the other it is not, and only the extender speaks for a node.
TERMS, SCORES = "terms", "scores"
# On a busy machine everything takes its time; nothing here passes because it is quick.
SECONDS = 90.0
_BALLAST = {"requests": {"cpu": "6", "memory": "20Gi"}}  # of 8 and 32Gi

_numbers = itertools.count(1)


class Ran(NamedTuple):
    """A session that became Ready: its pod as it was then, and what the recorder says of it, None where nothing."""

    pod: Object
    record: SessionRecord | None

    @property
    def node(self) -> str:
        return str(self.pod["spec"]["nodeName"])

    @property
    def terms(self) -> list[str]:
        """The nodes that the pod prefers by hostname, with weight 100."""
        affinity = self.pod["spec"].get("affinity", {}).get("nodeAffinity", {})
        return [
            value
            for term in affinity.get("preferredDuringSchedulingIgnoredDuringExecution", ())
            if term["weight"] == 100
            for expression in term["preference"]["matchExpressions"]
            for value in expression["values"]
        ]


class World:
    """``config``: the programs' --config file. The recorder asks through ``proxy``, which counts."""

    def __init__(self, stack: Stack, proxy: HttpProxy, config: Path, kinds: tuple[Kind, ...]) -> None:
        self.stack = stack
        self.api = stack.api
        self.proxy = proxy
        self.config = config
        self.kinds = kinds

    @classmethod
    @contextlib.contextmanager
    def running(cls, directory: Path, rows: tuple[Row, ...] = (), **how: Any) -> Iterator[World]:
        """``rows``: configured beside the built-in ones; ``how``: for Stack.start()."""
        path = directory / "config.yaml"
        path.write_text(yaml.safe_dump(config(rows)), encoding="utf-8")
        with Stack.start(**how) as stack, HttpProxy(stack.cp) as proxy:
            world = cls(stack, proxy, path, configured(config(rows)))
            stack.start_agent(NODES, *FLAGS)
            for namespace in (TERMS, SCORES):
                world.api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
            world._start(directory)
            yield world

    def _start(self, directory: Path) -> None:
        stack, told = self.stack, ("--config", str(self.config))
        stack.start_extender(*told)
        stack.start_webhook(*told, kinds=self.kinds, only=[TERMS])
        through = str(self.proxy.kubeconfig(directory / "recorder"))
        stack.start_recorder(*told, "--kubeconfig", through, "--extender-url", stack.extender_url)
        start_scheduler(stack)

    def workload(self, row: Row, *, sticky: bool = True, namespace: str = SCORES, name: str = "") -> Workload:
        """A new one of that row; ``name``: one of its own unless it is given."""
        wanted = row.workload(namespace, name or f"w{next(_numbers)}", sticky)
        return Workload(self, row, create(self.stack, wanted))

    def catch_up(self) -> None:
        """Wait until all programs have seen what has become of nodes, Sandboxes and their pods up to now: events of one
        watch come in order, and these show in what is remembered and preferred."""
        marker = f"marker-{next(_numbers)}"
        make_nodes(self.stack, [marker])
        self.workload(SANDBOX.with_pods(nodeSelector={contract.HOSTNAME_LABEL: marker}), namespace=TERMS).run()
        self.api.delete(f"/api/v1/nodes/{marker}")

    def settled(self) -> None:
        """Wait until nothing is left to be written."""
        eventually(
            lambda: not self.stack.metrics(self.stack.recorder_url)["lastnode_record_pending_workloads"],
            "nothing to be pending", SECONDS,
        )  # fmt: skip

    def counted(self, kind: str) -> dict[str, float]:
        """How many sessions of a kind came to what."""
        start = f'lastnode_sessions_total{{kind="{kind}",outcome="'
        samples = self.stack.metrics(self.stack.recorder_url).items()
        found = {name.removeprefix(start): value for name, value in samples if name.startswith(start) and value}
        return {name.partition('"')[0]: value for name, value in found.items()}

    @contextlib.contextmanager
    def crowded(self, *nodes: str) -> Iterator[None]:
        """Meanwhile these nodes are nearly full, so that kube-scheduler left alone takes another one."""
        container = {"name": "c", "image": "registry.local/ballast:1", "resources": _BALLAST}
        bodies: list[Object] = [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"ballast-{node}", "namespace": "default"},
             "spec": {"nodeName": node, "containers": [container]}}
            for node in sorted(set(nodes))
        ]  # fmt: skip
        for body in bodies:
            create(self.stack, body)
        yield
        for body in bodies:
            remove(self.stack, body)


class Workload:
    """``made``: as it was created."""

    def __init__(self, world: World, row: Row, made: Object) -> None:
        self.world = world
        self.row = row
        self.made = made
        self.name: str = made["metadata"]["name"]
        self.sticky = bool(made["metadata"].get("annotations"))
        self.parts: list[Object] = []  # of the session that runs
        self._ready_at = 0.0  # when its last session was seen to be Ready

    def run(self) -> Ran:
        """A whole session, which has ended when this returns, and everybody knows what is remembered of it."""
        ran = self.begin()
        if self.sticky:
            self.is_preferred(ran)
        self.end()
        return ran

    def begin(self) -> Ran:
        """A session that is Ready, counted and written."""
        self.ask()
        return self.ready()

    def ask(self) -> None:
        """For a session that will be Ready in a later second than the last one."""
        second_after(self._ready_at)
        stack = self.world.stack
        name, self.parts = f"{self.name}-{next(_numbers)}", []
        if not self.row.chain:
            name = self.name
            self.operate(running=True)
        made = self.made
        for make in self.row.chain:
            made = create(stack, make(made, name))
            self.parts.append(made)
        self._pod = {"apiVersion": "v1", "kind": "Pod", "metadata": self.made["metadata"] | {"name": name}}

    def ready(self) -> Ran:
        """The session that was asked for, once it is Ready, counted and written."""
        pod = eventually(self._ready_pod, f"{path_of(self._pod)} to be Ready", SECONDS)
        self._ready_at = time.time()
        uid = pod["metadata"]["uid"]
        if not self.sticky:
            return Ran(pod, None)
        record = eventually(lambda: next(iter(self.world.stack.journal(uid)), None), f"{uid} to be counted", SECONDS)
        eventually(lambda: self.last_node == record.node, f"{record.node} on {self.name}", SECONDS)
        return Ran(pod, record)

    def end(self) -> None:
        """End the session; returns when its pod is gone."""
        for part in reversed(self.parts):
            remove(self.world.stack, part)
        if not self.row.chain:
            self.operate(running=False)
        eventually(lambda: read(self.world.stack, self._pod) is None, "the pod to be gone", SECONDS)

    def operate(self, running: bool) -> None:
        """Suspend or resume a Sandbox."""
        self.world.api.patch(path_of(self.made), operated(self.made["apiVersion"], running))

    def now(self) -> Object:
        return self.world.api.get(path_of(self.made))  # type: ignore[no-any-return]

    @property
    def last_node(self) -> str | None:
        return memory(self.now(), self.row.prefix).get(contract.LAST_NODE)

    @property
    def entries(self) -> list[Object]:
        """All that it remembers, newest first."""
        return json.loads(memory(self.now(), self.row.prefix).get(contract.RECENT_NODES, "[]"))  # type: ignore[no-any-return]

    @property
    def nodes(self) -> list[str]:
        return [entry["node"] for entry in self.entries]

    def remember(self, entries: list[Object]) -> None:
        """As somebody else would write it."""
        said = {f"{self.row.prefix}/{contract.RECENT_NODES}": json.dumps(entries)}
        self.world.api.patch(path_of(self.made), {"metadata": {"annotations": said}})

    def is_preferred(self, ran: Ran) -> None:
        """Wait until webhook and extender would prefer its last node for a session like that one."""
        metadata = {key: ran.pod["metadata"][key] for key in ("namespace", "labels", "ownerReferences")}
        spec = {"containers": [{"name": "c", "image": "c"}]}
        probe = {"metadata": metadata | {"name": "probe", "uid": ""}, "spec": spec}
        Wire(self.world.stack.extender_url).expect_node(ran.node, probe, [ran.node], SECONDS)
        if metadata["namespace"] == TERMS:
            path = f"/api/v1/namespaces/{TERMS}/pods?dryRun=All"
            eventually(lambda: Ran(self.world.api.post(path, probe), None).terms == [ran.node], "a term", SECONDS)

    def _ready_pod(self) -> Object | None:
        pod = read(self.world.stack, self._pod)
        return pod if pod and is_ready(pod) and "deletionTimestamp" not in pod["metadata"] else None


def comes_back(world: World, workload: Workload) -> None:
    """Its next session returns to the node of the one before, though that is nearly full by then."""
    first = workload.run()
    with world.crowded(first.node):
        back = workload.run()
    assert back.record is not None
    assert (back.node, back.record.outcome) == (first.node, Outcome.REUSED)


def memory(obj: Object, prefix: str) -> dict[str, str]:
    """What an object remembers under a prefix, by names without it."""
    annotations = obj["metadata"].get("annotations") or {}
    names = (contract.LAST_NODE, contract.RECENT_NODES)
    return {name: annotations[f"{prefix}/{name}"] for name in names if f"{prefix}/{name}" in annotations}


def result(stack: Stack, ran: Ran) -> str | None:
    """What the extender answered kube-scheduler about the session."""
    return next((each["result"] for each in decisions(stack, ran.pod["metadata"]["uid"])), None)


def create(stack: Stack, obj: Mapping[str, Any]) -> Object:
    return stack.api.post(collection(obj), obj)  # type: ignore[no-any-return]


def read(stack: Stack, obj: Mapping[str, Any]) -> Object | None:
    try:
        return stack.api.get(path_of(obj))  # type: ignore[no-any-return]
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def remove(stack: Stack, obj: Mapping[str, Any]) -> None:
    """Delete it and wait until it is gone."""
    with contextlib.suppress(ApiError):
        stack.api.request("DELETE", path_of(obj), {"propagationPolicy": "Background"})
    eventually(lambda: read(stack, obj) is None, f"{path_of(obj)} to be gone", SECONDS)
