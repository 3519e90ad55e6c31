"""Certificates for tests: authorities, what they sign, and directories that are renewed as the kubelet renews them."""

from __future__ import annotations

import ipaddress
import itertools
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
_numbers = itertools.count(1)


class Authority:
    """A CA; ``pem`` is its certificate."""

    def __init__(self, name: str) -> None:
        self._name = _name(f"{name} {next(_numbers)}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(self._name, self._key.public_key(), DAY).issuer_name(self._name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.pem = _pem(builder.sign(self._key, hashes.SHA256()))

    def server(self, lifetime: timedelta = DAY) -> tuple[bytes, bytes]:
        """Certificate and key for 127.0.0.1."""
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return self._issue(ExtendedKeyUsageOID.SERVER_AUTH, lifetime, names)

    def client(self, lifetime: timedelta = DAY) -> tuple[bytes, bytes]:
        names = x509.SubjectAlternativeName([x509.DNSName("kube-scheduler")])
        return self._issue(ExtendedKeyUsageOID.CLIENT_AUTH, lifetime, names)

    def _issue(
        self, purpose: x509.ObjectIdentifier, lifetime: timedelta, names: x509.SubjectAlternativeName
    ) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name("leaf"), key.public_key(), lifetime).issuer_name(self._name)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        cert = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        return _pem(cert), _key_pem(key)


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
    context = ssl.create_default_context(cadata=ca.decode())
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


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    start = min(now, now + lifetime) - timedelta(minutes=1)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(now + lifetime)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
