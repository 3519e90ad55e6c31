"""Credentials are asked for again while a program runs, but not for each request."""

from __future__ import annotations

import pytest
from kubernetes.client import Configuration

from lastnode.kube.access import CREDENTIALS_SECONDS, Access, Credentials
from lastnode.kube.errors import Unreachable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def renewing(tokens: list[str]) -> Configuration:
    """A configuration whose hook, as that of a kubeconfig or of a pod, puts in the next token each time."""
    configuration = Configuration()

    def renew(configuration: Configuration) -> None:
        configuration.api_key["authorization"] = f"Bearer {tokens.pop(0)}"

    configuration.api_key["authorization"] = "Bearer none"
    configuration.refresh_api_key_hook = renew
    return configuration


def test_a_renewed_token_is_used_within_seconds_and_not_asked_for_in_between() -> None:
    clock = Clock()
    credentials = Credentials(Access(renewing(["one", "two", "three"])), clock=clock)
    first, again = credentials.headers(), credentials.headers()
    clock.now += CREDENTIALS_SECONDS
    assert first == again
    assert credentials.headers() != first


def test_a_plugin_that_fails_is_no_answer_and_is_asked_again() -> None:
    credentials = Credentials(Access(renewing([])), clock=Clock())
    for _ in range(2):
        with pytest.raises(Unreachable, match="credentials"):
            credentials.headers()
