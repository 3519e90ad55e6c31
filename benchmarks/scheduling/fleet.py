"""The cluster that is scheduled on: nodes that are filled unevenly, and workloads whose memory the recorder wrote.

No kubelet takes part: only binding is looked at. Everything goes through the API server, over 24 connections.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from benchmarks import population
from benchmarks.injector import pod_spec
from benchmarks.scheduling.arms import Arm
from lastnode.contract import DEFAULT_OLDER_WEIGHT, LAST_NODE_ANNOTATION
from lastnode.injector import with_terms
from lastnode.kube.api import load
from lastnode.preference import terms
from lastnode.ranking import Preferred
from testbed.agent.nodes import NodeShape, node_object
from testbed.stack import Stack
from testbed.workloads import Object, agent_runtime, sandbox_for

T = TypeVar("T")
CONNECTIONS: Final = 24
# A node's CPU that others have taken already, of 8. What is left has room for three sessions of 0.8 CPU and more.
TAKEN: Final = (0.4, 4.4)
MEASURED: Final = {"bench": "measured"}
SESSION: Final = "s1"
_WRITTEN: Final = 'lastnode_record_writes_total{result="written"}'

# What a pod may be to the extender.
MEMORY, NOTHING, NOBODY = "session with memory", "session, nothing remembered", "nobody's session"


class Fleet:
    """``nodes`` nodes and ``sessions`` sessions of each kind, the wanted nodes drawn with ``seed``."""

    def __init__(self, stack: Stack, nodes: int, sessions: int, seed: int = 412) -> None:
        self._stack = stack
        self._random = random.Random(seed)
        self._nodes = [f"node-{number:05d}" for number in range(nodes)]
        self._sessions = sessions
        self._api = load(str(stack.cp.kubeconfig), "lastnode-bench", CONNECTIONS)
        self._workloads: dict[str, list[Object]] = {}
        self._sandboxes: dict[str, list[Object]] = {}
        self.wanted: dict[str, str] = {}  # pod -> node, for sessions with memory
        self.warm: dict[str, set[str | None]] = {}  # pod -> the nodes that it came back to, if it runs there

    def fill(self) -> None:
        """Make nodes, what fills them, workloads and Sandboxes, and let the recorder see where the sessions ran."""
        self._each(self._node, enumerate(self._nodes))
        self._each(self._filler, self._nodes)
        for kind, prefix in ((MEMORY, "known"), (NOTHING, "fresh")):
            names = [f"{prefix}-{number:05d}" for number in range(self._sessions)]
            self._workloads[kind] = self._each(self._workload, names)
            self._sandboxes[kind] = self._each(self._sandbox, self._workloads[kind])
        self._remember()

    def create_pods(self, kind: str, arm: Arm, most: int | None = None) -> int:
        """Pending pods of that kind, one a session; returns how many."""
        if kind == NOBODY:
            pods = [self._other(number, arm) for number in range(self._sessions)]
        else:
            pairs = zip(self._sandboxes[kind], self._workloads[kind], strict=True)
            pods = [self._session(sandbox, workload, arm) for sandbox, workload in pairs]
        self._random.shuffle(pods)
        return len(self._each(lambda pod: self._create(population.PODS, pod), pods[:most]))

    def delete_pods(self) -> None:
        """All pods but those that fill the nodes, at once."""
        query = {"labelSelector": "bench=measured", "gracePeriodSeconds": "0"}
        self._api.request("DELETE", population.PODS, query=query, seconds=120.0)

    def _remember(self) -> None:
        """The sessions run on their nodes, Ready, until the recorder has written that down; then they end."""
        # Each node as often as any other, in no order that the scheduler's would follow.
        turns = self._sessions // len(self._nodes) + 1
        drawn = [node for _ in range(turns) for node in self._random.sample(self._nodes, len(self._nodes))]
        running = [self._pod(sandbox, pod_spec() | {"nodeName": node})
                   for sandbox, node in zip(self._sandboxes[MEMORY], drawn, strict=False)]  # fmt: skip
        self.wanted = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in running}
        recorder = self._stack.start_recorder()
        self._each(lambda pod: self._create(population.PODS, pod), running)
        self._each(lambda pod: population.make_ready(self._api, pod["metadata"]["name"]), running)
        url, count = self._stack.recorder_url, len(running)
        self._stack.wait(lambda: self._stack.metrics(url).get(_WRITTEN, 0) >= count, "the recorder to write", 300.0)
        recorder.stop()
        self.delete_pods()
        self._workloads[MEMORY] = self._each(self._read, self._workloads[MEMORY])
        noted = [workload["metadata"]["annotations"][LAST_NODE_ANNOTATION] for workload in self._workloads[MEMORY]]
        if noted != list(self.wanted.values()):
            raise RuntimeError("the recorder did not write down where the sessions ran")

    def _each(self, call: Callable[[Any], T], arguments: Iterable[Any]) -> list[T]:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(call, arguments))

    def _create(self, collection: str, obj: Mapping[str, Any]) -> Object:
        made: Object = json.loads(self._api.request("POST", collection, body=obj))
        return made

    def _node(self, numbered: tuple[int, str]) -> None:
        index, name = numbered
        node = node_object(name, NodeShape(), datetime.now(UTC), index)
        node["metadata"]["labels"]["pool"] = "agents"  # what pod_spec() requires
        self._create(population.NODES, node)

    def _filler(self, node: str) -> None:
        cpu = f"{self._random.uniform(*TAKEN):.3f}"
        container = {"name": "other", "image": "other:1", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
        spec = {"containers": [container], "nodeName": node}
        self._create(population.PODS, _pod_object(f"fills-{node}", {"app": "other"}, spec))

    def _workload(self, name: str) -> Object:
        workload = agent_runtime(name, sticky=True)
        workload["spec"]["podTemplate"]["spec"] = pod_spec()
        return self._create(population.WORKLOADS, workload)

    def _read(self, workload: Object) -> Object:
        found: Object = json.loads(self._api.get(f"{population.WORKLOADS}/{workload['metadata']['name']}"))
        return found

    def _sandbox(self, workload: Object) -> Object:
        return self._create(population.SANDBOXES, sandbox_for(workload, SESSION))

    def _pod(self, sandbox: Object, spec: Mapping[str, Any]) -> Object:
        metadata = sandbox["metadata"]
        owner = {key: sandbox[key] for key in ("apiVersion", "kind")} | {"controller": True}
        owner |= {key: metadata[key] for key in ("name", "uid")}
        labels = sandbox["spec"]["podTemplate"]["metadata"]["labels"]
        pod = _pod_object(metadata["name"], labels | MEASURED, spec)
        pod["metadata"]["ownerReferences"] = [owner]
        return pod

    def _session(self, sandbox: Object, workload: Object, arm: Arm) -> Object:
        pod = self._pod(sandbox, arm.dressed(pod_spec(), workload))
        older = self._random.sample(self._nodes, arm.remembered - 1)
        pod["spec"] = with_terms(
            pod["spec"], terms([Preferred(node, node, "", DEFAULT_OLDER_WEIGHT) for node in older])
        )
        self.warm[pod["metadata"]["name"]] = {*older, self.wanted.get(pod["metadata"]["name"])}
        return pod

    def _other(self, number: int, arm: Arm) -> Object:
        spec = arm.dressed(pod_spec(), {})
        return _pod_object(f"other-{number:05d}", {"app": "web"} | MEASURED, spec)


def _pod_object(name: str, labels: Mapping[str, str], spec: Mapping[str, Any]) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(spec)}
