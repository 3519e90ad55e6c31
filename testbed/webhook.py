"""The admission webhook of a local control plane: the certificate that it serves, and how the API server is told of it.

The configuration is that of the chart (deploy/chart/templates/webhook), but for the url in place of a Service, the
names, and how no pod is asked about twice: the selectors leave out what those before them select.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from lastnode.contract import SESSION_LABEL
from lastnode.kinds import BUILT_IN, Kind, Ways
from lastnode.selector import Requirement

from .certificates import CA_CERT, CERT, DAY, KEY, Authority
from .workloads import Object

CONFIGURATIONS: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
# Set to "disabled" on a pod or a namespace, it is left alone; as in the chart.
OPT_OUT_LABEL: Final = "lastnode.dev/inject"
_NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
PODS: Final = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


class Files(NamedTuple):
    """PEM files: what is served, and the CA that signed it."""

    cert: Path
    key: Path
    ca: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """For lastnode-extender."""
        return ("--tls-cert", str(self.cert), "--tls-key", str(self.key))


def write_certificate(directory: Path, lifetime: timedelta = 90 * DAY) -> Files:
    """A new certificate for this machine's loopback address, signed by a new CA; ``directory`` is made.

    It holds the CA's key too, for whoever wants another certificate of it: Authority.load()."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority("webhook", 365 * DAY)
    authority.save(directory)
    for name, pem in zip((CERT, KEY), authority.server(lifetime), strict=True):
        (directory / name).write_bytes(pem)
        (directory / name).chmod(0o600)
    return Files(directory / CERT, directory / KEY, directory / CA_CERT)


def configuration(
    name: str,
    url: str,
    ca: bytes,
    *,
    kinds: Sequence[Kind] = BUILT_IN,
    timeout_seconds: int = 2,
    only: Sequence[str] = (),
    excluded: Sequence[str] = ("kube-system",),
) -> Object:
    """The MutatingWebhookConfiguration that has session pods of these kinds shown to what serves POST ``url``.

    ``ca``: PEM, what its certificate is verified with. ``timeout_seconds``: 1 to 30; then a pod is created without.
    ``only``: names of namespaces; default: all but ``excluded``.
    """
    among = [{"key": _NAMESPACE_LABEL, "operator": "In", "values": list(only)}] if only else []
    apart = [{"key": _NAMESPACE_LABEL, "operator": "NotIn", "values": list(excluded)}] if excluded else []
    willing = {"key": OPT_OUT_LABEL, "operator": "NotIn", "values": ["disabled"]}
    webhook = {
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": url, "caBundle": b64encode(ca).decode()},
        "rules": [PODS | {"scope": "Namespaced"}],
        # A webhook that does not answer costs the preference, never a pod.
        "failurePolicy": "Ignore",
        "timeoutSeconds": timeout_seconds,
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "reinvocationPolicy": "IfNeeded",
        "namespaceSelector": {"matchExpressions": [*among, *apart, willing]},
    }
    selectors = [[*map(_expression, each.requirements), willing] for each in Ways(kinds).selectors]
    webhooks = [
        {**webhook, "name": f"{name}{-number or ''}.lastnode.dev", "objectSelector": {"matchExpressions": selector}}
        for number, selector in enumerate(selectors)
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": webhooks,
    }


def _expression(asked: Requirement) -> Object:
    if asked.value is None:
        return {"key": asked.key, "operator": "DoesNotExist" if asked.negated else "Exists"}
    return {"key": asked.key, "operator": "NotIn" if asked.negated else "In", "values": [asked.value]}


def probe(namespace: str) -> Object:
    """A session's pod to be created as a dry run, to see whether the webhook is asked."""
    metadata = {"name": "webhook-probe", "namespace": namespace, "labels": {SESSION_LABEL: "webhook-probe"}}
    container = {"name": "none", "image": "none"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
