"""Who needs which right, as one table: RBAC of the chart, the tables in the docs and doctor's checks follow from it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from lastnode.kinds import Kind, Ways
from lastnode.kube.discovery import Served

# In the table they stand for the resource of each kind of workload, and of what their sessions' pods lead through.
WORKLOADS: Final = "workloads"
CONTROLLERS: Final = "controllers"
# Whoever uses kubectl lastnode, beside the programs.
YOU: Final = "you"
# What the recorder needs beside its rights, only with that option.
NOMINATING: Final = "recorder with --nominate"


class Right(NamedTuple):
    """``resource``: ``plural.group``, WORKLOADS or CONTROLLERS. ``scope``: "cluster", "own" (the programs' namespace),
    "lease" or "token" (the one object there). ``why``: what the program does with it; of yours, what is lost without.
    """

    verbs: tuple[str, ...]
    resource: str
    why: str
    scope: str = "cluster"

    def __str__(self) -> str:
        return f"{', '.join(self.verbs)} {self.resource}"


_SEES: Final = ("list", "watch")
_LEASES: Final = "leases.coordination.k8s.io"
_VIEW: Final = (
    Right(_SEES, "nodes", "an entry of the memory counts while its node is there, Ready and not cordoned"),
    Right(_SEES, CONTROLLERS, "which workload a session belongs to"),
    Right(_SEES, WORKLOADS, "opt-in and memory"),
)
# Each program's rights; of yours, those that the other commands need.
RIGHTS: Final[Mapping[str, tuple[Right, ...]]] = {
    "recorder": (
        *_VIEW,
        Right(_SEES, "pods", "sessions that become Ready, and what filled the node that one missed"),
        Right(("create",), "events", "why a session moved, beside its workload"),
        Right(("get",), WORKLOADS, "the fresh state, when a write met another one (409)"),
        Right(("patch",), WORKLOADS, "the memory is written as two annotations"),
        Right(("get", "update"), _LEASES, "which replica writes", "lease"),
        Right(("create",), _LEASES, "the first replica makes the Lease: RBAC cannot bind a create to a name", "own"),
    ),
    NOMINATING: (Right(("patch",), "pods/status", "which node kube-scheduler is to try first"),),
    "extender": _VIEW,
    YOU: (
        Right(("list",), WORKLOADS, "list shows nothing"),
        Right(("get",), WORKLOADS, "show finds nothing"),
        Right(("patch",), WORKLOADS, "forget is refused"),
        Right(("list",), "nodes", "whether a node is still there is not looked at"),
        Right(("get",), "pods", "explain cannot look at a pod"),
        Right(("list",), "events", "explain does not see Events"),
        Right(("get",), CONTROLLERS, "explain cannot tell whose session a pod is"),
        Right(("list",), "configmaps", "kinds by configuration are not known: name a file with --config", "own"),
        Right(("list",), "pods",
              "recorders and extenders are not found: name them with --recorder-url, --extender-url", "own"),
        Right(("get",), "pods/proxy",
              "their pods cannot be asked: name them with --recorder-url, --extender-url", "own"),
        Right(("get",), "secrets", "report cannot read the token of all sessions: use kubectl port-forward", "token"),
    ),
}  # fmt: skip


def needed(by: str, kinds: Sequence[Kind]) -> list[Right]:
    """The table's rows of a program, or of YOU, with one verb and one real resource each, and none twice."""
    named = {WORKLOADS: tuple(kind.resource for kind in kinds), CONTROLLERS: Ways(kinds).through}
    found = (
        right._replace(verbs=(verb,), resource=resource)
        for right in RIGHTS[by]
        for resource in named.get(right.resource, (right.resource,))
        for verb in right.verbs
    )
    return list({(right.verbs, right.resource, right.scope): right for right in found}.values())


def unfit(resource: str, served: Served, kinds: Sequence[Kind]) -> str:
    """Why the rows that name a resource cannot work with it as it is served; empty where they can."""
    if not served.namespaced:
        return f"{resource} is cluster-scoped, and pods lead to objects of their namespace"
    wanted = {right.verbs[0] for right in needed("recorder", kinds) if right.resource == resource}
    missing = ", ".join(sorted(wanted - served.verbs))
    return f"the API server knows no {missing} for {resource}" if missing else ""
