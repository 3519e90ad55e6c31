"""The extender's settings; how they are read is :mod:`recorder.settings`."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from extender.clients import VERBS
from recorder.settings import Bind, CommonSettings, Seconds

# What may stand in a certificate: DNS names, also with a wildcard, and IP addresses.
_HOST: Final = re.compile(r"(\*\.)?[A-Za-z0-9:]([-A-Za-z0-9.:]*[A-Za-z0-9])?")
_NAME: Final = "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"


def _listed(value: object) -> str:
    """A YAML list or a text with commas, as the latter, each part once."""
    parts = value if isinstance(value, list) else str(value).split(",")
    return ",".join(dict.fromkeys(text for part in parts if (text := str(part).strip())))


def _hosts(value: object) -> str:
    hosts = _listed(value)
    if bad := [host for host in hosts.split(",") if host and not _HOST.fullmatch(host)]:
        raise ValueError(f"{', '.join(bad)}: neither a DNS name nor an IP address")
    return hosts


def _verbs(value: object) -> str:
    verbs = _listed(value)
    if unknown := [verb for verb in verbs.split(",") if verb and verb not in VERBS]:
        raise ValueError(f"{', '.join(unknown)}: known verbs are {', '.join(VERBS)}")
    return verbs


class ExtenderSettings(CommonSettings):
    """Answer kube-scheduler's prioritize calls from a watched view."""

    bind: Bind = Field("0.0.0.0:8888", description="HOST:PORT of the verbs, probes and metrics")
    # Smaller than the recorder's: a page is decoded in one step, in which no thread of this process answers.
    page_size: int = Field(100, ge=1, le=10_000, description="objects a page of a list")
    tls_cert: str | None = Field(None, description="serve TLS with this certificate (PEM file)")
    tls_key: str | None = Field(None, description="its private key (PEM file)")
    sticky_scheduler: str = Field(
        "", pattern=f"^({_NAME})?$", description="schedulerName that the webhook gives to pods which have a node to "
        "come back to, unless they name a scheduler of their own; empty: they keep theirs"
    )  # fmt: skip
    client_ca: str | None = Field(None, description="only let in clients with a certificate of this CA (PEM file)")
    client_ca_verbs: Annotated[str, BeforeValidator(_verbs)] = Field(
        "prioritize",
        min_length=1,
        description="verbs that need such a certificate, by commas; probes and metrics never do",
    )
    self_signed_secret: str | None = Field(
        None, pattern=f"^{_NAME}/{_NAME}$", description="serve TLS with a self-made certificate kept in this Secret, "
        "NAMESPACE/NAME, which has to exist (empty at first)"
    )  # fmt: skip
    self_signed_names: Annotated[str, BeforeValidator(_hosts)] = Field(
        "", description="DNS names and IP addresses that it is for, by commas"
    )
    self_signed_lifetime: Seconds = Field(
        90 * 86400.0, ge=30, le=365 * 86400, description="how long it is valid; renewed after two thirds"
    )
    self_signed_wait: Seconds = Field(60.0, description="how long the start waits for it before it gives up")
    webhook_configuration: str | None = Field(
        None, pattern=f"^{_NAME}$", description="MutatingWebhookConfiguration whose caBundle is kept right for it"
    )
