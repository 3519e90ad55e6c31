"""Who may do what: me, and the accounts of the programs. Asked from the API server, not read out of roles."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from kubectl_lastnode.doctor.finding import Finding, fail, ok, warn
from kubectl_lastnode.doctor.look import Account, Look
from kubectl_lastnode.replicas import RECORDER
from lastnode import contract
from lastnode.kube.errors import Refused

_REVIEWS: Final = "/apis/authorization.k8s.io/v1"
_LEASES: Final = "leases.coordination.k8s.io"


class Need(NamedTuple):
    """A verb on ``plural.group``; ``why``: what is lost without it. ``scope``: "cluster", "own" (the program's
    namespace) or "lease" (the one object there)."""

    verb: str
    resource: str
    why: str
    scope: str = "cluster"

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def mine(workloads: Iterable[str]) -> list[Need]:
    """What the other commands ask for."""
    needs = [Need(verb, each, why) for each in workloads for verb, why in (
        ("list", "list shows nothing"), ("get", "show finds nothing"), ("patch", "forget is refused"))]  # fmt: skip
    return [
        *needs,
        Need("list", "nodes", "whether a node is still there is not looked at"),
        Need("get", "pods", "explain cannot look at a pod"),
        Need("list", "events", "explain does not see Events"),
        Need("get", contract.SANDBOX_RESOURCE, "explain cannot tell whose session a pod is"),
        Need("list", "pods", "recorders and extenders are not found: name them with --recorder-url, --extender-url"),
        Need("get", "pods/proxy", "their pods cannot be asked: name them with --recorder-url, --extender-url"),
    ]


def programs(program: str, workloads: Iterable[str], sandbox: str = contract.SANDBOX_RESOURCE) -> list[Need]:
    """What a program cannot do without: deploy/rbac, and docs/permissions.md for the reasons."""
    recorder = program == RECORDER
    needs = [Need(verb, name, "") for name in ("nodes", sandbox, *workloads) for verb in ("list", "watch")]
    if recorder:
        needs += [Need("list", "pods", ""), Need("watch", "pods", ""), Need("create", "events", "")]
        needs += [Need(verb, name, "") for name in workloads for verb in ("get", "patch")]
        needs += [Need("get", _LEASES, "", "lease"), Need("update", _LEASES, "", "lease")]
        needs += [Need("create", _LEASES, "", "own")]
    return needs


def own(look: Look) -> Iterator[Finding]:
    """May I read what the other commands need?"""
    missing = [need for need in mine(look.cluster.resources) if not _i_may(look, need)]
    if not missing:
        yield ok("my-rights", "you may read and write what all commands need")
    for need in missing:
        yield warn("my-rights", f"you may not {need}: {need.why}", "Ask for a role that allows it.")


def accounts(look: Look) -> Iterator[Finding]:
    """May the programs do their work?"""
    if not look.accounts:
        yield warn("accounts", "cannot know: no Deployment of ours (app.kubernetes.io/part-of=lastnode) says whom "
                   "recorder and extender work as", "See docs/permissions.md for what they need.")  # fmt: skip
    for account in look.accounts:
        yield _account(look, account)


def _account(look: Look, account: Account) -> Finding:
    needs = programs(account.program, look.cluster.resources)
    try:
        missing = [str(need) for need in needs if not _may(look, account, need)]
    except Refused as error:
        return warn("accounts", f"cannot know whether {account.user} may do its work: {error}",
                    "Ask somebody who may create SubjectAccessReviews.")  # fmt: skip
    if missing:
        remedy = f"kubectl apply -f deploy/rbac/{account.program}.yaml, or the chart with rbac.create."
        return fail("accounts", f"{account.user} may not {', '.join(missing)}", remedy)
    return ok("accounts", f"{account.user} may do what {account.program} needs")


def _i_may(look: Look, need: Need) -> bool:
    return _allowed(look, "selfsubjectaccessreviews", {"resourceAttributes": _attributes(need)})


def _may(look: Look, account: Account, need: Need) -> bool:
    attributes = _attributes(need)
    if need.scope != "cluster":
        attributes["namespace"] = account.namespace
    if need.scope == "lease":
        attributes["name"] = account.deployment
    return _allowed(look, "subjectaccessreviews", {"user": account.user, "resourceAttributes": attributes})


def _attributes(need: Need) -> dict[str, str]:
    plain, _, subresource = need.resource.partition("/")
    resource, _, group = plain.partition(".")
    return {"verb": need.verb, "group": group, "resource": resource, "subresource": subresource}


def _allowed(look: Look, reviews: str, spec: dict[str, Any]) -> bool:
    kind = "SelfSubjectAccessReview" if reviews.startswith("self") else "SubjectAccessReview"
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    return bool(look.cluster.post(f"{_REVIEWS}/{reviews}", body)["status"]["allowed"])
