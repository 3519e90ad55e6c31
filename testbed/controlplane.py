"""A real control plane on loopback: etcd, kube-apiserver with RBAC, kube-scheduler, and whatever is put beside them."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from . import commands, credentials, schedulerconfig, serviceaccounts
from .api import Api, answers, answers_as
from .binaries import Binaries, find
from .component import Component, Guard, Ready
from .credentials import ADMIN, NOBODY, SCHEDULER, User
from .errors import LocalError, PortTaken
from .ports import Ports, shared_ports
from .schedulerconfig import SchedulerConfig

# Ports are reserved against our own kind; against others a fresh start is the remedy.
_START_TRIES = 3
# What a component has for an orderly end, where it matters.
_ORDERLY_SECONDS = 10.0
# kube-apiserver waits for its watchers, up to a minute. Its state is in etcd: nothing is lost by not waiting.
_APISERVER_SECONDS = 1.0


class ControlPlane:
    """A running control plane. Made by start(); a context manager that closes it.

    url:         of the API server, https://127.0.0.1:PORT
    ca_file:     what its certificate is verified with
    dir:         data, certificates, logs/ and kubeconfigs/ of this run
    kubeconfig:  of an administrator (system:masters)
    etcd, apiserver, scheduler: Components; scheduler is None when start() was asked for none
    """

    def __init__(self, guard: Guard, binaries: Binaries, ports: Ports, keep: bool) -> None:
        self.dir = guard.directory
        self.ca_file = self.dir / "certs" / "apiserver.crt"
        self.etcd: Component
        self.apiserver: Component
        self.scheduler: Component | None = None
        self.url = ""
        self._guard = guard
        self._binaries = binaries
        self._ports = ports
        self._reserved: list[int] = []
        self._components: list[Component] = []
        self._users: dict[str, User] = {}
        # Nothing is left to save of a directory that is removed, and an orderly end of etcd and the API server
        # takes 2 s each.
        self._grace = _ORDERLY_SECONDS if keep else 0.0

    @classmethod
    def start(
        cls,
        *,
        binaries: Binaries | None = None,
        scheduler: bool = True,
        scheduler_config: SchedulerConfig | None = None,
        users: Mapping[str, Sequence[str]] | None = None,
        apiserver_flags: Mapping[str, str] | None = None,
        apiserver_env: Mapping[str, str] | None = None,
        port: int | None = None,
        directory: Path | None = None,
        ports: Ports | None = None,
    ) -> Self:
        """Start a control plane and wait until it is ready.

        binaries:         default: find(), which builds what is missing
        scheduler:        False starts none; start_scheduler() can start some later
        scheduler_config: a KubeSchedulerConfiguration, or its path, for it; default: the scheduler's own defaults
        users:            further users of kubeconfig_for(): name -> groups
        apiserver_flags:  more flags for kube-apiserver, or others in place of ours: {"runtime-config": "api/all=true"}
        apiserver_env:    added to its environment, as {"GOGC": "400"}
        port:             the API server's; default: a free one
        directory:        kept at the end, and taken up again with its data when it has some; default: a temporary
                          one that is removed
        ports:            where free ports come from

        Raises StartError (with the end of the failing component's log), BinaryError, LocalError.
        """
        binaries = binaries or find()
        for attempt in range(1, _START_TRIES + 1):
            plane = cls(Guard.start(directory), binaries, ports or shared_ports(), keep=directory is not None)
            try:
                plane._start_server(users or {}, apiserver_flags or {}, apiserver_env or {}, port)
                if scheduler:
                    plane.scheduler = plane.start_scheduler("kube-scheduler", scheduler_config)
                return plane
            except BaseException as error:
                plane.close()
                if not isinstance(error, PortTaken) or attempt == _START_TRIES:
                    raise
        raise AssertionError("not reached")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything, the newest first, and remove the directory unless it was given. Harmless when repeated."""
        self._guard.close()
        while self._reserved:
            self._ports.release(self._reserved.pop())

    @property
    def kubernetes(self) -> str:
        """The API server's version, as 1.37.2."""
        return self._binaries.apiserver.version

    @property
    def guard_pid(self) -> int:
        return self._guard.pid

    @property
    def kubeconfig(self) -> Path:
        return self.kubeconfig_for(ADMIN)

    def kubeconfig_for(self, user: str) -> Path:
        """A kubeconfig of that user: one of start(users=…), "admin", "nobody" (no groups, no rights), or at any time
        "system:serviceaccount:NAMESPACE:NAME", which is made when missing and needs RBAC for all it does."""
        path = self.dir / "kubeconfigs" / (re.sub(r"[^\w.-]", "-", user) + ".yaml")
        # Written anew each time: an account that was deleted and made again refuses the tokens of the former one.
        return credentials.write_yaml(path, credentials.kubeconfig(self.url, self.ca_file, self._token(user)))

    def api(self, user: str = ADMIN) -> Api:
        """Plain HTTP as that user (see kubeconfig_for)."""
        return Api(self.url, self.ca_file, self._token(user))

    def start_scheduler(
        self,
        name: str,
        config: SchedulerConfig | None = None,
        verbosity: int = 2,
        *,
        user: str = SCHEDULER,
        elect: bool = False,
    ) -> Component:
        """A further kube-scheduler beside the others; `name` is the component's, its profiles are in `config`.

        user:  whom it works as (see kubeconfig_for)
        elect: it elects a leader as `config` says, and may be ready before it leads; default: it leads at once
        Component.url serves the probes and /metrics to anybody on this machine, verified with ca_file."""
        filled = schedulerconfig.for_this_server(config, self.kubeconfig_for(user), elect)
        path = credentials.write_yaml(self.dir / "schedulers" / f"{name}.yaml", filled)
        port = self.free_port()
        argv = commands.scheduler(self._binaries.scheduler, path, self.ca_file, port, verbosity)
        url = f"https://127.0.0.1:{port}"
        return self._start(name, argv, lambda: answers(f"{url}/readyz", self.ca_file), self._grace, url=url)

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ready_url: str | None = None,
        ready_ca: Path | None = None,
        grace: float = _ORDERLY_SECONDS,
    ) -> Component:
        """Any further program, under the same guard: it ends with the control plane, at the latest.

        argv:      argv[0] without a "/" is looked up on PATH
        env:       added to this process's environment
        ready_url: waited for until it answers 200; default: nothing is waited for
        ready_ca:  what an https ready_url is verified with; default: ca_file
        grace:     seconds that it has after SIGTERM when all is closed; 0: it is killed
        Its output goes to dir/logs/NAME.log.
        """

        def ready() -> bool:
            return ready_url is None or answers(ready_url, ready_ca or self.ca_file)

        return self._start(name, [str(word) for word in argv], ready, grace, env=env, cwd=cwd)

    def free_port(self) -> int:
        """A loopback port that no other control plane will take while this one lives."""
        port = self._ports.reserve()
        self._reserved.append(port)
        return port

    def logs_tail(self, lines: int = 25) -> str:
        """The last lines of every component's log, for a failing test."""
        return "\n".join(f"--- {c.name} ({c.log})\n{c.tail(lines)}" for c in self._components)

    def _start_server(
        self,
        users: Mapping[str, Sequence[str]],
        flags: Mapping[str, str],
        env: Mapping[str, str],
        port: int | None,
    ) -> None:
        etcd_port, own_port = self.free_port(), port or self.free_port()
        etcd_url, self.url = f"http://127.0.0.1:{etcd_port}", f"https://127.0.0.1:{own_port}"
        everyone = {ADMIN: ["system:masters"], SCHEDULER: [], NOBODY: [], **users}
        self._users = {name: credentials.new_user(name, groups) for name, groups in everyone.items()}
        token_file = self.dir / "tokens.csv"
        credentials.write_token_file(token_file, self._users.values())

        durable = self._grace > 0  # the directory outlives this run
        member = f"local-{secrets.token_hex(4)}"
        argv = commands.etcd(self._binaries.etcd, member, self.dir / "etcd", etcd_port, durable)
        self.etcd = self._start("etcd", argv, lambda: answers_as(etcd_url, member), self._grace, url=etcd_url)
        both = (own_port, etcd_port)
        argv = commands.apiserver(self._binaries.apiserver, self.ca_file.parent, token_file, both, flags)
        token = self._users[ADMIN].token

        def ready() -> bool:
            return answers(f"{self.url}/readyz", self.ca_file, token)

        grace = min(self._grace, _APISERVER_SECONDS)
        self.apiserver = self._start("kube-apiserver", argv, ready, grace, url=self.url, env=env)
        self.apiserver.orderly_seconds = _APISERVER_SECONDS

    def _start(
        self,
        name: str,
        argv: Sequence[str],
        ready: Ready,
        grace: float,
        *,
        url: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Component:
        component = Component(
            name=name,
            argv=argv,
            log=self.dir / "logs" / f"{name}.log",
            guard=self._guard,
            env={**os.environ, **(env or {})},
            cwd=cwd or Path.cwd(),
            ready=ready,
            grace=grace,
            url=url,
        )
        self._components.append(component)
        component.start()
        return component

    def _token(self, user: str) -> str:
        if user in self._users:
            return self._users[user].token
        if user.count(":") == 3 and user.startswith(serviceaccounts.PREFIX):
            return serviceaccounts.token(self.api(), user)
        known = ", ".join(sorted(self._users))
        raise LocalError(
            f"no user {user!r}: known are {known}; name more in start(users=…), "
            f"or use {serviceaccounts.PREFIX}NAMESPACE:NAME, which may be new at any time"
        )
