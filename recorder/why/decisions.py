"""The extender's decisions as others read them: the one format of its ``/decisions``. Pure."""

from datetime import datetime
from typing import Final

import msgspec


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """What the extender answered kube-scheduler about a session's pod, the last time it was asked.

    ``result`` as in ``lastnode_prioritize_total``; ``node``: the one it had in mind, empty where it had none.
    """

    pod_uid: str = msgspec.field(name="podUID")
    result: str
    node: str = ""
    at: datetime


class Decisions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``since``: of what was decided before, some or all is not known any more."""

    since: datetime
    decisions: list[Decision]


DECISIONS: Final = msgspec.json.Decoder(Decisions)
