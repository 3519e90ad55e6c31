"""Names of resources and paths of objects; what is served is asked in the tests on the real API server."""

from __future__ import annotations

import pytest

from lastnode.contract import SANDBOX_RESOURCE
from lastnode.kinds import DEFAULT_RESOURCES
from lastnode.kube.discovery import NotServed, object_path, split
from lastnode.kube.errors import ConfigError, NotFound


@pytest.mark.parametrize(
    ("resource", "parts"),
    [
        ("pods", ("pods", "")),
        (SANDBOX_RESOURCE, ("sandboxes", "agents.x-k8s.io")),
        (DEFAULT_RESOURCES[0], ("agentruntimes", "runtime.agentcube.volcano.sh")),
    ],
)
def test_a_resource_is_its_plural_and_its_group(resource: str, parts: tuple[str, str]) -> None:
    assert split(resource) == parts


@pytest.mark.parametrize("resource", ["", ".", ".group", "Pods", "pods.", "a b.group", "pods/status", "pods.group."])
def test_what_names_no_resource_is_refused(resource: str) -> None:
    with pytest.raises(ConfigError, match="does not name a resource"):
        split(resource)


def test_an_object_s_path_follows_from_its_collection_s() -> None:
    assert object_path("/api/v1/nodes", "", "n") == "/api/v1/nodes/n"
    assert object_path("/apis/g/v1/things", "ns", "t") == "/apis/g/v1/namespaces/ns/things/t"


def test_not_served_is_a_404_that_names_the_resource() -> None:
    error = NotServed("things.g")
    assert isinstance(error, NotFound)
    assert error.status == 404
    assert "things.g is not served" in str(error)
