"""Certificates in tests: directories that are renewed as the kubelet renews them, and what clients make of them."""

from __future__ import annotations

import itertools
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lastnode.kube.transport import trust

_numbers = itertools.count(1)


class Mounted:
    """A directory as the kubelet mounts a Secret: its files are links through ``..data``, which is what is turned."""

    def __init__(self, path: Path, **files: bytes) -> None:
        self.path = path
        path.mkdir()
        self.replace(**files)
        for name in files:
            (path / name).symlink_to(Path("..data") / name)

    def replace(self, **files: bytes) -> None:
        version = self.path / f"..version-{next(_numbers)}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_bytes(content)
        link = self.path / "..new"
        link.symlink_to(version.name)
        link.rename(self.path / "..data")

    def write(self, **files: bytes) -> None:
        """In place, one after the other, as no kubelet does."""
        for name, content in files.items():
            (self.path / name).write_bytes(content)

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def trusting(ca: bytes, client: tuple[bytes, bytes] | None = None, directory: Path | None = None) -> ssl.SSLContext:
    """A client's context; ``directory`` is needed for its certificate."""
    context = trust(pem=ca.decode())
    if client is not None and directory is not None:
        path = directory / f"client-{next(_numbers)}.pem"
        path.write_bytes(b"".join(client))
        context.load_cert_chain(path)
    return context


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def not_after(pem: bytes) -> float:
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def encrypted(key: bytes) -> bytes:
    loaded = serialization.load_pem_private_key(key, None)
    form = serialization.PrivateFormat.PKCS8
    return loaded.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret"))
