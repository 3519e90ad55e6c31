"""A program under the ServiceAccount that the chart gives it, with the API server's audit log as the witness."""

from __future__ import annotations

import itertools
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import yaml

from lastnode.daemon.rows import Row
from lastnode.kube.queue import CAP_SECONDS, FIRST_SECONDS
from testbed.apply import apply
from testbed.binaries import find_tools
from testbed.component import Component
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tools.render import NAMESPACE, setup

ROLES = ("ClusterRole", "Role")
# The setup of the chart in which a program has pods of its own.
SETUPS = {"recorder": "webhook", "extender": "webhook", "scheduler": "second-scheduler"}
FORBIDDEN = 403
REFUSALS = 2  # in a row, where the pace is looked at for longer
# Kinds of workloads as somebody may configure them: one that controls its pods, and one that controls what does.
ROWS = (
    Row(resource="statefulsets.apps", pods="app=trainer"),
    Row(resource="cronjobs.batch", pods="batch.kubernetes.io/job-name", through="jobs.batch"),
)

Object = dict[str, Any]


class Right(NamedTuple):
    """One verb on one resource, as RBAC and the audit log name it; the group of a core resource is empty."""

    verb: str
    group: str
    resource: str

    @property
    def collection(self) -> str:
        """``plural.group``, as the programs name a resource in logs and metrics."""
        return ".".join(filter(None, (self.resource, self.group)))


class Asked(NamedTuple):
    """One request in the audit log; ``at``: Unix seconds when the server received it. ``selector``: of labels."""

    right: Right
    code: int
    at: float
    selector: str


def as_json(rows: Iterable[Row]) -> str:
    """As the chart's values and the programs' flag --kinds take them."""
    return json.dumps([row.model_dump(by_alias=True, exclude_defaults=True) for row in rows])


@cache
def manifest(program: str, rows: tuple[Row, ...] = (), value: str = "") -> list[Object]:
    """What the chart renders to give a program rights: its ServiceAccount, all that is bound to it, and the roles.
    ``value``: one further KEY=VALUE of the chart."""
    further = ("--set", value) if value else ()
    objects = setup(find_tools().helm.path, SETUPS[program], "--set-json", f"kinds={as_json(rows)}", *further)
    account = {"kind": "ServiceAccount", "name": f"lastnode-{program}", "namespace": NAMESPACE}
    bindings = [obj for obj in objects if obj["kind"].endswith("RoleBinding") and account in obj["subjects"]]
    wanted = [(binding["roleRef"]["kind"], binding["roleRef"]["name"]) for binding in bindings]
    wanted.append((account["kind"], account["name"]))
    return [*(obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) in wanted), *bindings]


def granted(documents: Iterable[Object]) -> set[Right]:
    """Everything that the roles among the documents allow."""
    return {right for document in documents if document["kind"] in ROLES for right, _ in _rules(document)}


def watched(documents: Iterable[Object]) -> list[str]:
    """The collections that may be watched, each once."""
    return sorted(right.collection for right in granted(documents) if right.verb == "watch")


def keeps_the_pace(moments: list[float]) -> bool:
    """Whether the n-th pause between attempts is at least what the back-off promises: half of first * 2**n, capped.

    Time lost on the way makes a pause longer, never shorter: a slow machine cannot break this.
    """
    pauses = [later - earlier for earlier, later in itertools.pairwise(sorted(moments))]
    promised = (min(CAP_SECONDS, FIRST_SECONDS * 2.0**n) / 2 for n in range(len(pauses)))
    return all(pause >= least for pause, least in zip(pauses, promised, strict=True))


def insists(account: Account, collection: str) -> bool:
    """Whether each stream of requests for that collection was refused so often that its pace can be looked at."""
    streams = account.refused(collection)
    return bool(streams) and all(len(stream) >= REFUSALS for stream in streams)


class Audit:
    """The audit log of a control plane that was started with ``flags``; only ServiceAccounts of ours are in it."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "audit.log"
        self._read = 0  # bytes
        self._events: dict[str, Object] = {}
        ours = {"level": "Metadata", "userGroups": [f"system:serviceaccounts:{NAMESPACE}"]}
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
        path = directory / "audit-policy.yaml"
        path.write_text(yaml.safe_dump(policy | {"rules": [ours, {"level": "None"}]}), encoding="utf-8")
        self.flags = {"audit-policy-file": str(path), "audit-log-path": str(self._log)}

    def of(self, user: str) -> list[Object]:
        """The user's requests so far, each once (a watch is noted at its start and at its end)."""
        self._read_on()
        return [event for event in self._events.values() if event["user"]["username"] == user]

    def _read_on(self) -> None:
        if not self._log.exists():
            return
        with self._log.open("rb") as log:
            log.seek(self._read)
            complete, end, _ = log.read().rpartition(b"\n")
        self._read += len(complete + end)
        self._events |= {event["auditID"]: event for event in map(json.loads, complete.splitlines())}


class Account:
    """The ServiceAccount of a program on a running cluster, and what it asked for since :meth:`forget`."""

    def __init__(self, stack: Stack, audit: Audit, program: str, rows: tuple[Row, ...] = (), value: str = "") -> None:
        self.stack = stack
        self.name = f"lastnode-{program}"
        self.user = f"system:serviceaccount:{NAMESPACE}:{self.name}"
        self.documents = manifest(program, rows, value)
        self.granted = granted(self.documents)
        self._limits = _limits(self.documents)
        self._in_force = self.granted
        self._audit = audit
        self._before = 0
        apply(stack.cp, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *self.documents])
        self._until_in_force(self.granted, allowed=True)

    @property
    def kubeconfig(self) -> Path:
        return self.stack.cp.kubeconfig_for(self.user)

    def allow_only(self, rights: set[Right]) -> None:
        """Cut its roles down to these rights, and wait until the authorizer knows."""
        if rights == self._in_force:
            return
        self._in_force = rights
        for document in self.documents:
            if document["kind"] in ROLES:
                apply(
                    self.stack.cp, document | {"rules": [rule for right, rule in _rules(document) if right in rights]}
                )
        self._until_in_force(rights & self.granted, allowed=True)
        self._until_in_force(self.granted - rights, allowed=False)

    def restore(self) -> None:
        self.allow_only(self.granted)

    def forget(self) -> None:
        """Count requests from here on."""
        self._before = len(self._audit.of(self.user))

    def asked(self) -> list[Asked]:
        """The requests for resources."""
        return [_asked(event) for event in self._events() if "objectRef" in event]

    def rights_asked(self) -> set[Right]:
        return {asked.right for asked in self.asked()}

    def refused(self, collection: str) -> list[list[float]]:
        """When requests for that collection were forbidden, for each stream of them."""
        streams: dict[str, list[float]] = {}
        for asked in self.all_refused():
            if asked.right.collection == collection:
                streams.setdefault(asked.selector, []).append(asked.at)
        return list(streams.values())

    def other_paths(self) -> set[str]:
        """The paths that are no resources: discovery."""
        return {event["requestURI"] for event in self._events() if "objectRef" not in event}

    def all_refused(self) -> list[Asked]:
        return [asked for asked in self.asked() if asked.code == FORBIDDEN]

    def _events(self) -> list[Object]:
        return self._audit.of(self.user)[self._before :]

    def _until_in_force(self, rights: Iterable[Right], allowed: bool) -> None:
        for right in rights:
            self.stack.wait(lambda right=right: self._may(right) is allowed, f"{right} to be {allowed}")  # type: ignore[misc]

    def _may(self, right: Right) -> bool:
        # Namespace and name for the rules that are limited to them; they take nothing from the others.
        attributes = right._asdict() | {"namespace": NAMESPACE, "name": self._limits.get(right, self.name)}
        review = {"spec": {"user": self.user, "resourceAttributes": attributes}}
        answer = self.stack.api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])


class Program:
    """A program of ours as an account. Started by ``start``, ready or not: that is what the tests look at."""

    def __init__(self, account: Account, module: str, kubeconfig: Path, name: str) -> None:
        self._account = account
        self._module = module
        self._kubeconfig = kubeconfig
        self._name = name
        self._component: Component | None = None
        self.url = f"http://127.0.0.1:{account.stack.cp.free_port()}"

    def start(self, *flags: str) -> None:
        self._account.forget()
        argv = [sys.executable, "-m", self._module, "--kubeconfig", str(self._kubeconfig)]
        argv += ["--bind", self.url.removeprefix("http://"), "--log-level", "debug", *flags]
        spawn = self._account.stack.cp.spawn
        self._component = spawn(self._name, argv, ready_url=f"{self.url}/livez", cwd=REPOSITORY)

    def stop(self) -> None:
        if self._component is not None:
            self._component.kill()

    def readiness(self) -> tuple[int, str]:
        """Status and text of /readyz."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def is_ready(self) -> bool:
        return self.readiness()[0] == 200

    def misses(self, collection: str) -> bool:
        """Whether /readyz says that this resource is refused."""
        status, text = self.readiness()
        return status == 503 and any(f"[-]{collection} " in line and " 403 " in line for line in text.splitlines())

    def says_forbidden(self, collection: str) -> bool:
        """Whether a line of the log names the refusal and the resource."""
        return any(collection in line and " 403 " in line for line in self._lines())

    def refusals(self, collection: str) -> float:
        """lastnode_watch_failures_total of that resource for the reason "refused"."""
        labels = f'{{reason="refused",resource="{collection}"}}'
        return self.metric(f"lastnode_watch_failures_total{labels}")

    def metric(self, name: str) -> float:
        return self._account.stack.metrics(self.url).get(name, 0.0)

    def _lines(self) -> list[str]:
        assert self._component is not None
        return self._component.log.read_text(encoding="utf-8").splitlines()


def _rules(role: Object) -> list[tuple[Right, Object]]:
    """The role's rules cut into single rights, each with the rule that gives it and nothing else."""
    return [
        (Right(verb, group, name), rule | {"apiGroups": [group], "resources": [name], "verbs": [verb]})
        for rule in role["rules"]
        for group, name, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
    ]


def _limits(documents: Iterable[Object]) -> dict[Right, str]:
    """The first name that each right is limited to."""
    rules = (rule for document in documents if document["kind"] in ROLES for rule in _rules(document))
    return {right: rule["resourceNames"][0] for right, rule in rules if "resourceNames" in rule}


def _asked(event: Object) -> Asked:
    ref = event["objectRef"]
    resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
    right = Right(event["verb"], ref.get("apiGroup", ""), resource)
    at = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
    selector = parse_qs(urlsplit(event["requestURI"]).query).get("labelSelector", [""])[0]
    return Asked(right, event.get("responseStatus", {}).get("code", 0), at, selector)
