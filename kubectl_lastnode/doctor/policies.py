"""May pods with a preference be created where sessions run? Some policies forbid node affinity."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kubectl_lastnode.doctor import BARE, Facts, Finding, fail, ok, unknown, warn
from lastnode.injector import prefer_node
from lastnode.kube.discovery import namespaced
from lastnode.kube.errors import ApiError
from lastnode.preference import PREFERRED, carries

# Each costs one request, or two.
_MOST_NAMESPACES: Final = 20
# Session pods that are looked at for their namespaces.
_SOME: Final = 500
_NODE: Final = "lastnode-doctor"
# Of a live pod's spec, what the API server takes from nobody who creates one.
_NOT_AT_CREATION: Final = ("nodeName", "ephemeralContainers")
_REMEDY: Final = ("Allow preferred node affinity in that policy, or switch the webhook off there: "
                  "kubectl label namespace {} lastnode.dev/inject=disabled (docs/operate.md#policies).")  # fmt: skip

Object = Mapping[str, Any]


def policies(facts: Facts) -> Iterator[Finding]:
    """A session's pod with a preference, and one without where that is refused, as dry runs, which change nothing."""
    probes = _probes(facts)
    mine_first = sorted(probes, key=lambda namespace: namespace != facts.options.current_namespace)
    fine, unclear = 0, []
    for namespace in mine_first[:_MOST_NAMESPACES]:
        try:
            wrong = _try(facts, namespace, probes[namespace])
        except ApiError as error:
            unclear.append(f"{namespace}: {error}")
        else:
            fine += wrong is None
            yield from [wrong] if wrong else []
    if fine:
        yield ok(f"pods with a preference may be created in {fine} of {len(probes)} namespaces with sessions")
    if unclear:
        yield unknown(f" for {len(unclear)} namespaces, where no pod could be created as a dry run; {unclear[0]}",
                      "Ask somebody who may create pods there to run doctor.")  # fmt: skip


def _probes(facts: Facts) -> dict[str, Object]:
    """Namespace -> a pod like a session's of it; bare ones where workloads have opted in and no session runs now."""
    bare = {row.resource: {"labels": row.way.pods.example(_NODE)} for row in facts.cluster.rows}
    probes: dict[str, Object] = {}
    for pod in itertools.islice(facts.cluster.session_pods(), _SOME):
        metadata = {"labels": pod["metadata"].get("labels"), "annotations": pod["metadata"].get("annotations")}
        spec = {name: value for name, value in pod["spec"].items() if name not in _NOT_AT_CREATION}
        probes.setdefault(pod["metadata"]["namespace"], {"metadata": metadata, "spec": spec})
    for workload in facts.workloads:
        if workload.sticky:
            probes.setdefault(workload.namespace, {"metadata": bare[workload.resource], "spec": BARE})
    return probes


def _try(facts: Facts, namespace: str, pod: Object) -> Finding | None:
    """What is wrong, if anything. :raises ApiError: no pod is taken at all, or none by this person."""
    try:
        made = _create(facts, namespace, {**pod, "spec": prefer_node(pod["spec"], _NODE)})
    except ApiError as error:
        refused = error
    else:
        affinity = made["spec"].get("affinity") or {}
        if carries((affinity.get("nodeAffinity") or {}).get(PREFERRED), _NODE, _NODE):
            return None
        return warn(f"{namespace}: something takes the preference away from new pods", _REMEDY.format(namespace))
    _create(facts, namespace, pod)
    return fail(f"{namespace}: pods with a preference are refused: {refused}", _REMEDY.format(namespace))


def _create(facts: Facts, namespace: str, pod: Object) -> Any:
    metadata = {**pod["metadata"], "generateName": f"{_NODE}-"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
    return facts.cluster.post(namespaced("/api/v1/pods", namespace), body, {"dryRun": "All"})
