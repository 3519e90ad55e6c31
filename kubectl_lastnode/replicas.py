"""Running recorders and extenders, and how to ask them: at a URL, or through the API server's proxy of their pods."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any, Final, NamedTuple

from kubectl_lastnode.cluster import Cluster
from lastnode.kube.errors import Unreachable, api_error

RECORDER: Final = "recorder"
EXTENDER: Final = "extender"
# As deploy/chart labels all pods of ours. The container is called after its program: an extender also runs in the
# second scheduler's pods.
SELECTOR: Final = {"labelSelector": "app.kubernetes.io/part-of=lastnode"}
_SECONDS: Final = 5.0


class Program(NamedTuple):
    """One replica. ``title``: for people. ``get``: the body of a GET of a path, raises ApiError, Unreachable."""

    title: str
    get: Callable[[str], bytes]


def at(urls: str, ca: str | None = None) -> list[Program]:
    """The replicas at these URLs, by commas. ``ca``: PEM file that https is verified with; default: the system's."""
    return [Program(url, _getter(url.rstrip("/"), ca)) for url in map(str.strip, urls.split(",")) if url]


def in_cluster(cluster: Cluster, program: str) -> list[Program]:
    """The replicas that run as pods, in any namespace.

    :raises ApiError, Unreachable: the pods cannot be listed.
    """
    pods = cluster.objects("/api/v1/pods", SELECTOR)
    return [_by_proxy(cluster, pod, container) for pod in pods for container in _containers(pod, program)]


def _containers(pod: Any, program: str) -> Iterator[Any]:
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return
    yield from (each for each in pod["spec"]["containers"] if each["name"] == program)


def _by_proxy(cluster: Cluster, pod: Any, container: Any) -> Program:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    port = next(iter(container.get("ports") or [{}]))
    scheme = "https:" if port.get("name") == "https" else ""
    base = f"/api/v1/namespaces/{namespace}/pods/{scheme}{name}:{port.get('containerPort', 80)}/proxy"
    return Program(f"{namespace}/{name}", lambda path: cluster.api.request("GET", base + path, seconds=_SECONDS))


def _getter(url: str, ca: str | None) -> Callable[[str], bytes]:
    def get(path: str) -> bytes:
        try:
            trust = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None
            with urllib.request.urlopen(url + path, timeout=_SECONDS, context=trust) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise api_error(error.code, error.read().decode(errors="replace") or error.reason) from error
        except (OSError, HTTPException, ValueError) as error:
            raise Unreachable(str(getattr(error, "reason", error))) from error

    return get
