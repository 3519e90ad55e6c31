"""Do the kinds of workloads fit: served, of use, opted in, and shown to the webhook?"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kubectl_lastnode.doctor import Facts, Finding, fail, ok, warn
from kubectl_lastnode.output import some
from lastnode.contract import STICKINESS, STICKINESS_ENABLED
from lastnode.kinds import Kind, Way, Ways
from lastnode.rights import unfit

_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_VALUE: Final = "lastnode-doctor"


def kinds(facts: Facts) -> Iterator[Finding]:
    """Is there the resource of each row, and can the programs work with it?"""
    for kind in facts.cluster.rows:
        if kind.resource in facts.served:
            yield _judged(facts, kind.resource)
        elif kind.name:
            yield ok(f"{kind.resource} is not installed, and not needed where nobody has any")
        else:
            yield warn(f"{kind.resource} is not installed: its row waits for it", "Install it, or mend the row.")
    if not facts.kinds:
        yield fail("no kind of workload is installed",
                   "Install agentcube or agent-sandbox, or configure kinds of your own (docs/install.md).")  # fmt: skip


def controllers(facts: Facts) -> Iterator[Finding]:
    """What stands between sessions' pods and the workloads that there are."""
    ways = Ways(facts.kinds)
    for resource in ways.through:
        if resource in facts.served:
            yield _judged(facts, resource)
        elif all(way.named_by and way.pods_say for way in ways.all if way.through == resource):
            yield warn(f"{resource} is not installed: only pods that name their workload themselves have one",
                       "Install what brings it.")  # fmt: skip
        else:
            yield fail(f"{resource} is not installed: whose session is a pod?", "Install what brings it.")


def fields(facts: Facts) -> Iterator[Finding]:
    """May workloads opt in by spec.nodeStickiness?"""
    for kind in facts.kinds:
        if not kind.field:
            continue
        if has_field(facts.cluster.read(f"{_DEFINITIONS}/{kind.resource}")):
            yield ok(f"{kind.resource} has spec.nodeStickiness")
        else:
            yield warn(f"{kind.resource} has no spec.nodeStickiness: the API server drops that field without a word",
                       f"Opt in by annotation ({_opt_in(kind)}), or add the field: deploy/crds/README.md.")  # fmt: skip


def has_field(definition: Any) -> bool:
    """Whether every served version knows spec.nodeStickiness, or keeps fields that it does not know."""
    for version in (version for version in definition["spec"]["versions"] if version["served"]):
        schema = version.get("schema", {}).get("openAPIV3Schema", {})
        spec = schema.get("properties", {}).get("spec", {})
        if "nodeStickiness" not in spec.get("properties", {}) and not spec.get("x-kubernetes-preserve-unknown-fields"):
            return False
    return True


def opted_in(facts: Facts) -> Iterator[Finding]:
    """Whether there is anything to do at all."""
    sticky = [workload.resource for workload in facts.workloads if workload.sticky]
    everybody = [workload.resource for workload in facts.workloads]
    told = ", ".join(f"{sticky.count(each)} of {everybody.count(each)} {each}" for each in dict.fromkeys(everybody))
    text = f"opted in: {told or 'nobody, there are no workloads'}"
    remedy = "; ".join(map(_opt_in, facts.kinds)) or "Install a kind of workload first."
    yield ok(text) if sticky else warn(text, remedy)


def annotations(facts: Facts) -> Iterator[Finding]:
    """Is what people wrote on workloads heeded?"""
    found = [f"{each.workload_key}: {line}" for each in facts.workloads for line in facts.cluster.ignored(each)]
    wrong = warn(f"not heeded: {some(found)}", "Correct it, or take it away; `kubectl lastnode show` says it of each.")
    yield wrong if found else ok("whatever the workloads' annotations say counts")


def shown(facts: Facts) -> Iterator[Finding]:
    """Is the API server to ask the webhook about each kind's pods?"""
    for way in Ways(facts.kinds).all if facts.webhooks else ():
        if names := [hook["name"] for hook in facts.webhooks if is_shown(hook, way)]:
            yield ok(f"{' and '.join(names)} asks about pods with {way.pods}")
        else:
            yield warn(f"no webhook asks about pods with {way.pods}: only kube-scheduler's extender serves them",
                       "Give the chart the same rows under kinds.")  # fmt: skip


def is_shown(hook: Any, way: Way) -> bool:
    """Whether a webhook selects the pods that lead to workloads in that way. Pure."""
    return selects(hook.get("objectSelector") or {}, way.pods.example(_VALUE))


def selects(selector: Any, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector selects an object with these labels. Pure."""
    wanted = (selector.get("matchLabels") or {}).items()
    return wanted <= labels.items() and all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(asked: Any, labels: Mapping[str, str]) -> bool:
    found = labels.get(asked["key"])
    holds = found is not None if "Exist" in asked["operator"] else found in asked["values"]
    return holds is (asked["operator"] in ("Exists", "In"))


def _judged(facts: Facts, resource: str) -> Finding:
    served = facts.served[resource]
    if wrong := unfit(resource, served, facts.cluster.rows):
        return fail(wrong, "Take its row away: the programs refuse it at their next start.")
    return ok(f"{resource} is served as {served.version}")


def _opt_in(kind: Kind) -> str:
    return f"kubectl annotate {kind.resource} NAME {kind.annotation(STICKINESS)}={STICKINESS_ENABLED}"
