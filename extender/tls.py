"""TLS for new connections, from files that may be replaced at any time: one context, made anew when they change.

gunicorn asks for a context at each connection, so the next handshake has the new certificate, and open connections
keep what they were made with. Kubernetes replaces a mounted Secret by turning a symlink, other tools write one file
after the other: what is on disk counts only once it can be used as a whole.
"""

import contextlib
import errno
import logging
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple, NoReturn

from extender.metrics import TlsMetrics
from extender.settings import ExtenderSettings
from lastnode.kube.errors import ConfigError

# The kubelet itself takes about a minute to bring a changed Secret into a pod; three small files are read quickly.
LOOK_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Files(NamedTuple):
    """PEM files. ``cert`` and ``key`` may be the same one; ``client_ca`` None: no client has to show a certificate."""

    cert: Path
    key: Path
    client_ca: Path | None = None


def given(settings: ExtenderSettings) -> Files | None:
    """The files to serve TLS with, tried out; None without TLS.

    :raises ConfigError: the settings do not go together, or the files cannot be used; in one line.
    """
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError("tls_cert and tls_key: one without the other cannot be used")
    if not settings.tls_cert or not settings.tls_key:
        if settings.client_ca:
            raise ConfigError("client_ca: client certificates need tls_cert and tls_key")
        return None
    client_ca = Path(settings.client_ca) if settings.client_ca else None
    files = Files(Path(settings.tls_cert), Path(settings.tls_key), client_ca)
    build(files)
    return files


def build(files: Files, refused: Callable[[], None] = lambda: None) -> ssl.SSLContext:
    """A context of these files: TLS 1.2 or newer, and a client's certificate, if it shows one, must be of the CA.

    Whether a client has to show one depends on what it asks for: see extender.http. ``refused`` is told of each
    handshake that fails.

    :raises ConfigError: they cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = _telling(refused)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Costs the server more than the client, and nobody needs it.
    context.options |= ssl.OP_NO_RENEGOTIATION
    with _one_line(f"{files.cert}, {files.key}"):
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    if files.client_ca:
        with _one_line(str(files.client_ca)):
            context.load_verify_locations(cafile=files.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _telling(refused: Callable[[], None]) -> type[ssl.SSLSocket]:
    class Socket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except OSError as error:  # what TLS refuses is one as well
                log.debug("no handshake: %s", error)
                refused()
                # What gunicorn takes for a client that went away; to others it would try to send a page.
                raise ConnectionResetError(errno.ECONNRESET, "no handshake") from error

    return Socket


class Tls:
    """``context`` is for the next connection. :meth:`load` once, then :meth:`run` keeps it up to date."""

    def __init__(self, files: Files, counts: TlsMetrics) -> None:
        self._files = files
        self._counts = counts
        self._stopping = Event()
        self._tried: object = None  # the content that was looked at last
        self.context: ssl.SSLContext

    def run(self) -> None:
        """Look at the files until :meth:`stop`."""
        while not self._stopping.wait(LOOK_SECONDS):
            self.look()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        """Take over what is on disk if it is new and usable; else go on with what there is, and say why once."""
        if self._content() == self._tried:
            return
        try:
            self.load()
        except ConfigError as error:
            self._counts.reloaded("failed")
            log.warning("the certificate in use is kept: %s", error)
        else:
            self._counts.reloaded("loaded")

    def load(self) -> None:
        """Take over what is on disk.

        :raises ConfigError: it cannot be used.
        """
        context = None
        while context is None or self._content() != self._tried:  # replaced meanwhile: which was loaded is not known
            self._tried = self._content()
            context = build(self._files, self._counts.handshake_failed)
            with _one_line(str(self._files.cert)):
                until = expiry(self._files.cert.read_text(encoding="ascii", errors="replace"))
        self.context = context
        self._counts.expires(until.timestamp())
        log.log(
            logging.INFO if until > datetime.now(UTC) else logging.WARNING,
            "new connections get the certificate of %s, valid until %s", self._files.cert, until.isoformat(),
        )  # fmt: skip

    def _content(self) -> tuple[bytes | None, ...]:
        return tuple(_read(path) for path in self._files if path)


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None


_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
# The two moments of a certificate's Validity, in DER: it comes behind nothing but numbers and the issuer's name.
_VALIDITY: Final = re.compile(
    rb"\x30.(?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)(?:\x17\x0d(\d{12}Z)|\x18\x0f(\d{14}Z))", re.DOTALL
)


def expiry(pem: str) -> datetime:
    """When the first certificate of a PEM text stops being valid.

    Python's ssl says so only of certificates that it has verified, and it verifies none that has expired.

    :raises ValueError: there is none.
    """
    first = pem[pem.index(_BEGIN) : pem.index(_END) + len(_END)]
    found = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(first))
    if found is None:
        raise ValueError("no certificate with a validity")
    utc, general = found.groups(b"")
    return datetime.strptime((utc or general).decode(), "%y%m%d%H%M%SZ" if utc else "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


@contextlib.contextmanager
def _one_line(what: str) -> Iterator[None]:
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
