"""What holds whatever a tenant writes: both programs live and answer, and another tenant's sessions are served."""

from __future__ import annotations

import itertools
import json
import unicodedata
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import jsonpatch
import urllib3

from lastnode.contract import LAST_NODE_ANNOTATION, WORKLOAD_NAME_LABEL
from lastnode.preference import PREFERRED
from testbed.component import Component
from testbed.stack import Stack
from testbed.workloads import Object
from tests.extender.cluster import (
    create,
    extender_args,
    favoured,
    make_nodes,
    path_of,
    sandbox,
    session_pod,
    sticky_runtime,
)
from tests.kubectl.terminal import run
from tests.waiting import eventually

NAMESPACE = "sentinel"
NODE = "sentinel-node"
SECONDS = 30.0  # in which a sentinel's session is written and seen
_numbers = itertools.count(1)


def authority(stack: Stack) -> str:
    """The file of what the webhook's certificate is verified with."""
    return str(stack.cp.dir / "webhook" / "ca.crt")


def client(stack: Stack) -> urllib3.PoolManager:
    """Of either program."""
    return urllib3.PoolManager(ca_certs=authority(stack), retries=False, timeout=SECONDS)


class Program:
    """A running program, which nothing may bring down. ``url``: where its probes and /metrics are."""

    def __init__(self, stack: Stack, component: Component, url: str) -> None:
        self._stack, self.component, self.url = stack, component, url
        self._pool = client(stack)
        self._read = 0  # bytes of its log
        self._began = self._process()

    def restart(self) -> None:
        """Stop it as a roll-out does, and start it again: it lists all that there is."""
        assert self.component.stop() == 0, self.component.tail()
        self.component.start()
        self._began = self._process()

    def holds(self) -> None:
        """It is the process that it was (gunicorn would replace a dead worker), it answers, it has logged no trace."""
        name = self.component.name
        self.logged_no_trace()
        assert self.component.alive, f"{name} ended: {self.component.tail()}"
        assert self._process() == self._began, f"{name} was replaced: {self.component.tail()}"
        assert self.fetch("/livez") == b"ok"
        eventually(self._is_ready, f"{name} to be ready: {self.component.tail()}")
        self.logged_no_trace()

    def logged_no_trace(self) -> None:
        with self.component.log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        traces = [line for line in new.decode(errors="replace").splitlines() if "Traceback (most recent" in line]
        assert not traces, "\n".join(_readable(trace) for trace in traces)

    def fetch(self, path: str) -> bytes:
        answer = self._pool.request("GET", self.url + path)
        assert answer.status == 200, (path, answer.status, answer.data)
        return answer.data

    def metric(self, name: str) -> dict[str, float]:
        """Each series of a metric that is not 0, by its labels."""
        samples = self._stack.metrics(self.url).items()
        return {sample.removeprefix(name): value for sample, value in samples if sample.startswith(name) and value}

    def _is_ready(self) -> bool:
        try:
            return self.fetch("/readyz") == b"ok"
        except AssertionError:
            return False

    def _process(self) -> float:
        return self._stack.metrics(self.url)["process_start_time_seconds"]


def _readable(line: str) -> str:
    try:
        return str(json.loads(line)["error"])
    except (ValueError, KeyError, TypeError):
        return line


class Sentinel:
    """A tenant who does everything right, and gets what was promised."""

    def __init__(self, stack: Stack, extender: Asker) -> None:
        self._stack, self._extender = stack, extender
        make_nodes(stack, [NODE])

    def holds(self) -> None:
        """A session of a new workload is written, then preferred by the extender and injected by the webhook."""
        name = f"good-{next(_numbers)}"
        create(self._stack, sticky_runtime(name, NAMESPACE))
        owner = create(self._stack, sandbox(name, NAMESPACE, {WORKLOAD_NAME_LABEL: name}))
        pod = create(self._stack, session_pod(NAMESPACE, name, owner=owner))
        self._runs(pod)
        workload = sticky_runtime(name, NAMESPACE)
        eventually(lambda: self._last_node(workload) == NODE, f"{name}'s session to be written", SECONDS)
        next_one = session_pod(NAMESPACE, f"{name}-next", workload=name)
        body = extender_args(next_one, ["elsewhere", NODE])
        eventually(lambda: self._extender.prioritize(body) == favoured(NODE), f"{name}'s node to be preferred", SECONDS)
        eventually(lambda: self._injected(next_one), f"{name}'s node to be injected", SECONDS)
        for obj in (pod, owner, workload):
            self._stack.api.request("DELETE", path_of(obj), {"gracePeriodSeconds": 0})

    def _runs(self, pod: Object) -> None:
        target = {"kind": "Node", "apiVersion": "v1", "name": NODE}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
        self._stack.api.post(f"{path_of(pod)}/binding", body)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
        self._stack.api.patch(f"{path_of(pod)}/status", {"status": {"phase": "Running", "conditions": [ready]}})

    def _last_node(self, workload: Object) -> Any:
        return (self._stack.api.get(path_of(workload))["metadata"].get("annotations") or {}).get(LAST_NODE_ANNOTATION)

    def _injected(self, pod: Object) -> bool:
        made = self._stack.api.post(f"{path_of(pod).rpartition('/')[0]}?dryRun=All", pod)
        return bool(made["spec"].get("affinity", {}).get("nodeAffinity", {}).get(PREFERRED))


class Looker:
    """A person with kubectl lastnode, on a terminal that does what it is told to by escape sequences."""

    def __init__(self, stack: Stack) -> None:
        # Addresses instead of pods; the certificate is the webhook's.
        self._kubeconfig = stack.cp.kubeconfig
        urls = {"RECORDER_URL": stack.recorder_url, "EXTENDER_URL": stack.webhook_url}
        self._env = {f"LASTNODE_{name}": url for name, url in urls.items()}
        self._env["LASTNODE_EXTENDER_CA"] = authority(stack)

    def holds(self, *words: str) -> None:
        """The command says something readable, or why it cannot."""
        done = run(self._kubeconfig, *words, env=self._env)
        assert done.returncode in (0, 1), (words, done.stderr)
        assert "Traceback" not in done.stderr, f"{words}: {done.stderr}"
        commands = {char for char in done.stdout + done.stderr if unicodedata.category(char) == "Cc"} - {"\n", "\t"}
        assert not commands, (words, done.stdout, done.stderr)


class Asker:
    """Asks the extender as kube-scheduler and kube-apiserver do, and holds each answer to what those can bear."""

    def __init__(self, stack: Stack, url: str) -> None:
        self._url = url
        self._pool = client(stack)

    def prioritize(self, body: bytes) -> Any:
        """The scores: whatever came, a list of hosts with 0 to 10 points each."""
        status, answer = self._post("/prioritize", body)
        scores = json.loads(answer)
        assert status == 200, (status, answer, body)
        for score in scores:
            assert score.keys() == {"Host", "Score"}, (answer, body)
            assert type(score["Host"]) is str, (answer, body)
            assert score["Score"] in range(11), (answer, body)
        return scores

    def mutate(self, pod: Any, namespace: str) -> None:
        """Whatever came, it is allowed, and a patch fits."""
        resource = {"group": "", "version": "v1", "resource": "pods"}
        request = {"uid": "u", "operation": "CREATE", "namespace": namespace, "resource": resource, "object": pod}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        status, answer = self._post("/mutate", json.dumps(review).encode())
        response = json.loads(answer)["response"]
        assert status == 200, (status, answer, pod)
        # Half of a surrogate pair, which no API server sends, hides the UID from a decoder that skips what is not its.
        assert response["uid"] in ("u", ""), (answer, pod)
        assert response["allowed"] is True, (answer, pod)
        if "patch" in response:
            jsonpatch.apply_patch(pod, json.loads(b64decode(response["patch"])))

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        answer = self._pool.request("POST", self._url + path, body=body, headers={"Content-Type": "application/json"})
        return answer.status, answer.data
