"""The real control plane on one machine: tests, the demo and the benchmarks stand on it. See testbed/README.md."""

from .api import Api
from .apply import apply
from .binaries import Binaries, Binary, Tools, find, find_tools
from .component import Component
from .controlplane import ControlPlane
from .errors import ApiError, BinaryError, GuardLost, LocalError, PortTaken, StartError

__all__ = [
    "Api",
    "ApiError",
    "Binaries",
    "Binary",
    "BinaryError",
    "Component",
    "ControlPlane",
    "GuardLost",
    "LocalError",
    "PortTaken",
    "StartError",
    "Tools",
    "apply",
    "find",
    "find_tools",
]
