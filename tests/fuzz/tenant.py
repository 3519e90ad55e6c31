"""A tenant who writes anything: one random step after another, through the API server. It refuses what it will."""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from lastnode.contract import (
    AGENTCUBE_PREFIX,
    HOSTNAME_LABEL,
    LAST_NODE_ANNOTATION,
    RECENT_NODES_ANNOTATION,
    SESSION_LABEL,
    STICKINESS_ANNOTATION,
    WORKLOAD_KIND_LABEL,
    WORKLOAD_NAME_LABEL,
)
from testbed.api import Api
from testbed.errors import ApiError
from testbed.webhook import OPT_OUT_LABEL
from testbed.workloads import WORKLOAD_VERSION
from tests.fuzz.wild import LARGE, TOO_DEEP, Wild

Object = dict[str, Any]

NODES = [f"wild-{number}" for number in range(5)] + ["wild-" + "long-name." * 10 + "x"]
KINDS = {"AgentRuntime": "agentruntimes", "CodeInterpreter": "codeinterpreters"}
SANDBOX_VERSIONS = ["agents.x-k8s.io/v1alpha1", "agents.x-k8s.io/v1beta1"]
FINALIZER = "fuzz.example/stays"
REMEMBERED = 40  # steps that a failure shows


class Tenant:
    """Everything happens in ``namespace``, but for nodes called wild-….

    ``steps``: the newest requests; ``statuses``: how many answers of each status there were.
    """

    def __init__(self, api: Api, namespace: str, wild: Wild) -> None:
        self._api, self._wild, self._dice = api, wild, wild.dice
        self.namespace = namespace
        self.steps: deque[str] = deque(maxlen=REMEMBERED)
        self.statuses: Counter[int] = Counter()
        self._answered = 200
        self.pods: dict[str, Object] = {}  # as the API server returned them when they were made
        self._owners: list[Object] = []
        self._numbers = itertools.count()
        self._does: dict[Callable[[], None], int] = {
            self.workload: 6, self.no_workload: 1, self.sandbox: 4, self.no_sandbox: 1, self.pod: 10, self.bind: 4,
            self.status: 20, self.relabel: 1, self.no_pod: 4, self.node: 4, self.node_status: 3, self.no_node: 1,
        }  # fmt: skip

    def step(self) -> None:
        """One request or two."""
        (do,) = self._dice.choices(list(self._does), list(self._does.values()))
        do()

    def workload(self) -> None:
        kind = "AgentRuntime" if self._wild.often(0.8) else "CodeInterpreter"
        name = self._name("w", 5)
        memory = {
            STICKINESS_ANNOTATION: self._dice.choice(["enabled", "enabled", "enabled", self._wild.text()]),
            LAST_NODE_ANNOTATION: self._dice.choice([*NODES, self._wild.text()]),
            RECENT_NODES_ANNOTATION: self._wild.memory(NODES),
            f"{AGENTCUBE_PREFIX}/cache-group": self._dice.choice(["g", self._wild.text()]),
            f"{AGENTCUBE_PREFIX}/older-weight": self._dice.choice(["0", "100", self._wild.text()]),
            "filler": "x" * self._dice.choice([0, 0, 0, 250_000]),  # of 256 KiB for all annotations together
        }
        metadata = {"name": name, "annotations": self._wild.maybe(**memory), "labels": self._claim()}
        pool = self._odd(self._dice.choice([0, 0, 0, 1]))
        sticky = self._odd(self._dice.choice([{"enabled": True}, {"enabled": True}, {"enabled": False}, {}]))
        spec = self._wild.maybe(nodeStickiness=sticky, warmPoolSize=pool, podTemplate=self._deep())
        body = {"apiVersion": WORKLOAD_VERSION, "kind": kind, "metadata": metadata,
                **self._wild.maybe(spec=self._odd(spec), status=self._wild.any())}  # fmt: skip
        self._put(f"/apis/{WORKLOAD_VERSION}/namespaces/{self.namespace}/{KINDS[kind]}", name, body)

    def no_workload(self) -> None:
        kind = self._dice.choice(list(KINDS.values()))
        self._delete(f"/apis/{WORKLOAD_VERSION}/namespaces/{self.namespace}/{kind}", self._name("w", 5))

    def sandbox(self) -> None:
        name, version = self._name("p", 12), self._dice.choice(SANDBOX_VERSIONS)
        metadata = {"name": name, "labels": self._claim()}
        body = {"apiVersion": version, "kind": "Sandbox", "metadata": metadata,
                **self._wild.maybe(spec=self._odd({"podTemplate": self._deep()}), status=self._wild.any())}  # fmt: skip
        made = self._put(f"/apis/{version}/namespaces/{self.namespace}/sandboxes", name, body)
        if made:
            uid = made["metadata"]["uid"]
            self._owners.append({"apiVersion": version, "kind": "Sandbox", "name": name, "uid": uid})

    def no_sandbox(self) -> None:
        self._delete(f"/apis/{SANDBOX_VERSIONS[0]}/namespaces/{self.namespace}/sandboxes", self._name("p", 12))

    def pod(self) -> None:
        """Made as it is, it must be made with the webhook in between too."""
        name = self._name("p", 12)
        metadata: Object = {"name": name, "labels": {SESSION_LABEL: name, **self._claim()}}
        metadata |= self._wild.maybe(ownerReferences=self._owned(), annotations={"a": self._wild.text()})
        if self._wild.often(0.1):
            metadata["finalizers"] = [FINALIZER]
        spec: Object = {"containers": [{"name": "c", "image": "i"}]}
        spec |= self._wild.maybe(affinity=self._wild.affinity(NODES))
        if self._wild.often(0.6):
            spec["nodeName"] = self._node_name()
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        made = self._ask("POST", self._pods, body)
        if made:
            self.pods[name] = made
        elif self._answered in (400, 422, 500):
            metadata["labels"][OPT_OUT_LABEL] = "disabled"
            assert not self._ask("POST", f"{self._pods}?dryRun=All", body), f"refused with the webhook only: {body}"

    def bind(self) -> None:
        name = self._name("p", 12)
        target = {"kind": "Node", "apiVersion": "v1", "name": self._node_name()}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        self._ask("POST", f"{self._pods}/{name}/binding", body)

    def status(self) -> None:
        self._patch(f"{self._pods}/{self._name('p', 12)}/status", {"status": self._wild.pod_status()})

    def relabel(self) -> None:
        labels = {SESSION_LABEL: self._dice.choice(["s", None]), WORKLOAD_NAME_LABEL: None, WORKLOAD_KIND_LABEL: None}
        where = self._dice.choice([self._pods, f"/apis/{SANDBOX_VERSIONS[1]}/namespaces/{self.namespace}/sandboxes"])
        self._patch(f"{where}/{self._name('p', 12)}", {"metadata": {"labels": {**labels, **self._claim()}}})

    def no_pod(self) -> None:
        name = self._name("p", 12)
        if self._wild.often(0.3):
            self._patch(f"{self._pods}/{name}", {"metadata": {"finalizers": None}})
        self._delete(self._pods, name, {"gracePeriodSeconds": self._dice.choice([0, 0, 30])})

    def node(self) -> None:
        name = self._dice.choice(NODES)
        hostname = self._dice.choice([name[:63].strip("-."), "shared", None, "A.b_c", ""])
        taint = {"key": self._dice.choice(["karpenter.sh/disrupted", "ToBeDeletedByClusterAutoscaler", "a"]),
                 "effect": self._dice.choice(["NoSchedule", "PreferNoSchedule", "NoExecute"]),
                 **self._wild.maybe(value="a", timeAdded=self._wild.date())}  # fmt: skip
        spec = self._wild.maybe(unschedulable=self._wild.often(0.3), taints=[taint] if self._wild.often(0.3) else [])
        metadata: Object = {"name": name, "labels": {HOSTNAME_LABEL: hostname}}
        if self._wild.often(0.1):
            metadata["finalizers"] = [FINALIZER]
        self._put("/api/v1/nodes", name, {"metadata": metadata, "spec": spec})

    def node_status(self) -> None:
        self._patch(f"/api/v1/nodes/{self._dice.choice(NODES)}/status", {"status": self._wild.node_status()})

    def no_node(self) -> None:
        name = self._dice.choice(NODES)
        if self._wild.often(0.5):
            self._patch(f"/api/v1/nodes/{name}", {"metadata": {"finalizers": None}})
        self._delete("/api/v1/nodes", name)

    @property
    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def _name(self, prefix: str, many: int) -> str:
        """One of few, so that steps meet; the last one is as long as a name may be."""
        number = self._dice.randrange(many)
        return f"{prefix}{number}" if number < many - 1 else f"{prefix}{'x' * 61}.{'y' * 63}"

    def _node_name(self) -> str:
        return self._dice.choice([*NODES, *NODES, "gone"])

    def _claim(self) -> dict[str, str]:
        """Labels by which a pod or Sandbox names its workload, or does not."""
        name = self._name("w", 5)[:63].rstrip("-.") if self._wild.often(0.9) else self._dice.choice(["", "No_Body"])
        labels = {WORKLOAD_NAME_LABEL: name} if self._wild.often(0.8) else {}
        if self._wild.often(0.3):
            labels[WORKLOAD_KIND_LABEL] = self._dice.choice([*KINDS, "", "Job"])
        return labels

    def _owned(self) -> list[Object]:
        if not self._owners or self._wild.often(0.2):
            return []
        owner = dict(self._dice.choice(self._owners[-12:]), controller=self._wild.often(0.8))
        if self._wild.often(0.2):
            field = self._dice.choice(["kind", "apiVersion", "name", "uid"])
            owner[field] = self._dice.choice(["Job", "batch/v1", "/"])
        return [owner, {**owner, "uid": "other", "controller": False}][: self._dice.randrange(1, 3)]

    def _deep(self) -> Any:
        if self._wild.often(0.03):
            return self._wild.nested(TOO_DEEP) if self._wild.often(0.7) else "x" * LARGE
        return self._wild.any()

    def _odd(self, value: Any) -> Any:
        return self._wild.any() if self._wild.often(0.1) else value

    def _put(self, collection: str, name: str, body: Object) -> Any:
        """Create it, or else change the one that is there."""
        made = self._ask("POST", collection, body)
        return made if made or self._answered != 409 else self._patch(f"{collection}/{name}", body)

    def _patch(self, path: str, body: Object) -> Any:
        return self._ask("PATCH", path, body, "application/merge-patch+json")

    def _delete(self, collection: str, name: str, options: Mapping[str, Any] | None = None) -> None:
        self._ask("DELETE", f"{collection}/{name}", options)

    def _ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """The answer; None where it is refused."""
        self._answered = 200
        try:
            return self._api.request(method, path, body, kind)
        except ApiError as error:
            self._answered = error.status
            if not error.status:  # the API server itself is away
                raise
            return None
        finally:
            self.statuses[self._answered] += 1
            self.steps.append(f"{self._answered} {method} {path} {json.dumps(body)[:3000]}")
