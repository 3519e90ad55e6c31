"""The extender's settings; how they are read is :mod:`lastnode.daemon.settings`."""

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from lastnode.contract import DEFAULT_GROUP_WEIGHT, DEFAULT_OLDER_WEIGHT, MOST_WEIGHT
from lastnode.daemon.settings import Bind, CommonSettings, listed

VERBS: Final = ("prioritize", "mutate")
_NAME: Final = "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"


def _verbs(value: object) -> str:
    verbs = [verb for verb in listed(value) if verb]
    if unknown := [verb for verb in verbs if verb not in VERBS]:
        raise ValueError(f"{', '.join(unknown)}: known verbs are {', '.join(VERBS)}")
    return ",".join(verbs)


class ExtenderSettings(CommonSettings):
    """Answer kube-scheduler's prioritize calls from a watched view."""

    bind: Bind = Field("[::]:8888", description="HOST:PORT of all it serves; [::]: all addresses, of IPv4 too")
    # Smaller than the recorder's: a page is decoded in one step, in which no thread of this process answers.
    page_size: int = Field(100, ge=1, le=10_000, description="objects a page of a list")
    tls_cert: str | None = Field(None, description="serve TLS with this certificate (PEM file), which is followed")
    tls_key: str | None = Field(None, description="its private key (PEM file)")
    client_ca: str | None = Field(None, description="only let in clients with a certificate of this CA (PEM file)")
    client_ca_verbs: Annotated[str, BeforeValidator(_verbs)] = Field(
        "prioritize",
        min_length=1,
        description="verbs that need such a certificate, by commas; probes and metrics never do",
    )
    older_weight: int = Field(
        DEFAULT_OLDER_WEIGHT, ge=0, le=MOST_WEIGHT, description="what a workload's older nodes weigh beside the 100 of "
        "its last one, unless its annotation says it; 0: nothing"
    )  # fmt: skip
    group_weight: int = Field(
        DEFAULT_GROUP_WEIGHT, ge=0, le=MOST_WEIGHT, description="what the nodes of its cache group weigh; 0: nothing"
    )
    sticky_scheduler: str = Field(
        "", pattern=f"^({_NAME})?$", description="schedulerName that the webhook gives to pods which have a node to "
        "come back to, unless they name a scheduler of their own; empty: they keep theirs"
    )  # fmt: skip


# For the other programs: see the entry points in pyproject.toml.
NAMES: Final = tuple(ExtenderSettings.model_fields)
