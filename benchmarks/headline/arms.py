"""What is compared: who expresses the preference, and which profile places the returning sessions."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

DEFAULT: Final = "default-scheduler"
STICKY: Final = "sticky-scheduler"

Face = Literal["none", "injector", "extender", "webhook"]


class Arm(NamedTuple):
    """``profile``: the schedulerName of sessions that have something to come back to; all others take the default."""

    face: Face
    profile: str

    @property
    def name(self) -> str:
        return f"{self.face}-{self.profile.removesuffix('-scheduler')}"

    @property
    def config(self) -> str:
        """A file of scheduler-config/; sticky.yaml is kube-scheduler as it is, with a second profile beside."""
        return "extender.yaml" if self.face == "extender" else "sticky.yaml"


ARMS: Final = {
    arm.name: arm
    for arm in (
        Arm(face, profile)
        for face in ("none", "injector", "extender", "webhook")
        for profile in (DEFAULT, STICKY)
    )
}  # fmt: skip
CONTROL: Final = "none-default"
ORACLE: Final = "oracle"
EVERYBODY: Final = (*ARMS, ORACLE)
