"""Self-made certificates: a CA, the serving certificate that it signs, and when either has to be made anew. Pure.

Only for clusters without cert-manager: the CA's key lies in the same Secret, so whoever reads that Secret can pass for
this webhook, and for nothing else. Keys are P-256, which every TLS client of Kubernetes takes.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_CERT, CA_KEY = "ca.crt", "ca.key"
CERT, KEY = "tls.crt", "tls.key"  # as in a Secret of type kubernetes.io/tls
# Valid a little before now, for clients whose clock is behind ours.
_BACKDATE: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Lifetimes:
    """How long what is made is valid; it is renewed after two thirds of that."""

    leaf: timedelta = timedelta(days=90)
    ca: timedelta = timedelta(days=3650)


@dataclass(frozen=True)
class Pair:
    """PEM: certificates, the pair's own one first, and its key."""

    certs: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Material:
    """What the Secret holds. ``ca.certs`` is the bundle to be trusted: a CA that was replaced stays in it while it is
    valid, so that certificates of either are trusted while replicas change over."""

    ca: Pair
    leaf: Pair

    def data(self) -> dict[str, bytes]:
        """By the keys of the Secret."""
        return {CA_CERT: self.ca.certs, CA_KEY: self.ca.key, CERT: self.leaf.certs, KEY: self.leaf.key}


def parse(data: Mapping[str, bytes]) -> Material:
    """What a Secret's data says, unchecked; what is missing is empty."""
    ca = Pair(data.get(CA_CERT, b""), data.get(CA_KEY, b""))
    return Material(ca, Pair(data.get(CERT, b""), data.get(KEY, b"")))


def upkeep(found: Material, names: Sequence[str], now: datetime, lifetimes: Lifetimes) -> Material:
    """``found`` if it is as it should be, else with what was missing, unusable, near its end or for other names anew.

    :raises ValueError: a name that cannot stand in a certificate.
    """
    ca = found.ca
    if not _usable(ca) or needs_renewal(ca.certs, now):
        ca = _make_ca(ca.certs, now, lifetimes.ca)
    leaf = found.leaf
    if not _usable(leaf) or needs_renewal(leaf.certs, now) or not _is_for(leaf, ca, names):
        leaf = _make_leaf(ca, names, now, lifetimes.leaf)
    return Material(ca, leaf)


def needs_renewal(pem: bytes, now: datetime) -> bool:
    """Whether two thirds of the first certificate's time have passed.

    :raises ValueError: no certificate.
    """
    cert = x509.load_pem_x509_certificate(pem)
    start, end = cert.not_valid_before_utc, cert.not_valid_after_utc
    return not start <= now < start + (end - start) * 2 / 3


def is_trusted(pem: bytes, bundle: bytes, now: datetime) -> bool:
    """Whether the first certificate of ``pem`` is valid and signed by one of the bundle; False for what is none."""
    try:
        cert = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    valid = cert.not_valid_before_utc <= now <= cert.not_valid_after_utc
    return valid and any(_is_signed_by(cert, ca) for ca in _all(bundle))


def _make_ca(before: bytes, now: datetime, lifetime: timedelta) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # A name of its own: clients that look for the issuer by name shall not take the former CA for it.
    name = _name(f"lastnode-ca-{serial:040x}"[:32])
    usage = _usage(signs_certificates=True)
    builder = _builder(name, key.public_key(), serial, now, now + lifetime)
    builder = builder.issuer_name(name).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    cert = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    still = [old for old in _all(before) if old.not_valid_after_utc > now and _is_ca(old)]
    return Pair(b"".join(_pem(each) for each in [cert, *still]), _key_pem(key))


def _make_leaf(ca: Pair, names: Sequence[str], now: datetime, lifetime: timedelta) -> Pair:
    issuer = x509.load_pem_x509_certificate(ca.certs)
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + lifetime, issuer.not_valid_after_utc)
    builder = _builder(_name("lastnode"), key.public_key(), x509.random_serial_number(), now, end)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(_public(issuer))
    builder = builder.issuer_name(issuer.subject).add_extension(authority, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(_alternative_names(names), critical=False)
    cert = builder.sign(_load_key(ca.key), hashes.SHA256())
    return Pair(_pem(cert), _key_pem(key))


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, serial: int, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    start = now - min(_BACKDATE, (end - now) / 10)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key).serial_number(serial)
    builder = builder.not_valid_before(start).not_valid_after(end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative_name(name) for name in names])


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usable(pair: Pair) -> bool:
    """Whether the pair can be read and its key is that of its first certificate."""
    try:
        return bool(_public(x509.load_pem_x509_certificate(pair.certs)) == _load_key(pair.key).public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _is_for(leaf: Pair, ca: Pair, names: Sequence[str]) -> bool:
    cert = x509.load_pem_x509_certificate(leaf.certs)
    try:
        stated = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    wanted = _alternative_names(names)
    return set(stated) == set(wanted) and _is_signed_by(cert, x509.load_pem_x509_certificate(ca.certs))


def _is_signed_by(cert: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_ca(cert: x509.Certificate) -> bool:
    try:
        return cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _all(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return []


def _public(cert: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = cert.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("not a key of the kind that is made here")
    return key


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a key of the kind that is made here")
    return key


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())
