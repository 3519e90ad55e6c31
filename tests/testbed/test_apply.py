"""Applying manifests without kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed import ApiError, ControlPlane, LocalError, apply


def definition(kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    name = {"name": f"{plural}.example.test"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": name,
        "spec": spec,
    }


def instance(kind: str, **spec: str) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": "elsewhere"}
    return {"apiVersion": "example.test/v1", "kind": kind, "metadata": metadata, "spec": spec}


ELSEWHERE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}}


def test_a_folder_is_applied_with_definitions_before_their_instances(plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "1-instance.yaml").write_text(yaml.safe_dump(instance("Early", colour="red")))
    (tmp_path / "2-rest.yaml").write_text(yaml.safe_dump_all([None, definition("Early"), ELSEWHERE]))
    apply(plane, tmp_path)
    path = "/apis/example.test/v1/namespaces/elsewhere/earlys/one"
    assert plane.api().get(path)["spec"] == {"colour": "red"}


def test_applying_again_changes_what_changed(plane: ControlPlane) -> None:
    apply(plane, [definition("Again"), ELSEWHERE, instance("Again", colour="red", size="big")])
    apply(plane, instance("Again", colour="blue"))
    path = "/apis/example.test/v1/namespaces/elsewhere/agains/one"
    assert plane.api().get(path)["spec"] == {"colour": "blue"}


def test_what_cannot_be_applied_is_told_plainly(plane: ControlPlane, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [")
    with pytest.raises(LocalError, match=r"cannot read .*bad\.yaml"):
        apply(plane, bad)
    bad.write_text("- a list\n")
    with pytest.raises(LocalError, match="holds something that is not a Kubernetes object"):
        apply(plane, bad)
    with pytest.raises(LocalError, match=r"lacks apiVersion, kind or metadata\.name"):
        apply(plane, {"kind": "Pod", "metadata": {"name": "x"}})
    with pytest.raises(LocalError, match=r"does not serve example\.test/v1 Unheard"):
        apply(plane, instance("Unheard"), seconds=0.2)
    with pytest.raises(ApiError, match=r"422.*containers"):
        apply(plane, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": []}})
