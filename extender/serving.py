"""Where the certificate comes from: files that somebody else renews, one that is made here, or none."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extender import clients, tls
from extender.metrics import TlsMetrics, UpkeepMetrics
from extender.settings import ExtenderSettings
from extender.tls import Files, Tls
from lastnode.daemon.threads import Crew
from lastnode.kube.api import Api
from lastnode.kube.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from extender.certkeeper import Keeper, Observer

_FILE = "serving.pem"


class Serving:
    """``files``: what is served, None without TLS. Made once, before the fork; used on both sides of it."""

    def __init__(self, settings: ExtenderSettings, directory: Path | None) -> None:
        self._settings = settings
        self.files = _files(settings, directory)

    def keeper(self, api: Api, observer: "Observer") -> "Keeper | None":
        """Who makes the certificate, where that is done here."""
        settings = self._settings
        if not settings.self_signed_secret or self.files is None:
            return None
        from extender import certificates, certkeeper  # here: their memory is spent only where certificates are made

        namespace, _, secret = settings.self_signed_secret.partition("/")
        lifetimes = certificates.Lifetimes(leaf=timedelta(seconds=settings.self_signed_lifetime))
        names = tuple(settings.self_signed_names.split(","))
        wanted = certkeeper.Wanted(namespace, secret, names, settings.webhook_configuration, lifetimes)
        return certkeeper.Keeper(api, wanted, self.files.cert, observer)

    def first(self, connect: Callable[[], Api], on_keeper: Callable[["Keeper"], None]) -> str:
        """Wait until there is something to serve; why there is not. ``on_keeper`` gets whom to stop."""
        if not self._settings.self_signed_secret:
            return ""
        api = connect()
        try:
            keeper = self.keeper(api, _Nobody())
            assert keeper is not None
            on_keeper(keeper)
            return keeper.first(self._settings.self_signed_wait, time.monotonic)
        finally:
            api.close()

    def add_to(self, crew: Crew, api: Api, registry: "CollectorRegistry") -> tuple[Tls | None, TlsMetrics | None]:
        """What keeps the certificate up to date, in the worker. None of it without TLS.

        :raises ConfigError: the files cannot be used.
        """
        if self.files is None:
            return None, None
        counts = TlsMetrics(registry)
        current = Tls(self.files, counts)
        current.load()
        crew.add("certificate-files", current.run, current.stop)
        if self._settings.self_signed_secret and (keeper := self.keeper(api, UpkeepMetrics(registry))):
            crew.add("certificate-keeper", keeper.run, keeper.stop)
        return current, counts

    def guard(self, app: Any, counts: TlsMetrics | None) -> Any:
        """The application, behind the check of clients' certificates where there is a CA for them."""
        if self.files is None or self.files.client_ca is None or counts is None:
            return app
        guarded = self._settings.client_ca_verbs.split(",")
        return clients.KnownClients(app, clients.open_paths(guarded), counts.no_certificate)


@contextlib.contextmanager
def place(settings: ExtenderSettings, memory: Path) -> Iterator[Path | None]:
    """A directory for a certificate that is made here; ``memory``: where keys lie best, if it can be written to."""
    if not settings.self_signed_secret:
        yield None
        return
    directory = Path(tempfile.mkdtemp(prefix="lastnode-", dir=memory if os.access(memory, os.W_OK) else None))
    owner = os.getpid()
    try:
        yield directory
    finally:
        if os.getpid() == owner:  # not where a worker leaves: the next one needs it
            shutil.rmtree(directory, ignore_errors=True)


def check(settings: ExtenderSettings) -> None:
    """:raises ConfigError: settings that do not go together, or files that cannot be used, in one line."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError("tls_cert and tls_key: one without the other cannot be used")
    if settings.self_signed_secret and settings.tls_cert:
        raise ConfigError("tls_cert and self_signed_secret: the certificate is either given or made here")
    if settings.self_signed_secret and not settings.self_signed_names:
        raise ConfigError("self_signed_secret: the certificate needs self_signed_names")
    if settings.webhook_configuration and not settings.self_signed_secret:
        raise ConfigError("webhook_configuration: its caBundle can be kept right only with self_signed_secret")
    if settings.client_ca and not (settings.tls_cert or settings.self_signed_secret):
        raise ConfigError("client_ca: client certificates need tls_cert and tls_key, or self_signed_secret")
    for name in ("tls_cert", "tls_key", "client_ca"):
        path = getattr(settings, name)
        if path and not Path(path).is_file():
            raise ConfigError(f"{name}: no such file: {path}")
    if settings.tls_cert and settings.tls_key:
        tls.load_pair(tls.Context(), Path(settings.tls_cert), Path(settings.tls_key))
    if settings.client_ca:
        tls.trust(tls.Context(), Path(settings.client_ca))


def _files(settings: ExtenderSettings, directory: Path | None) -> Files | None:
    client_ca = Path(settings.client_ca) if settings.client_ca else None
    if directory is not None:
        return Files(directory / _FILE, directory / _FILE, client_ca)
    if settings.tls_cert and settings.tls_key:
        return Files(Path(settings.tls_cert), Path(settings.tls_key), client_ca)
    return None


class _Nobody:
    """Before the fork there is no registry to count in."""

    def upkeep(self, result: str) -> None: ...
