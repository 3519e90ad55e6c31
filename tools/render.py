"""``make manifests``: plain YAML of every setup of the chart, for who does not want Helm in the cluster.

Nothing of it is checked in: deploy/chart is the one source of all objects.
"""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import yaml

from testbed.binaries import find_tools
from testbed.errors import BinaryError, LocalError
from testbed.paths import REPOSITORY
from testbed.versions import chosen

Object = dict[str, Any]
Key = tuple[str, str, str, str]

CHART: Final = REPOSITORY / "deploy" / "chart"
SETUPS: Final = CHART / "setups"
MANIFESTS: Final = REPOSITORY / "build" / "manifests"
RELEASE: Final = "lastnode"
NAMESPACE: Final = "lastnode-system"
SECRET: Final = "lastnode-certificate"
# A private key has no place in a file: where Helm would make the certificate, it is given without Helm.
_GIVEN_VALUES: Final = ("--set", f"extender.tls.secretName={SECRET},extender.tls.caBundle=elsewhere")
# Nor has a token: without this Secret only kubectl port-forward reads all sessions.
TOKEN_SECRET: Final = "lastnode-sessions"
_TOKEN_VALUES: Final = ("--set", f"recorder.sessionsToken.secretName={TOKEN_SECRET}")
_HELM_SECONDS: Final = 60.0
# Labels that say who looks after an object: not Helm, here.
_HELMS_LABELS: Final = ("app.kubernetes.io/managed-by", "helm.sh/chart")
_RESTRICTED: Final = {
    f"pod-security.kubernetes.io/{mode}{suffix}": value
    for mode in ("enforce", "warn")
    for suffix, value in (("", "restricted"), ("-version", "latest"))
}
_HEADER: Final = "lastnode, setup {name}. Written by `make manifests`: change values of deploy/chart, not this file."
_MAY_HAVE: Final = f"""\
Whoever may read this Secret reads all sessions (kubectl lastnode report); without it, kubectl port-forward does:
  kubectl -n {NAMESPACE} create secret generic {TOKEN_SECRET} --from-literal=token="$(openssl rand -hex 32)"
"""
_NEEDS: Final = f"""\
It needs a Secret {SECRET} in the namespace {NAMESPACE}: tls.crt and tls.key, a certificate for the names
lastnode-extender.{NAMESPACE}.svc and lastnode-extender-pods.{NAMESPACE}.svc; ca.crt, the CA that signed it.
Tell the API server of that CA once this file is applied; applying it again (kubectl apply --server-side) leaves that
alone:
  for n in WEBHOOKS; do kubectl patch mutatingwebhookconfiguration lastnode-webhook --type=json -p \\
    "[{{op: add, path: /webhooks/$n/clientConfig/caBundle, value: $(base64 -w0 ca.crt)}}]"; done
"""


def template(helm: Path, *arguments: str, release: str = RELEASE, namespace: str = NAMESPACE) -> list[Object]:
    """What `helm template` makes of the chart. Raises LocalError with what Helm said."""
    argv: list[str | Path] = [helm, "template", release, CHART, "--namespace", namespace, *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_HELM_SECONDS)
    if done.returncode != 0:
        raise LocalError(done.stderr.strip())
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def setup(helm: Path, name: str, *arguments: str) -> list[Object]:
    """The chart with the values of setups/NAME.yaml, for the version of Kubernetes that the tests run on."""
    return template(helm, "--values", str(SETUPS / f"{name}.yaml"), "--kube-version", chosen(os.environ), *arguments)


def setups() -> list[str]:
    return sorted(path.stem for path in SETUPS.glob("*.yaml"))


def plain(objects: Iterable[Object]) -> list[Object]:
    """The same for who applies it without Helm: its labels gone, the namespace made."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "lastnode", **_RESTRICTED}},
    }
    return [namespace, *map(_without_helms_labels, sorted(objects, key=key))]


def key(obj: Mapping[str, Any]) -> Key:
    """What tells objects apart: API version, kind, namespace (empty for cluster-wide ones), name."""
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]


def by_key(objects: Iterable[Object]) -> dict[Key, Object]:
    """Raises LocalError when two objects have the same key."""
    found: dict[Key, Object] = {}
    for obj in objects:
        if key(obj) in found:
            raise LocalError(f"rendered twice: {key(obj)}")
        found[key(obj)] = obj
    return found


def manifest(helm: Path, name: str) -> str:
    """The file for a setup; where it needs a Secret, its first lines say so."""
    given = any(obj["kind"] == "Secret" and obj["metadata"]["name"] == SECRET for obj in setup(helm, name))
    objects = plain(setup(helm, name, *_TOKEN_VALUES, *(_GIVEN_VALUES if given else ())))
    webhooks = " ".join(str(number) for obj in objects for number, _ in enumerate(obj.get("webhooks", ())))
    needs = _NEEDS.replace("WEBHOOKS", webhooks) if given else ""
    header = f"{_HEADER.format(name=name)}\n{_MAY_HAVE}{needs}"
    return textwrap.indent(header, "# ") + "---\n".join(map(_yaml, objects))


def _without_helms_labels(obj: Object) -> Object:
    labels = {name: value for name, value in obj["metadata"]["labels"].items() if name not in _HELMS_LABELS}
    return obj | {"metadata": obj["metadata"] | {"labels": labels}}


class _Dumper(yaml.SafeDumper):
    """Text of several lines as such."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _yaml(document: Any) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=118)


@click.command()
def main() -> None:
    """Write build/manifests/SETUP.yaml for every setup of deploy/chart."""
    try:
        helm = find_tools().helm.path
        texts = {name: manifest(helm, name) for name in setups()}
    except (BinaryError, LocalError) as error:
        raise click.ClickException(str(error)) from error
    MANIFESTS.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = MANIFESTS / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        click.echo(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main(prog_name="python -m tools.render")
