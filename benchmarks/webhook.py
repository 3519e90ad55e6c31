"""What the webhook adds to the creation of a pod, and how often a pod is created before its Sandbox is known.

One control plane. Added time: pods are created one after the other, by turns in a namespace whose pods the API server
shows to the webhook and in one whose pods it does not. The race: several clients make a Sandbox and at once its pod,
as agentcube does, and the pods without the preference are counted.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.injector import pod_spec, remembering_workload
from benchmarks.measure import percentiles, table
from lastnode.contract import DEFAULT_RECENT_NODES, RECENT_NODES_ANNOTATION, SESSION_LABEL, WORKLOAD_NAME_LABEL
from lastnode.preference import PREFERRED
from testbed.stack import Stack
from testbed.workloads import SANDBOX_VERSION, Object

PAIRS = 500
WARM_UP = 50
RACES = 2000
CLIENTS = (1, 8, 32)
WITH, WITHOUT = "with", "without"

_numbers = itertools.count(1)


def run() -> str:
    """Both tables."""
    with Stack.start() as stack:
        for namespace in (WITH, WITHOUT):
            stack.api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
            stack.api.post(_workloads(namespace), _workload(namespace))
        _make_nodes(stack)
        stack.start_webhook(only=[WITH])
        _until_preferred(stack)
        return f"{_added(stack, random.Random(1))}\n\n{_races(stack)}"


def _added(stack: Stack, rng: random.Random) -> str:
    """Milliseconds of a POST in either namespace, the order of each pair drawn anew."""
    seconds: dict[str, list[float]] = {WITH: [], WITHOUT: []}
    asked, answered = _asked(stack), _answered(stack)
    for number in range(WARM_UP + PAIRS):
        for namespace in rng.sample([WITH, WITHOUT], 2):
            pod = _pod(namespace)
            begun = time.perf_counter()
            made = stack.api.post(f"/api/v1/namespaces/{namespace}/pods", pod)
            took = time.perf_counter() - begun
            if _preferred(made) != (namespace == WITH):
                raise AssertionError(f"a pod in namespace {namespace} came {'with' if _preferred(made) else 'without'}")
            if number >= WARM_UP:
                seconds[namespace].append(took)
    (p50, p99), (bare50, bare99) = percentiles(seconds[WITH]), percentiles(seconds[WITHOUT])
    rows = [
        ("with the webhook", f"{p50:.2f}", f"{p99:.2f}"),
        ("without", f"{bare50:.2f}", f"{bare99:.2f}"),
        ("added", f"{p50 - bare50:.2f}", f"{p99 - bare99:.2f}"),
        ("mean that the API server waits for the webhook", _mean(asked, _asked(stack)), ""),
        ("mean inside the extender", _mean(answered, _answered(stack)), ""),
    ]
    return table([f"creating a pod, ms ({PAIRS} pairs)", "p50", "p99"], rows)


def _asked(stack: Stack) -> tuple[float, float]:
    """Seconds that the API server has waited for webhooks, and how often: its own count."""
    name = "apiserver_admission_webhook_admission_duration_seconds"
    samples = [line.rsplit(" ", 1) for line in stack.api.get("/metrics").splitlines() if line.startswith(name)]
    total, count = (
        sum(float(n) for key, n in samples if key.startswith(f"{name}_{part}")) for part in ("sum", "count")
    )
    return total, count


def _answered(stack: Stack) -> tuple[float, float]:
    """Seconds that the extender has worked on answers, and how many: its own count."""
    samples = stack.metrics(stack.webhook_url)
    name = "lastnode_injection_duration_seconds"
    return samples[f"{name}_sum"], samples[f"{name}_count"]


def _mean(before: tuple[float, float], after: tuple[float, float]) -> str:
    """Milliseconds."""
    return f"{1000 * (after[0] - before[0]) / (after[1] - before[1]):.2f}"


def _races(stack: Stack) -> str:
    """For each number of clients: pods without the preference, and how many had to wait for their Sandbox."""
    rows = []
    for clients in CLIENTS:
        before = _waits(stack)
        begun = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            preferred = list(pool.map(lambda _: _race(stack), range(RACES)))
        lasted = time.perf_counter() - begun
        waits = {name: count - before.get(name, 0.0) for name, count in _waits(stack).items()}
        waited = ", ".join(f"{name} {count:.0f}" for name, count in sorted(waits.items()) if count) or "0"
        rows.append((clients, f"{RACES / lasted:.0f}", waited, preferred.count(False)))
    return table(["clients", "Sandbox and pod, pairs a second", f"waits, of {RACES}", "pods without"], rows)


def _race(stack: Stack) -> bool:
    """Whether a pod created right after its Sandbox has the preference."""
    name = f"sandbox-{next(_numbers)}"
    labels = {WORKLOAD_NAME_LABEL: "agent"}
    body = {
        "apiVersion": SANDBOX_VERSION,
        "kind": "Sandbox",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podTemplate": {"spec": pod_spec()}},
    }
    made = stack.api.post(f"/apis/{SANDBOX_VERSION}/namespaces/{WITH}/sandboxes", body)
    owner = {"apiVersion": SANDBOX_VERSION, "kind": "Sandbox", "name": name, "uid": made["metadata"]["uid"]}
    pod = _pod(WITH)
    pod["metadata"] |= {"labels": {SESSION_LABEL: name}, "ownerReferences": [owner | {"controller": True}]}
    return _preferred(stack.api.post(f"/api/v1/namespaces/{WITH}/pods", pod))


def _waits(stack: Stack) -> dict[str, float]:
    """lastnode_controller_wait_seconds_count of the webhook, by result."""
    samples = stack.metrics(stack.webhook_url).items()
    mine = ((name, value) for name, value in samples if name.startswith("lastnode_controller_wait_seconds_count"))
    return {name.partition('result="')[2].partition('"')[0]: value for name, value in mine if "mutate" in name}


def _until_preferred(stack: Stack) -> None:
    def preferred() -> bool:
        return _preferred(stack.api.post(f"/api/v1/namespaces/{WITH}/pods?dryRun=All", _pod(WITH)))

    stack.wait(preferred, "pods to come with the preference")


def _pod(namespace: str) -> Object:
    """A session's pod that says its workload itself."""
    name = f"pod-{next(_numbers)}"
    metadata = {"name": name, "namespace": namespace, "labels": {SESSION_LABEL: name, WORKLOAD_NAME_LABEL: "agent"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec()}


def _preferred(pod: Object) -> bool:
    return bool(pod["spec"].get("affinity", {}).get("nodeAffinity", {}).get(PREFERRED))


def _make_nodes(stack: Stack) -> None:
    """The nodes of the workload's memory."""
    for number in range(DEFAULT_RECENT_NODES):
        name = f"node-{number}"
        labels = {"kubernetes.io/hostname": name}
        stack.api.post("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        stack.api.patch(f"/api/v1/nodes/{name}/status", {"status": status})


def _workloads(namespace: str) -> str:
    return f"/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/{namespace}/agentruntimes"


def _workload(namespace: str) -> Object:
    """With a full memory; without its nodes' UIDs, which only the API server knows."""
    workload = remembering_workload()
    workload["metadata"] |= {"name": "agent", "namespace": namespace}
    annotations = workload["metadata"]["annotations"]
    entries: list[dict[str, Any]] = json.loads(annotations[RECENT_NODES_ANNOTATION])
    for entry in entries:
        del entry["nodeUID"]
    annotations[RECENT_NODES_ANNOTATION] = json.dumps(entries)
    return workload
