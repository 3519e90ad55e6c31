"""What can go wrong with a local control plane.

LocalError
├── BinaryError      a program is neither found nor buildable
├── ApiError         the API server refused a request, or did not answer it
├── GuardLost        the process that holds the components is gone
└── StartError       a component did not become ready; the message ends with its log
    └── PortTaken    … because another program had taken its port in the meantime
"""

from __future__ import annotations


class LocalError(Exception):
    """Anything that keeps the local control plane from doing what it was asked; the text is for people."""


class BinaryError(LocalError):
    """A component's program is neither found nor buildable."""


class ApiError(LocalError):
    """A request to the API server failed. `status` is the HTTP status, 0 when there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GuardLost(LocalError):
    """The guard that holds the components is gone, and so are they."""


class StartError(LocalError):
    """A component ended, or did not become ready in time. The text ends with the tail of its log."""


class PortTaken(StartError):
    """A component found its port in use."""
