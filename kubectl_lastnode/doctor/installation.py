"""Are the definitions there, and has anybody opted in?"""

from collections.abc import Iterator
from typing import Any, Final

from kubectl_lastnode.doctor.finding import Finding, fail, ok, warn
from kubectl_lastnode.doctor.look import Look
from lastnode import contract
from lastnode.kube.discovery import NotServed, collection_path
from lastnode.kube.errors import NotFound

_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_OPT_IN: Final = f"kubectl annotate KIND NAME {contract.STICKINESS_ANNOTATION}={contract.STICKINESS_ENABLED}"


def definitions(look: Look) -> Iterator[Finding]:
    """Of the workloads, and whether they have the field."""
    served = 0
    for resource in look.cluster.resources:
        try:
            definition = look.cluster.read(f"{_DEFINITIONS}/{resource}")
        except NotFound:
            continue
        served += 1
        yield _field(resource, definition)
    if not served:
        names = ", ".join(look.cluster.resources)
        yield fail("workload-crds", f"none of {names} is installed", "Install agentcube, or name your kinds of "
                   "workloads with --workload-resources.")  # fmt: skip


def _field(resource: str, definition: Any) -> Finding:
    if has_field(definition):
        return ok("workload-crds", f"{resource} has spec.nodeStickiness")
    text = f"{resource} has no spec.nodeStickiness: the API server drops that field without a word"
    return warn("workload-crds", text, f"Opt in by annotation ({_OPT_IN}), or add the field: deploy/crds/README.md.")


def has_field(definition: Any) -> bool:
    """Whether every served version knows spec.nodeStickiness, or keeps fields that it does not know."""
    versions = [version for version in definition["spec"]["versions"] if version["served"]]
    return all(_knows(version.get("schema", {}).get("openAPIV3Schema", {})) for version in versions)


def _knows(schema: Any) -> bool:
    spec = schema.get("properties", {}).get("spec", {})
    return "nodeStickiness" in spec.get("properties", {}) or bool(spec.get("x-kubernetes-preserve-unknown-fields"))


def sandboxes(look: Look) -> Iterator[Finding]:
    """A session's pod belongs to a Sandbox, which alone says whose it is."""
    try:
        version = collection_path(look.cluster.api, contract.SANDBOX_RESOURCE).rsplit("/", 1)[0].removeprefix("/apis/")
        yield ok("sandbox-crd", f"Sandbox is served as {version}")
    except NotServed:
        yield fail("sandbox-crd", f"{contract.SANDBOX_RESOURCE} is not installed: whose session is a pod?",
                   "Install agent-sandbox.")  # fmt: skip


def opted_in(look: Look) -> Iterator[Finding]:
    """Whether there is anything to do at all."""
    sticky = sum(workload.sticky for workload in look.workloads)
    text = f"{sticky} of {len(look.workloads)} workloads opted in"
    yield ok("opted-in", text) if sticky else warn("opted-in", text, f"{_OPT_IN}, or spec.nodeStickiness.enabled: true")
