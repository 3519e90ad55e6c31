"""When a certificate ends, read without a library for certificates."""

from datetime import UTC, datetime, timedelta

import pytest

from extender.tls import expiry
from testbed.certificates import Authority

NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize("days", [-1, 0, 1, 90, 3650, 8445, 8446, 40_000])
def test_the_end_of_a_certificate_also_of_an_expired_one_and_beyond_2049(days: int) -> None:
    """From 2050 on the moment is written in another form (RFC 5280, 4.1.2.5)."""
    authority, lifetime = Authority("ca"), timedelta(days=days, minutes=1)
    cert, _ = authority.server(lifetime, NOW)
    assert expiry((cert + authority.pem).decode()) == NOW + lifetime


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
def test_a_text_without_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        expiry(text)
