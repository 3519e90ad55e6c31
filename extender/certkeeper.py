"""Keeps the self-made certificate: agreed on in a Secret, written to a file to be served, its CA in the webhook.

Any number of replicas do this side by side. What lies in the Secret counts: each change names the version that it was
made from, so of two that want to change it one is refused and takes over what the other one wrote.
"""

import base64
import binascii
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple, Protocol

import msgspec

from extender import certificates, metrics
from extender.certificates import Lifetimes, Material
from lastnode.kube.api import Api
from lastnode.kube.backoff import Backoff
from lastnode.kube.errors import Conflict, KubeError
from lastnode.kube.wire import decode

# How often it is looked at: the longest that a caBundle which somebody emptied stays empty. Two small GETs.
LOOK_SECONDS: Final = 30.0
# A request may not hold up the end of the program.
_REQUEST_SECONDS: Final = 4.0
_TRIES: Final = 5

log = logging.getLogger(__name__)


class Wanted(NamedTuple):
    """``secret``: an existing Secret's name; ``configuration``: of a MutatingWebhookConfiguration, None for none."""

    namespace: str
    secret: str
    names: tuple[str, ...]
    configuration: str | None = None
    lifetimes: Lifetimes = Lifetimes()


class Observer(Protocol):
    def upkeep(self, result: str) -> None: ...


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Secret(msgspec.Struct):
    metadata: _Meta
    data: dict[str, str] | None = None


class _Client(msgspec.Struct, rename="camel"):
    ca_bundle: str | None = None


class _Webhook(msgspec.Struct, rename="camel"):
    name: str
    client_config: _Client


class _Configuration(msgspec.Struct):
    metadata: _Meta
    webhooks: list[_Webhook] | None = None


class Keeper:
    """:meth:`round` does everything once; :meth:`run` again and again. ``path``: key and certificate in one file."""

    def __init__(
        self,
        api: Api,
        wanted: Wanted,
        path: Path,
        observer: Observer,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        backoff: Backoff | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._api = api
        self._wanted = wanted
        self._path = path
        self._observer = observer
        self._now = now
        self._backoff = backoff or Backoff()
        self._look_seconds = min(look_seconds, wanted.lifetimes.leaf.total_seconds() / 20)
        self._in_force = b""  # the bundle that the last round left in the webhook
        self._trouble = ""
        self._stopping = Event()

    def run(self) -> None:
        """Until :meth:`stop`. Errors are counted, said once and waited out."""
        while not self._stopping.is_set():
            self._stopping.wait(self._look_seconds if self.attempt() else self._backoff.next())

    def stop(self) -> None:
        self._stopping.set()

    def first(self, within: float, clock: Callable[[], float]) -> str:
        """Try until the file is there; ends early on :meth:`stop`. Why it is not there after ``within`` seconds."""
        deadline = clock() + within
        while not (self.attempt() or self._path.exists() or self._stopping.is_set()):
            left = deadline - clock()
            if left <= 0:
                return self._trouble
            self._stopping.wait(min(left, self._backoff.next()))
        return ""

    def attempt(self) -> bool:
        """One round; whether it went well."""
        try:
            self.round()
        except (KubeError, OSError) as error:
            self._observer.upkeep(metrics.FAILED)
            if str(error) != self._trouble:
                log.warning("the self-made certificate: %s", error, extra={"reason": type(error).__name__})
            self._trouble = str(error)
            return False
        self._trouble = ""
        self._backoff.reset()
        return True

    def round(self) -> None:
        """Agree on a certificate, have its CA trusted, then serve it.

        :raises ApiError, Unreachable, Undecodable: the API server refused or did not answer; what is served stays.
        :raises OSError: the file cannot be written.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._round()
            except Conflict:
                self._observer.upkeep(metrics.CONFLICT)
        return self._round()

    def _round(self) -> None:
        material, made = self._agree()
        bundle = material.ca.certs
        try:
            published = self._publish(bundle)
        except KubeError:
            if not self._path.exists():
                self._serve(material)  # not trusted by the API server yet, but there
            raise
        # The API server takes a moment to know a bundle. A certificate that is still good is therefore served until
        # the bundle of the new one was found in force by two rounds.
        if self._in_force == bundle or not self._path.exists() or not self._still_good(bundle):
            self._serve(material)
        self._in_force = bundle
        if not made and not published:
            self._observer.upkeep(metrics.UNCHANGED)

    def _agree(self) -> tuple[Material, bool]:
        """What the Secret holds in the end, and whether this replica wrote it."""
        found = decode(_SECRET, self._request("GET", self._secret_path()), "the Secret")
        before = certificates.parse(_decoded(found.data or {}))
        after = certificates.upkeep(before, self._wanted.names, self._now(), self._wanted.lifetimes)
        if after == before:
            return after, False
        data = {name: base64.b64encode(value).decode() for name, value in after.data().items()}
        self._request("PATCH", self._secret_path(), {"metadata": _version(found.metadata), "data": data})
        what = "certificate" if after.ca == before.ca else "CA and certificate"
        log.info("made a new %s", what, extra={"namespace": self._wanted.namespace, "resource": self._wanted.secret})
        self._observer.upkeep(metrics.MADE)
        return after, True

    def _publish(self, bundle: bytes) -> bool:
        """Put the bundle into every webhook that has another one; whether there was any."""
        if not self._wanted.configuration:
            return False
        found = decode(_CONFIGURATION, self._request("GET", self._configuration_path()), "the webhook configuration")
        text = base64.b64encode(bundle).decode()
        wrong = [each.name for each in found.webhooks or () if each.client_config.ca_bundle != text]
        if not wrong:
            return False
        webhooks = [{"name": name, "clientConfig": {"caBundle": text}} for name in wrong]
        # Strategic: webhooks are told apart by name, and the rest of each stays as whoever installed it wants it.
        patch = {"metadata": _version(found.metadata), "webhooks": webhooks}
        self._request("PATCH", self._configuration_path(), patch, "strategic-merge-patch")
        log.info("put the CA into %s", ", ".join(wrong), extra={"resource": self._wanted.configuration})
        self._observer.upkeep(metrics.PUBLISHED)
        return True

    def _still_good(self, bundle: bytes) -> bool:
        """Whether clients that trust that bundle accept what is served now."""
        return certificates.is_trusted(self._path.read_bytes(), bundle, self._now())

    def _serve(self, material: Material) -> None:
        # One file, so that key and certificate cannot be taken for a pair when only one of them is new.
        content = material.leaf.certs + material.leaf.key
        if self._path.exists() and self._path.read_bytes() == content:
            return
        new = self._path.with_suffix(".new")
        with open(new, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(content)
        new.replace(self._path)

    def _request(
        self, method: str, path: str, body: Mapping[str, object] | None = None, kind: str = "merge-patch"
    ) -> bytes:
        content_type = f"application/{kind}+json"
        return self._api.request(method, path, body=body, content_type=content_type, seconds=_REQUEST_SECONDS)

    def _secret_path(self) -> str:
        return f"/api/v1/namespaces/{self._wanted.namespace}/secrets/{self._wanted.secret}"

    def _configuration_path(self) -> str:
        group = "/apis/admissionregistration.k8s.io/v1"
        return f"{group}/mutatingwebhookconfigurations/{self._wanted.configuration}"


def _version(metadata: _Meta) -> dict[str, str]:
    return {"resourceVersion": metadata.resource_version}


def _decoded(data: dict[str, str]) -> dict[str, bytes]:
    """Without what is no base64: the API server lets nothing else in."""
    values = {}
    for name, text in data.items():
        try:
            values[name] = base64.b64decode(text, validate=True)
        except binascii.Error:
            continue
    return values


_SECRET: Final = msgspec.json.Decoder(_Secret)
_CONFIGURATION: Final = msgspec.json.Decoder(_Configuration)
