"""The recorder's settings; how they are read is :mod:`lastnode.daemon.settings`."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from lastnode.contract import DEFAULT_RECENT_NODES, DEFAULT_REDATE_SECONDS, MOST_RECENT_NODES
from lastnode.daemon.settings import Bind, CommonSettings, Seconds, listed
from recorder.why.extenders import NONE

_URL: Final = re.compile(r"https?://[^\s/?#,@]+(/[^\s?#,]*)?")
_OBJECT_NAME: Final = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"


def _urls(value: object) -> str:
    """``none``, or URLs by commas."""
    urls = listed(value)
    for url in urls:
        if url not in ("", NONE) and not _URL.fullmatch(url):
            raise ValueError(f"{url!r} is not http(s)://HOST[:PORT]")
    if NONE in urls and len(urls) > 1:
        raise ValueError("none stands alone")
    return ",".join(urls)


class RecorderSettings(CommonSettings):
    """Watch session pods and write each workload's last node."""

    bind: Bind = Field("[::]:8889", description="HOST:PORT of probes and metrics; [::]: all addresses, of IPv4 too")
    leader_elect: bool = Field(True, description="several replicas: only the one that holds the lease writes")
    lease_name: str = Field("lastnode-recorder", pattern=_OBJECT_NAME, description="the Lease's name")
    lease_namespace: str = Field(
        "", pattern=f"^$|{_OBJECT_NAME}", description="its namespace; empty: the pod's own, else 'default'"
    )
    lease_duration: Seconds = Field(
        15.0, ge=1, description="how long a replica that fell silent keeps the lease; it stops writing after two thirds"
    )
    early_crash_seconds: Seconds = Field(
        30.0, le=3600, description="a session that fails this soon after it became Ready takes its node back; 0: never"
    )
    extender_url: Annotated[str, BeforeValidator(_urls)] = Field(
        "", description="where to ask the extender why a session moved, by commas; each address of a name counts, as a "
        "headless Service has them; none: there is no extender"
    )  # fmt: skip
    extender_ca: str | None = Field(None, description="CA that the extender's certificate is of (PEM file)")
    session_log: int = Field(
        10_000, ge=0, le=1_000_000, description="sessions that /sessions lists, about 350 bytes of memory each"
    )
    sessions_token_file: str | None = Field(
        None, description="who shows the token in this file gets all of /sessions; default: only who asks from this "
        "machine (kubectl port-forward)"
    )  # fmt: skip
    namespace_metrics: int = Field(
        0, ge=0, le=1000, description="count sessions by namespace too, so many by name and the rest together; 0: not"
    )
    recent_nodes: int = Field(
        DEFAULT_RECENT_NODES, ge=1, le=MOST_RECENT_NODES, description="nodes that a workload's memory holds: the newest"
    )
    redate_seconds: Seconds = Field(
        DEFAULT_REDATE_SECONDS, description="a memory that leads to a session's node already is written again when its "
        "date is so far behind, or a tenth of --memory-ttl; 0: each time"
    )  # fmt: skip
    schedulers: Annotated[str, BeforeValidator(lambda value: ",".join(listed(value)))] = Field(
        "",
        pattern=r"^[^\s=\\]*$",
        description="schedulers, by commas, of which lastnode_scheduler_silence_seconds tells",
    )
    nominate: int = Field(
        0, ge=0, description="from so many nodes on, have kube-scheduler try a waiting session's node first; 0: never"
    )  # fmt: skip
    writers: int = Field(8, ge=1, le=64, description="workloads written at the same time")

    @property
    def redate(self) -> float:
        """Seconds that a memory's dates may be behind: they have to count for nearly the whole TTL."""
        return min(self.redate_seconds, self.memory_ttl / 10) if self.memory_ttl else self.redate_seconds


# For the other programs: see the entry points in pyproject.toml.
NAMES: Final = tuple(RecorderSettings.model_fields)
