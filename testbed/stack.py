"""lastnode on the local control plane: the CRDs, the node agent, recorder, extender and schedulers, put together.

Tests, demo and benchmarks start their cluster here, each with what it needs.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from lastnode.kube.fetch import fetch
from lastnode.outcome import JOURNAL, SessionRecord

from . import sandboxversions, webhook
from .api import Api
from .apply import apply
from .component import Component
from .controlplane import ControlPlane
from .errors import LocalError
from .extras import start_agent
from .paths import CRDS, REPOSITORY

SCHEDULER_CONFIG = REPOSITORY / "scheduler-config"


class Stack:
    """A control plane with what is put on it. A context manager; leaving it stops everything.

    cp: the control plane; api: plain HTTP as administrator; recorder, extender, webhook, agent: Components once
    started; trusted: a PEM file of the CAs of all that serves TLS.
    """

    def __init__(self, cp: ControlPlane) -> None:
        self.cp = cp
        self.api: Api = cp.api()
        self.agent: Component | None = None
        self.recorder: Component | None = None
        self.extender: Component | None = None
        self.webhook: Component | None = None
        self.recorder_url = ""
        self.extender_url = ""
        self.webhook_url = ""
        self.trusted = cp.dir / "trusted.pem"
        self.trusted.write_bytes(cp.ca_file.read_bytes())

    @classmethod
    def start(
        cls, *, crds: Sequence[str] = ("with-stickiness",), sandbox: Sequence[str] = ("v1beta1",), **control_plane: Any
    ) -> Self:
        """A control plane without a scheduler, with the CRDs of these folders and files of testbed/crds.

        sandbox: the versions of Sandbox that are served; none: it is not defined
        control_plane: for ControlPlane.start()"""
        stack = cls(ControlPlane.start(scheduler=False, **control_plane))
        try:
            for folder in crds:
                apply(stack.cp, CRDS / folder)
            if sandbox:
                stack.serve_sandboxes(*sandbox)
            return stack
        except BaseException:
            stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.cp.close()

    def serve_sandboxes(self, *versions: str) -> None:
        """These versions of Sandbox from now on, see testbed.sandboxversions.serve()."""
        sandboxversions.serve(self.api, *versions)

    def start_agent(self, nodes: int, *flags: str) -> Component:
        """The node agent with that many nodes, all of them Ready when this returns."""
        self.agent = start_agent(self.cp, nodes, *flags)
        return self.agent

    def start_recorder(self, *flags: str, name: str = "recorder", user: str | None = None) -> Component:
        """The recorder, ready when this returns; flags as on its command line. By default it is the only one."""
        alone = () if "--leader-elect" in flags else ("--no-leader-elect",)
        component, self.recorder_url = self._start_program(name, "recorder.program", (*alone, *flags), user)
        self.recorder = component
        return component

    def start_extender(self, *flags: str, name: str = "extender", user: str | None = None) -> Component:
        """The extender, ready when this returns; flags as on its command line."""
        component, self.extender_url = self._start_program(name, "extender.program", flags, user)
        self.extender = component
        return component

    def start_webhook(
        self, *flags: str, name: str = "webhook", user: str | None = None, register: bool = True, **registered: Any
    ) -> Component:
        """A further extender, serving TLS with a certificate of its own in dir/NAME; flags as on its command line.

        register: the API server asks it about each session's pod when this returns, see register_webhook()
        registered: for testbed.webhook.configuration()"""
        files = webhook.write_certificate(self.cp.dir / name)
        with self.trusted.open("ab") as trusted:
            trusted.write(files.ca.read_bytes())
        whole = (*files.flags, *flags)
        component, self.webhook_url = self._start_program(name, "extender.program", whole, user, files.ca)
        self.webhook = component
        if register:
            self.register_webhook(name, self.webhook_url, files.ca.read_bytes(), **registered)
        return component

    def register_webhook(self, name: str, url: str, ca: bytes, **how: Any) -> None:
        """Have the API server ask the webhook at that url, and wait until it does.

        how: for testbed.webhook.configuration()"""
        self.api.post(webhook.CONFIGURATIONS, webhook.configuration(name, f"{url}/mutate", ca, **how))
        (namespace, *_) = how.get("only", ["default"])

        def asked() -> bool:
            before = self._dry_runs(url)
            self.api.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", webhook.probe(namespace))
            return self._dry_runs(url) > before

        self.wait(asked, f"the API server to ask the webhook {name}")

    def unregister_webhook(self, name: str = "webhook") -> None:
        """The API server stops asking it, some milliseconds after this."""
        self.api.delete(f"{webhook.CONFIGURATIONS}/{name}")

    def start_scheduler(
        self, config: str, *, name: str = "kube-scheduler", verbosity: int = 2, **how: Any
    ) -> Component:
        """A real kube-scheduler with that file of scheduler-config/, its extender being ours.

        how: user and elect of ControlPlane.start_scheduler()."""
        return self.cp.start_scheduler(name, self.scheduler_config(config), verbosity, **how)

    def scheduler_config(self, config: str) -> dict[str, Any]:
        """The document of a file of scheduler-config/ with the extender's address of this run, nothing else changed."""
        document: dict[str, Any] = yaml.safe_load((SCHEDULER_CONFIG / config).read_text(encoding="utf-8"))
        document = copy.deepcopy(document)
        for extender in document.get("extenders", ()):
            if not self.extender_url:
                raise LocalError(f"{config} names an extender: start it first")
            extender["urlPrefix"] = self.extender_url
        return document

    def metrics(self, url: str) -> dict[str, float]:
        """Every sample of a program's /metrics, by its full name with labels; a kube-scheduler's too."""
        lines = fetch(f"{url}/metrics", seconds=10, ca=str(self.trusted)).decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def journal(self, pod_uid: str = "", url: str = "") -> list[SessionRecord]:
        """What the recorder, or another one at that url, says about a session, or about all that it keeps."""
        return JOURNAL.decode(fetch(f"{url or self.recorder_url}/sessions?pod_uid={pod_uid}", seconds=10)).sessions

    def wait(self, reached: Callable[[], bool], what: str, within: float = 30.0) -> None:
        """Poll until `reached`. Raises LocalError, with the end of every log, when it takes longer than that."""
        deadline = time.monotonic() + within
        while not reached():
            if time.monotonic() > deadline:
                raise LocalError(f"waited {within:g} s in vain for {what}\n{self.cp.logs_tail(8)}")
            time.sleep(0.05)

    def _dry_runs(self, url: str) -> float:
        return self.metrics(url)['lastnode_injections_total{result="dry_run"}']

    def _start_program(
        self, name: str, module: str, flags: Sequence[str], user: str | None, ca: Path | None = None
    ) -> tuple[Component, str]:
        scheme, address = "https" if ca else "http", f"127.0.0.1:{self.cp.free_port()}"
        kubeconfig = self.cp.kubeconfig if user is None else self.cp.kubeconfig_for(user)
        whose = () if "--kubeconfig" in flags else ("--kubeconfig", str(kubeconfig))
        argv = [sys.executable, "-m", module, *whose, "--bind", address]
        url = f"{scheme}://{address}"
        component = self.cp.spawn(name, [*argv, *flags], ready_url=f"{url}/readyz", ready_ca=ca, cwd=REPOSITORY)
        return component, url


def is_ready(obj: Mapping[str, Any]) -> bool:
    """Whether a node's or pod's Ready condition is True."""
    conditions = obj.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
