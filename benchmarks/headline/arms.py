"""What is compared: what the webhook asks for, and which profile places the sessions that have somewhere to go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

DEFAULT: Final = "default-scheduler"
STICKY: Final = "sticky-scheduler"

# "groups" is "older", and workloads whose images stand on one environment are a cache group.
Preference = Literal["none", "last", "older", "alike", "groups"]
_FLAGS: Final = {"last": ("--older-weight=0", "--group-weight=0"), "alike": ("--older-weight=100",)}


class Arm(NamedTuple):
    """``profile``: the schedulerName that the webhook gives to the pods which it gives a preference."""

    preference: Preference
    profile: str

    @property
    def name(self) -> str:
        return f"{self.preference}-{self.profile.removesuffix('-scheduler')}"

    @property
    def sticky(self) -> bool:
        """Whether lastnode takes part at all."""
        return self.preference != "none"

    @property
    def flags(self) -> tuple[str, ...]:
        """The webhook's, as on its command line."""
        named = ("--sticky-scheduler", STICKY) if self.profile == STICKY else ()
        return (*_FLAGS.get(self.preference, ()), *named)

    def wanted(self, known: Sequence[str]) -> Sequence[str]:
        """Of the nodes that a workload remembers, newest first, those that its sessions ask for."""
        return known[: {"none": 0, "last": 1}.get(self.preference)]


ARMS: Final = {
    arm.name: arm
    for arm in (
        Arm("none", DEFAULT),
        Arm("older", DEFAULT),
        Arm("last", STICKY),
        Arm("older", STICKY),
        Arm("alike", STICKY),
        Arm("groups", STICKY),
    )
}
CONTROL: Final = "none-default"
ORACLE: Final = "oracle"
EVERYBODY: Final = (*ARMS, ORACLE)
# The oracle takes a minute at full size; with the next two there is a comparison.
STICKIEST: Final = "groups-sticky"
COMPARISON: Final = (ORACLE, CONTROL, STICKIEST)
# In order of what is worth knowing, for who stops early.
IN_TURN: Final = (*COMPARISON, "older-sticky", "older-default", "last-sticky", "alike-sticky")


def arms_of(at_a_time: int) -> tuple[str, ...]:
    """Those that tell something where a workload has so many sessions at a time."""
    return tuple(arm for arm in EVERYBODY if at_a_time > 1 or arm != "alike-sticky")
