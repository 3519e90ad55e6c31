"""python -m tools.render: plain manifests and kustomize overlays, all rendered from the chart.

For who does not want Helm in the cluster. tests/chart/test_rendered.py fails when what is checked in differs from what
this writes, and compares `kubectl kustomize` of each overlay with the chart under the same values.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import jsonpatch
import yaml

from testbed.binaries import find_tools
from testbed.errors import BinaryError, LocalError
from testbed.parts import KUBERNETES
from testbed.paths import REPOSITORY

Object = dict[str, Any]
Key = tuple[str, str, str, str]

CHART = REPOSITORY / "deploy" / "chart"
PROFILES = CHART / "profiles"
RELEASE = "lastnode"
NAMESPACE = "lastnode-system"
# The base of the overlays, and the plain manifest: what the chart gives without any values.
BASE = "webhook"
OVERLAYS = ("cert-manager", "control-plane", "second-scheduler")
_HEADER = "# Rendered from deploy/chart by `python -m tools.render`; change the chart, not this file.\n"
_HELM_SECONDS = 60.0
# Labels that say who looks after an object: not Helm, here.
_HELMS_LABELS = ("app.kubernetes.io/managed-by", "helm.sh/chart")
_RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}{suffix}": value
    for mode in ("enforce", "warn")
    for suffix, value in (("", "restricted"), ("-version", "latest"))
}


def template(helm: Path, *arguments: str, release: str = RELEASE, namespace: str = NAMESPACE) -> list[Object]:
    """What `helm template` makes of the chart. Raises LocalError with what Helm said."""
    argv: list[str | Path] = [helm, "template", release, CHART, "--namespace", namespace, *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_HELM_SECONDS)
    if done.returncode != 0:
        raise LocalError(done.stderr.strip())
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def profile(helm: Path, name: str, *arguments: str) -> list[Object]:
    """The chart with the values of profiles/NAME.yaml, for the version of Kubernetes that the tests run on."""
    return template(helm, "--values", str(PROFILES / f"{name}.yaml"), "--kube-version", KUBERNETES, *arguments)


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


def files(helm: Path) -> dict[str, str]:
    """Path under deploy/ -> text, for everything that is rendered."""
    base = plain(profile(helm, BASE))
    written = {
        "manifests/lastnode.yaml": dump(base),
        "kustomize/base/lastnode.yaml": dump(base),
        "kustomize/base/kustomization.yaml": dump([_kustomization(["lastnode.yaml"], [])]),
    }
    for name in OVERLAYS:
        written |= {f"kustomize/overlays/{name}/{file}": text for file, text in _overlay(helm, name, base).items()}
    return written


def _overlay(helm: Path, name: str, base: Iterable[Object]) -> dict[str, str]:
    """The files of an overlay: what it adds to the base, takes away from it and changes in it."""
    here, there = by_key(base), by_key(plain(profile(helm, name)))
    added = [obj for at, obj in there.items() if at not in here]
    patches = [_removal(obj) for at, obj in here.items() if at not in there]
    patches += [_change(obj, there[at]) for at, obj in here.items() if at in there and there[at] != obj]
    resources = ["../../base", *(["added.yaml"] if added else [])]
    texts = {"kustomization.yaml": dump([_kustomization(resources, patches)])}
    return texts | ({"added.yaml": dump(added)} if added else {})


def _kustomization(resources: Sequence[str], patches: Sequence[Object]) -> Object:
    document: Object = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return document | {"resources": list(resources)} | ({"patches": list(patches)} if patches else {})


def _removal(obj: Object) -> Object:
    named = {name: value for name, value in obj["metadata"].items() if name in ("name", "namespace")}
    stub = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": named}
    return {"patch": _yaml({"$patch": "delete"} | stub)}


def _change(before: Object, after: Object) -> Object:
    group, _, version = before["apiVersion"].rpartition("/")
    target = {"group": group, "version": version, "kind": before["kind"], "name": before["metadata"]["name"]}
    # The value not last: kustomize cuts white space off the end of a patch, and a text's last line break with it.
    order = ("op", "from", "value", "path")
    operations = [{name: one[name] for name in order if name in one} for one in jsonpatch.make_patch(before, after)]
    return {"target": {name: value for name, value in target.items() if value}, "patch": _yaml(operations)}


def _without_helms_labels(obj: Object) -> Object:
    labels = {name: value for name, value in obj["metadata"]["labels"].items() if name not in _HELMS_LABELS}
    return obj | {"metadata": obj["metadata"] | {"labels": labels}}


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, and text of several lines as such."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(document: Any) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=118)


def dump(documents: Iterable[Any]) -> str:
    """A YAML file of these documents, with a line that says where it comes from."""
    return _HEADER + "---\n".join(map(_yaml, documents))


@click.command()
def main() -> None:
    """Write deploy/manifests and deploy/kustomize anew from deploy/chart."""
    try:
        rendered = files(find_tools().helm.path)
    except (BinaryError, LocalError) as error:
        raise click.ClickException(str(error)) from error
    for name, text in rendered.items():
        path = REPOSITORY / "deploy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main(prog_name="python -m tools.render")
