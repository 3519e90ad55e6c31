"""Certificates for the programs under test: an authority, and what it signs."""

from __future__ import annotations

import ipaddress
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY: Final = timedelta(days=1)
# Clocks may differ.
_EARLIER: Final = timedelta(minutes=5)
_numbers = itertools.count(1)

# In a directory, as in a Secret of type kubernetes.io/tls.
CERT, KEY = "tls.crt", "tls.key"
CA_CERT, CA_KEY = "ca.crt", "ca.key"


class Authority:
    """A CA; ``pem`` is its certificate. ``now``: when it was made.

    As older ones, none of its certificates has key identifiers: with Python 3.13's own context nobody could use them.
    """

    def __init__(self, name: str, lifetime: timedelta = DAY, now: datetime | None = None) -> None:
        self._name = _name(f"{name} {next(_numbers)}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(self._name, self._key.public_key(), lifetime, now).issuer_name(self._name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.pem = _pem(builder.sign(self._key, hashes.SHA256()))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The one that :meth:`save` has left there."""
        self = cls.__new__(cls)
        self.pem = (directory / CA_CERT).read_bytes()
        self._name = x509.load_pem_x509_certificate(self.pem).subject
        key = serialization.load_pem_private_key((directory / CA_KEY).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        return self

    def save(self, directory: Path) -> None:
        for name, pem in ((CA_CERT, self.pem), (CA_KEY, _key_pem(self._key))):
            (directory / name).write_bytes(pem)
            (directory / name).chmod(0o600)

    def server(self, lifetime: timedelta = DAY, now: datetime | None = None) -> tuple[bytes, bytes]:
        """Certificate and key for 127.0.0.1 and ::1."""
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ip)) for ip in ("127.0.0.1", "::1")])
        return self._issue(ExtendedKeyUsageOID.SERVER_AUTH, lifetime, names, now)

    def client(self, lifetime: timedelta = DAY) -> tuple[bytes, bytes]:
        names = x509.SubjectAlternativeName([x509.DNSName("kube-scheduler")])
        return self._issue(ExtendedKeyUsageOID.CLIENT_AUTH, lifetime, names, None)

    def _issue(
        self,
        purpose: x509.ObjectIdentifier,
        lifetime: timedelta,
        names: x509.SubjectAlternativeName,
        now: datetime | None,
    ) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name("leaf"), key.public_key(), lifetime, now).issuer_name(self._name)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        cert = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        return _pem(cert), _key_pem(key)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta, now: datetime | None
) -> x509.CertificateBuilder:
    now = now or datetime.now(UTC)
    start = min(now, now + lifetime) - _EARLIER
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(now + lifetime)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
