"""What is made, what is kept, and when: self-made certificates as pure functions of a Secret's data and the time."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from extender.certificates import (
    CA_CERT,
    CA_KEY,
    CERT,
    KEY,
    Lifetimes,
    Material,
    Pair,
    is_trusted,
    needs_renewal,
    parse,
    upkeep,
)

# Now, because OpenSSL, which is asked below, knows no other time.
NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ("lastnode-extender.lastnode-system.svc", "127.0.0.1")
LIFETIMES = Lifetimes()
SECOND = timedelta(seconds=1)
MADE = upkeep(parse({}), NAMES, NOW, LIFETIMES)


def later(moment: datetime, found: Material = MADE, names: tuple[str, ...] = NAMES) -> Material:
    return upkeep(found, names, moment, LIFETIMES)


def cert(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certs)


def two_thirds(pair: Pair) -> datetime:
    start, end = cert(pair).not_valid_before_utc, cert(pair).not_valid_after_utc
    return start + (end - start) * 2 / 3


def accepted(material: Material, bundle: bytes, name: str, directory: Path) -> bool:
    """Whether OpenSSL as a client that trusts the bundle takes the leaf for that name."""
    path = directory / "leaf.pem"
    path.write_bytes(material.leaf.certs + material.leaf.key)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(path)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cadata=bundle.decode()).wrap_bio(down, up, server_hostname=name)
    server = server_context.wrap_bio(up, down, server_side=True)
    try:
        for side in (client, server, client):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLCertVerificationError:
        return False
    return bool(client.getpeercert())


def test_what_is_made_of_nothing_is_taken_by_a_client_for_each_name_and_no_other(tmp_path: Path) -> None:
    assert all(accepted(MADE, MADE.ca.certs, name, tmp_path) for name in NAMES)
    assert not accepted(MADE, MADE.ca.certs, "elsewhere.svc", tmp_path)
    other = later(NOW, parse({}))
    assert not accepted(MADE, other.ca.certs, NAMES[0], tmp_path)


def test_it_lives_as_long_as_said_with_room_for_clocks_that_are_behind() -> None:
    assert cert(MADE.leaf).not_valid_after_utc == NOW + timedelta(days=90)
    assert cert(MADE.ca).not_valid_after_utc == NOW + timedelta(days=3650)
    assert cert(MADE.leaf).not_valid_before_utc == NOW - timedelta(hours=1)


def test_the_leaf_is_for_servers_only_and_the_ca_signs_leaves_only() -> None:
    uses = cert(MADE.leaf).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.SERVER_AUTH]
    limits = cert(MADE.ca).extensions.get_extension_for_class(x509.BasicConstraints)
    assert (limits.critical, limits.value.ca, limits.value.path_length) == (True, True, 0)


def test_what_is_as_it_should_be_is_kept() -> None:
    assert later(NOW) == MADE
    assert parse(MADE.data()) == MADE


def test_the_leaf_is_renewed_after_two_thirds_and_not_before() -> None:
    moment = two_thirds(MADE.leaf)
    assert not needs_renewal(MADE.leaf.certs, moment - SECOND)
    assert needs_renewal(MADE.leaf.certs, moment)
    assert later(moment - SECOND) == MADE
    renewed = later(moment)
    assert renewed.ca == MADE.ca
    assert renewed.leaf.key != MADE.leaf.key
    assert is_trusted(renewed.leaf.certs, MADE.ca.certs, moment)


def test_one_that_is_not_valid_yet_is_renewed() -> None:
    """Made by a replica whose clock was far ahead."""
    assert needs_renewal(MADE.leaf.certs, NOW - timedelta(days=1))


def test_a_renewed_ca_stays_beside_the_former_one_while_that_is_valid() -> None:
    moment = two_thirds(MADE.ca)
    renewed = later(moment)
    new, old = x509.load_pem_x509_certificates(renewed.ca.certs)
    assert old == cert(MADE.ca)
    assert new.subject != old.subject
    assert is_trusted(renewed.leaf.certs, renewed.ca.certs, moment)
    last = later(moment - SECOND)  # what another replica may serve still
    assert is_trusted(last.leaf.certs, renewed.ca.certs, moment)
    assert not is_trusted(renewed.leaf.certs, MADE.ca.certs, moment)
    once_more = later(two_thirds(renewed.ca), renewed)
    assert cert(MADE.ca) not in x509.load_pem_x509_certificates(once_more.ca.certs)


def test_a_leaf_never_outlives_its_ca() -> None:
    short = Lifetimes(leaf=timedelta(days=90), ca=timedelta(days=30))
    made = upkeep(parse({}), NAMES, NOW, short)
    assert cert(made.leaf).not_valid_after_utc == cert(made.ca).not_valid_after_utc


@pytest.mark.parametrize("names", [("other.svc",), (*NAMES, "one-more.svc"), NAMES[:1]])
def test_other_names_make_another_leaf_of_the_same_ca(names: tuple[str, ...]) -> None:
    changed = later(NOW, names=names)
    assert changed.ca == MADE.ca
    stated = cert(changed.leaf).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in stated} == set(names)


def test_the_order_of_names_changes_nothing() -> None:
    assert later(NOW, names=NAMES[::-1]) == MADE


OTHER = upkeep(parse({}), NAMES, NOW, LIFETIMES)
GARBAGE = st.sampled_from([b"", b"garbage", OTHER.ca.certs, OTHER.leaf.certs, OTHER.ca.key, OTHER.leaf.key, b"\xff"])
BROKEN = st.dictionaries(st.sampled_from([CA_CERT, CA_KEY, CERT, KEY]), GARBAGE | st.binary(max_size=40))


@given(BROKEN)
def test_whatever_the_secret_holds_the_outcome_is_usable_and_stays(broken: dict[str, bytes]) -> None:
    made = later(NOW, parse(MADE.data() | broken))
    assert is_trusted(made.leaf.certs, made.ca.certs, NOW)
    assert cert(made.leaf).public_key() == load_pem_private_key(made.leaf.key, None).public_key()
    assert later(NOW, made) == made


@pytest.mark.parametrize("part", [CA_CERT, CA_KEY])
def test_without_a_usable_ca_all_is_made_anew_and_what_was_there_is_trusted_no_more(part: str) -> None:
    made = later(NOW, parse(MADE.data() | {part: b"garbage"}))
    assert made.ca.key != MADE.ca.key
    assert is_trusted(made.leaf.certs, made.ca.certs, NOW)


@pytest.mark.parametrize("part", [CERT, KEY])
def test_a_broken_leaf_costs_the_leaf_alone(part: str) -> None:
    made = later(NOW, parse(MADE.data() | {part: b"garbage"}))
    assert made.ca == MADE.ca
    assert made.leaf != MADE.leaf


def test_no_key_shows_in_what_may_be_logged() -> None:
    for text in (repr(MADE), str(MADE.ca), f"{MADE.leaf}"):
        assert "PRIVATE" not in text


def test_nothing_is_trusted_that_is_no_certificate_or_over() -> None:
    assert not is_trusted(b"garbage", MADE.ca.certs, NOW)
    assert not is_trusted(MADE.leaf.certs, b"garbage", NOW)
    assert not is_trusted(MADE.leaf.certs, MADE.ca.certs, NOW + timedelta(days=91))
