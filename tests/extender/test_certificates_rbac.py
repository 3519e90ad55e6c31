"""Certificates that replicas make themselves, with exactly the rights of deploy/rbac/certificates.yaml."""

from __future__ import annotations

import base64
import itertools
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.stack import Stack
from testbed.webhook import CONFIGURATIONS, configuration
from tests.extender.tlsclient import TlsExtender
from tests.rbac import NAMESPACE, Account, Audit, Right
from tests.waiting import eventually

CONFIGURATION = "lastnode-webhook"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/lastnode-certificate"
SECRETS = {Right(verb, "", "secrets") for verb in ("get", "patch")}
BUNDLES = {Right(verb, "admissionregistration.k8s.io", "mutatingwebhookconfigurations") for verb in ("get", "patch")}
# The shortest lifetime: looked at every 1.5 s, renewed after 20 s.
FLAGS = (
    "--self-signed-secret", f"{NAMESPACE}/lastnode-certificate", "--self-signed-names", "127.0.0.1,localhost",
    "--webhook-configuration", CONFIGURATION, "--self-signed-lifetime", "30",
)  # fmt: skip

Start = Callable[[], TlsExtender]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return Audit(tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def audited(audit: Audit) -> Iterator[Stack]:
    with Stack.start(apiserver_flags=audit.flags) as stack:
        # It matches no pod: the API server shall not be kept waiting by a webhook that no test is about.
        document = configuration(CONFIGURATION, "https://localhost:1/mutate", b"", only=["nowhere"])
        del document["webhooks"][0]["clientConfig"]["caBundle"]
        stack.api.post(CONFIGURATIONS, document)
        yield stack


@pytest.fixture(scope="module")
def shipped(audited: Stack, audit: Audit) -> Account:
    return Account(audited, audit, "extender", "certificates")


@pytest.fixture
def stack(audited: Stack) -> Stack:
    return audited


@pytest.fixture
def account(shipped: Account) -> Iterator[Account]:
    """As shipped: all rights, an empty Secret, no bundle in the webhook."""
    shipped.restore()
    shipped.stack.api.patch(SECRET, {"data": None})
    set_bundle(shipped.stack, None)
    shipped.forget()
    yield shipped
    shipped.restore()


@pytest.fixture
def start(account: Account) -> Iterator[Start]:
    started = []

    def one_more() -> TlsExtender:
        name, kubeconfig = f"keeper-{next(_numbers)}", account.kubeconfig
        started.append(TlsExtender(account.stack, name, *FLAGS, kubeconfig=kubeconfig))
        return started[-1]

    yield one_more
    for extender in started:
        assert extender.component.stop() == 0


def bundle(stack: Stack) -> bytes:
    (webhook,) = stack.api.get(f"{CONFIGURATIONS}/{CONFIGURATION}")["webhooks"]
    return base64.b64decode(webhook["clientConfig"].get("caBundle", ""))


def set_bundle(stack: Stack, value: str | None) -> None:
    webhooks = [{"name": f"{CONFIGURATION}.lastnode.dev", "clientConfig": {"caBundle": value}}]
    path = f"{CONFIGURATIONS}/{CONFIGURATION}"
    stack.api.patch(path, {"webhooks": webhooks}, "application/strategic-merge-patch+json")


def secret(stack: Stack) -> dict[str, Any]:
    data: dict[str, Any] = stack.api.get(SECRET).get("data", {})
    return data


def trusted(stack: Stack) -> ssl.SSLContext:
    """A client that believes the webhook's caBundle and nothing else, as the API server does."""
    return ssl.create_default_context(cadata=bundle(stack).decode())


def until_trusted(stack: Stack, extender: TlsExtender) -> None:
    eventually(lambda: bundle(stack), "a bundle", 60)

    def is_served() -> bool:
        try:
            return extender.request(trusted(stack), "GET", "/readyz")[0] == 200
        except OSError:
            return False

    eventually(is_served, "the extender to be trusted", 60)


def test_it_uses_every_right_that_it_is_granted_and_no_other(stack: Stack, account: Account, start: Start) -> None:
    extender = start()
    until_trusted(stack, extender)
    assert base64.b64decode(secret(stack)["ca.crt"]) == bundle(stack)
    assert account.rights_asked() == account.granted
    assert account.all_refused() == []


def test_replicas_agree_on_one_certificate_whoever_was_first(stack: Stack, start: Start) -> None:
    replicas = [start() for _ in range(3)]
    for replica in replicas:
        until_trusted(stack, replica)
    assert len([line for replica in replicas for line in replica.log_lines("made a new CA")]) == 1


def test_it_is_renewed_in_time_and_trusted_all_along(stack: Stack, start: Start) -> None:
    extender = start()
    until_trusted(stack, extender)
    trust = trusted(stack)
    first = extender.served(trust)
    eventually(lambda: extender.served(trust) != first, "another certificate of the same CA", 60)
    assert bundle(stack).decode() in ssl.DER_cert_to_PEM_cert(trust.get_ca_certs(binary_form=True)[0])


def test_what_somebody_empties_is_filled_again(stack: Stack, start: Start) -> None:
    extender = start()
    until_trusted(stack, extender)
    before = bundle(stack)
    set_bundle(stack, None)
    eventually(lambda: bundle(stack) == before, "the bundle to be back", 30)
    stack.api.patch(SECRET, {"data": None})
    eventually(lambda: secret(stack).keys() == {"ca.crt", "ca.key", "tls.crt", "tls.key"}, "the Secret to be full", 30)
    eventually(lambda: bundle(stack) == base64.b64decode(secret(stack)["ca.crt"]), "the new CA to be trusted", 30)
    until_trusted(stack, extender)


@pytest.mark.parametrize("missing", sorted(BUNDLES), ids=lambda right: right.verb)
def test_without_a_right_on_the_webhook_it_serves_says_so_and_catches_up(
    stack: Stack, account: Account, start: Start, missing: Right
) -> None:
    account.allow_only(account.granted - {missing})
    extender = start()
    eventually(lambda: extender.log_lines("403"), "the refusal to be said", 60)
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    extender.until_ready(anybody)
    assert bundle(stack) == b""
    account.restore()
    until_trusted(stack, extender)


@pytest.mark.parametrize("missing", sorted(SECRETS), ids=lambda right: right.verb)
def test_without_a_right_on_the_secret_it_ends_and_says_why(account: Account, missing: Right) -> None:
    account.allow_only(account.granted - {missing})
    kubeconfig: Path = account.kubeconfig
    argv = [sys.executable, "-m", "extender.program", "--kubeconfig", str(kubeconfig), "--bind", "127.0.0.1:0"]
    ended = subprocess.run(
        [*argv, *FLAGS, "--self-signed-wait", "2"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode not in (0, -9)
    assert "403" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_while_the_api_server_is_away_it_goes_on_serving_what_it_has(stack: Stack, start: Start) -> None:
    extender = start()
    until_trusted(stack, extender)
    trust = trusted(stack)
    stack.cp.apiserver.pause()
    try:
        assert extender.request(trust, "GET", "/readyz")[0] == 200
    finally:
        stack.cp.apiserver.resume()
    until_trusted(stack, extender)
