"""The cluster of a run, through the API server: machines that come, go and fill up; workloads with an image each."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from benchmarks.headline.model import image_of
from benchmarks.headline.world import SESSION_CPU, Round
from benchmarks.population import NODES, PODS, SANDBOXES, WORKLOADS
from lastnode import reading
from lastnode.contract import AGENTCUBE_PREFIX, CACHE_GROUP
from lastnode.kinds import AGENT_RUNTIME
from lastnode.kube import wire
from lastnode.kube.api import Api, load
from lastnode.kube.errors import NotFound
from lastnode.memory import parse_text
from lastnode.objects import Workload
from testbed.agent.nodes import NodeShape, node_object
from testbed.stack import Stack
from testbed.workloads import Object, agent_runtime

CONNECTIONS: Final = 16
T = TypeVar("T")
_workload: Final = functools.partial(reading.read_workload, AGENT_RUNTIME)


class Fleet:
    """Everything over ``CONNECTIONS`` connections; methods return when it is done."""

    def __init__(self, stack: Stack, sticky: bool, groups: Mapping[int, str]) -> None:
        """``groups``: workload -> its cache group, empty where none has one."""
        self._api: Api = load(str(stack.cp.kubeconfig), "lastnode-headline", CONNECTIONS)
        self._sticky = sticky
        self._groups = groups
        self._index = 0
        self._cordoned: frozenset[str] = frozenset()
        self._taken: dict[str, float] = {}

    def close(self) -> None:
        self._api.close()

    def workloads(self, count: int) -> list[Object]:
        """That many AgentRuntimes, opted in where the arm is a sticky one, as the server stored them."""
        return self.each(self._workload, range(count))

    def become(self, now: Round) -> None:
        """Machines leave, join, are cordoned and filled, until the cluster is as this round says."""
        self.each(lambda node: self._delete(f"{NODES}/{node}"), now.gone)
        self.each(self._node, enumerate(sorted(now.come), self._index))
        self._index += len(now.come)
        self.each(lambda node: self._cordon(node, None), (self._cordoned - now.cordoned) & now.taken.keys())
        self.each(lambda node: self._cordon(node, True), now.cordoned)
        self._cordoned = now.cordoned
        others = {node for node, taken in now.taken.items() if self._taken.get(node) != taken}
        self.each(lambda node: self._fill(node, now.taken[node]), sorted(others))
        self._taken = dict(now.taken)

    def remembered(self) -> dict[str, frozenset[str]]:
        """Workload -> the nodes that its annotations name."""
        found = map(_workload, wire.page(self._api.get(WORKLOADS)).items or ())
        return {workload.name: _nodes(workload) for workload in found}

    def named(self, workload: str) -> frozenset[str]:
        """The same of one, now."""
        return _nodes(_workload(self._api.get(f"{WORKLOADS}/{workload}")))

    def end_sessions(self) -> None:
        """All that run. In one request, since how they end is not measured, and takes the time of measuring."""
        self._delete(SANDBOXES)

    def each(self, call: Callable[[Any], T], arguments: Iterable[Any]) -> list[T]:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(call, arguments))

    def _create(self, collection: str, obj: Mapping[str, Any]) -> Object:
        made: Object = json.loads(self._api.request("POST", collection, body=obj))
        return made

    def _delete(self, path: str) -> None:
        self._api.request("DELETE", path, query={"gracePeriodSeconds": "0"})

    def _workload(self, number: int) -> Object:
        name = f"task-{number:05d}"
        cpu = f"{SESSION_CPU * 1000:.0f}m"
        workload = agent_runtime(name, image=image_of(number), sticky=self._sticky or None, cpu=cpu, memory="2Gi")
        # The API server removes such a pod when it is deleted, instead of waiting for its kubelet to delete it again.
        workload["spec"]["podTemplate"]["spec"]["terminationGracePeriodSeconds"] = 0
        if number in self._groups:
            workload["metadata"]["annotations"] = {f"{AGENTCUBE_PREFIX}/{CACHE_GROUP}": self._groups[number]}
        return self._create(WORKLOADS, workload)

    def _node(self, numbered: tuple[int, str]) -> None:
        index, name = numbered
        self._create(NODES, node_object(name, NodeShape(), datetime.now(UTC), index))

    def _cordon(self, node: str, unschedulable: bool | None) -> None:
        self._api.merge_patch(f"{NODES}/{node}", {"spec": {"unschedulable": unschedulable}})

    def _fill(self, node: str, taken: float) -> None:
        """One pod that stands for all others of a node; its image is the same everywhere."""
        name = f"others-{node}"
        with contextlib.suppress(NotFound):
            self._delete(f"{PODS}/{name}")
        requests = {"cpu": f"{taken:.3f}", "memory": f"{taken * 3.5:.0f}Gi"}
        container = {"name": "others", "image": "registry.example/others:1", "resources": {"requests": requests}}
        metadata = {"name": name, "namespace": "default", "labels": {"app": "others"}}
        spec = {"containers": [container], "nodeName": node}
        self._create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def _nodes(workload: Workload) -> frozenset[str]:
    return frozenset(entry.node for entry in parse_text(workload.last_node, workload.recent_nodes))
