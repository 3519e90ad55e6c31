"""Recorder and extender under the shipped alerts, made quicker, on a cluster in which a test decides what happens."""

from __future__ import annotations

import http.client
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from testbed.errors import ApiError
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.extender.cluster import Wire, extender_args, session_pod
from tests.monitoring.observed import RULES
from tests.monitoring.promserver import PromServer
from tests.monitoring.scaled import scaled
from tests.rbac import NAMESPACE, Account, Audit
from tests.recorder.space import AGENT, INTERPRETER, SANDBOXES, WORKLOADS, Space

# An hour is 30 s, and the five minutes of a rate 2.5 s: five scrapes.
FACTOR = 120.0
SCRAPE_SECONDS = 0.5
FIRES_WITHIN = 60.0
POLL_SECONDS = 0.1
SECOND = "second-scheduler"


def nothing() -> None:
    """What happens meanwhile, by default."""


class Broken:
    """``account``: the recorder's, with exactly the rights of its manifest, which may be taken and given back."""

    def __init__(self, stack: Stack, audit: Audit, prometheus: Path, directory: Path) -> None:
        self.stack = stack
        self.account = Account(stack, audit, "recorder")
        self.space = Space(stack)
        elected = ("--leader-elect", "--lease-namespace", NAMESPACE, "--lease-duration", "3", "--schedulers", SECOND)
        self.recorder = stack.start_recorder(*elected, user=self.account.user)
        self.recorder_url = stack.recorder_url
        self.extender = stack.start_extender()
        self._wire = Wire(stack.extender_url)
        rules = directory / "rules.yaml"
        rules.write_text(yaml.safe_dump(scaled(yaml.safe_load(RULES.read_text()), FACTOR)))
        self.prometheus = PromServer(stack, prometheus, directory, rules, SCRAPE_SECONDS)
        self.prometheus.scrape(recorder=self.recorder_url, extender=stack.extender_url)
        self._numbers = itertools.count(1)
        self._make_what_is_watched()

    def fires(self, *alerts: str, meanwhile: Callable[[], object] = nothing) -> None:
        """Wait until all of these alerts fire; ``meanwhile`` goes on all the time."""
        self._until(lambda: set(alerts) <= self.prometheus.alerts("firing"), f"{', '.join(alerts)} to fire", meanwhile)

    def rests(self, *alerts: str, meanwhile: Callable[[], object] = nothing) -> None:
        """Wait until none of these alerts fires, or is about to."""
        about = ("pending", "firing")
        self._until(lambda: not set(alerts) & self.prometheus.alerts(*about), f"{', '.join(alerts)} to stop", meanwhile)

    def beat(self) -> None:
        """Something happens to an object of each kind that is watched, so that no watch is silent."""
        patch = {"metadata": {"annotations": {"example.com/beat": str(next(self._numbers))}}}
        for path in self._watched:
            self.stack.api.patch(path, patch)

    def session(self, workload: str, node: str) -> None:
        """A session of that workload becomes Ready on that node, later than all before it."""
        number = next(self._numbers)
        self.space.session(f"s{number}", node, number, workload)

    def ask(self, body: bytes | None = None, seconds: float = 10.0) -> None:
        """POST /prioritize; default: a session's pod whose Sandbox nobody knows. Not being answered is no error."""
        try:
            self._wire.request("POST", "/prioritize", self._stranger() if body is None else body, seconds)
        except (OSError, http.client.HTTPException):
            return

    @contextmanager
    def further(
        self, name: str, program: str, *flags: str, user: str | None = None, ca: Path | None = None
    ) -> Iterator[None]:
        """A further recorder or extender, alive and scraped; ready or not. ``ca``: it serves TLS, to be trusted so."""
        kubeconfig = self.stack.cp.kubeconfig if user is None else self.stack.cp.kubeconfig_for(user)
        address = f"127.0.0.1:{self.stack.cp.free_port()}"
        url = f"{'https' if ca else 'http'}://{address}"
        argv = [sys.executable, "-m", f"{program}.program", "--kubeconfig", str(kubeconfig), "--bind", address, *flags]
        component = self.stack.cp.spawn(name, argv, ready_url=f"{url}/livez", ready_ca=ca, cwd=REPOSITORY)
        self.prometheus.scrape(**{name: url})
        try:
            yield
        finally:
            component.stop()
            self.prometheus.forget(name)

    def _until(self, reached: Callable[[], bool], what: str, meanwhile: Callable[[], object]) -> None:
        deadline = time.monotonic() + FIRES_WITHIN
        while not reached():
            assert time.monotonic() < deadline, (
                f"waited {FIRES_WITHIN:g} s for {what}; firing: {sorted(self.prometheus.alerts('firing'))}\n"
                f"{self.stack.cp.logs_tail(8)}"
            )
            meanwhile()
            time.sleep(POLL_SECONDS)

    def _stranger(self) -> bytes:
        owner = {"apiVersion": "agents.x-k8s.io/v1alpha1", "kind": "Sandbox",
                 "metadata": {"name": "unknown", "uid": "8d0f2f6e-0000-4000-8000-000000000001"}}  # fmt: skip
        return extender_args(session_pod(self.space.name, owner=owner), ["a", "b"])

    def _make_what_is_watched(self) -> None:
        space, place = self.space, f"namespaces/{self.space.name}"
        node = space.node("beat")
        for kind in (AGENT, INTERPRETER):
            space.workload("beat", kind, enabled=False)
        space.pod("beat", node, sandbox=space.sandbox("beat"))
        self._watched = [
            f"/api/v1/nodes/{node}",
            f"/api/v1/{place}/pods/beat",
            f"{SANDBOXES}/{space.sandbox_version}/{place}/sandboxes/beat",
            *(f"{WORKLOADS}/{place}/{kind.lower()}s/beat" for kind in (AGENT, INTERPRETER)),
        ]


def let_in(stack: Stack, user: str) -> None:
    """Every right for that user."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    binding = {"metadata": {"name": f"{user}-may"}, "roleRef": role, "subjects": [subject]}
    try:
        stack.api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    except ApiError as error:
        if error.status != 409:  # let in already
            raise
