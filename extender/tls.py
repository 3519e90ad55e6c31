"""TLS for new connections, from files that may be replaced at any time: one context, made anew when they change.

gunicorn asks for a context at each connection, so the next handshake has the new certificate, and open connections
keep what they were made with. Kubernetes replaces a mounted Secret by turning a symlink, other tools write one file
after the other: what is on disk counts only once it can be used as a whole.
"""

import contextlib
import errno
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Final, NamedTuple, NoReturn, Protocol, Self

from extender.threads import RECEIVE_SECONDS
from lastnode.kube.errors import ConfigError

# The kubelet itself takes about a minute to bring a changed Secret into a pod; three small files are read quickly.
LOOK_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Files(NamedTuple):
    """PEM files. ``cert`` and ``key`` may be the same one; ``client_ca`` None: no client has to show a certificate."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class Observer(Protocol):
    """What is counted here; see extender.metrics."""

    def reloaded(self, ok: bool) -> None: ...

    def expires(self, at: float) -> None: ...

    def handshake_failed(self) -> None: ...


class _Socket(ssl.SSLSocket):
    """Never blocks without a limit: in Python's TLS the kernel's own time-out (SO_RCVTIMEO) is no end of a wait."""

    def setblocking(self, flag: bool) -> None:
        self.settimeout(RECEIVE_SECONDS if flag else 0.0)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except TimeoutError as error:
            # What gunicorn takes for a client that went away, as it is; a TimeoutError it would log as a fault of ours.
            raise ConnectionResetError(errno.ECONNRESET, "nothing came for too long") from error


class Context(ssl.SSLContext):
    """A server's context whose sockets do not block; a socket that has one already is left as it is."""

    sslsocket_class = _Socket
    handshake_failed: Callable[[], None] = staticmethod(lambda: None)

    def __new__(cls) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def wrap_socket(self, sock: Any, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return sock if isinstance(sock, ssl.SSLSocket) else super().wrap_socket(sock, *args, **kwargs)


def build(files: Files) -> Context:
    """A context of these files: TLS 1.2 or newer, and a client's certificate, if it shows one, must be of the CA.

    Whether a client has to show one depends on what it asks for: see extender.clients.

    :raises ConfigError: they cannot be read or do not belong together.
    """
    context = Context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Costs the server more than the client, and nobody needs it.
    context.options |= ssl.OP_NO_RENEGOTIATION
    load_pair(context, files.cert, files.key)
    if files.client_ca:
        trust(context, files.client_ca)
    return context


def load_pair(context: Context, cert: Path, key: Path) -> None:
    """:raises ConfigError: they cannot be read or do not belong together."""
    with _one_line(f"{cert}, {key}"):
        context.load_cert_chain(cert, key, password=_no_password)


def trust(context: Context, client_ca: Path) -> None:
    """:raises ConfigError: there is no CA in it."""
    with _one_line(str(client_ca)):
        context.load_verify_locations(cafile=client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL


def expiry(pem: bytes) -> datetime:
    """When the first certificate of a PEM file stops being valid.

    :raises ConfigError: it holds none.
    """
    from cryptography import x509  # here, so that without TLS its memory is not spent

    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except ValueError as error:
        raise ConfigError(f"no certificate: {error}") from error


class Tls:
    """``context`` is for the next connection. :meth:`load` once, then :meth:`run` keeps it up to date."""

    def __init__(self, files: Files, observer: Observer, look_seconds: float = LOOK_SECONDS) -> None:
        self._files = files
        self._observer = observer
        self._look_seconds = look_seconds
        self._stopping = Event()
        self._tried: tuple[bytes, ...] | str = ""  # the last content that was looked at, or why there was none
        self._trouble = ""
        self.context: Context

    def load(self) -> None:
        """:raises ConfigError: the files cannot be used."""
        content = self._read()
        if isinstance(content, str):
            raise ConfigError(content)
        self._take(build(self._files), content)
        self._tried = content

    def run(self) -> None:
        """Look at the files until :meth:`stop`."""
        while not self._stopping.wait(self._look_seconds):
            self.look()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        """Take over what is on disk if it is new and usable; else go on with what there is, and say why once."""
        content = self._read()
        if content == self._tried:
            return
        try:
            if isinstance(content, str):
                raise ConfigError(content)
            context = build(self._files)
            if self._read() != content:
                return  # replaced meanwhile: which of the two was loaded is not known
            self._take(context, content)
        except ConfigError as error:
            self._refuse(str(error))
        else:
            self._trouble = ""
            self._observer.reloaded(True)
        self._tried = content

    def _take(self, context: Context, content: tuple[bytes, ...]) -> None:
        until = expiry(content[0])
        context.handshake_failed = self._observer.handshake_failed
        self.context = context
        self._observer.expires(until.timestamp())
        late = until <= datetime.now(UTC)
        log.log(
            logging.WARNING if late else logging.INFO,
            "new connections get the certificate of %s, which %s %s",
            self._files.cert,
            "expired at" if late else "is valid until",
            until.isoformat(),
        )

    def _refuse(self, trouble: str) -> None:
        self._observer.reloaded(False)
        if trouble != self._trouble:
            log.warning("the certificate in use is kept: %s", trouble)
        self._trouble = trouble

    def _read(self) -> tuple[bytes, ...] | str:
        try:
            return tuple(path.read_bytes() for path in self._files if path)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"


@contextlib.contextmanager
def _one_line(what: str) -> Any:
    try:
        yield
    except ssl.SSLError as error:
        raise ConfigError(f"{what}: {_REASONS.get(error.reason, error.reason or 'no such PEM content')}") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{what}: {getattr(error, 'strerror', None) or error}") from error


_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "no certificate in it",
}


def _no_password() -> NoReturn:
    # Else OpenSSL would ask for it on the terminal.
    raise ValueError("the key is encrypted: only plain ones can be used")
