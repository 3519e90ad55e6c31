"""Everything that our programs raise on purpose, and nothing else.

    KubeError
      ConfigError             a setting, file or credential that cannot be used; the program exits
      ApiError                the API server answered, but not with success (status, reason, retry_after)
        NotFound              404: the object, or its whole resource, is not there
        Conflict              409: somebody else wrote in between, or the UID is another one's
        Gone                  410: the version or continue token is too old; list again
        Refused               400, 403, 422: asking again changes nothing until somebody changes something
        Overloaded            429: asked to come back later
      Unreachable             no answer: connection refused, reset, TLS
        Silent                a watch that brought nothing for so long that it may be dead
      Undecodable             one object of a shape that cannot be read

Only ``api.py``, ``access.py`` and ``fetch.py`` turn the transport's exceptions into these.
"""


class KubeError(Exception):
    """The root: catch it to catch all of ours."""


class ConfigError(KubeError):
    """A setting, file or credential that cannot be used. The text is one line for a person."""


class ApiError(KubeError):
    """The API server's refusal: ``status`` (HTTP), ``retry_after`` in seconds where it named one."""

    def __init__(self, status: int, reason: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class NotFound(ApiError):
    """404."""


class Conflict(ApiError):
    """409."""


class Gone(ApiError):
    """410, as HTTP status, as a watch event or on a continue token."""


class Refused(ApiError):
    """400, 403 or 422. Not 401: a token that ran out is renewed by whoever issues it."""


class Overloaded(ApiError):
    """429."""


class Unreachable(KubeError):
    """No usable answer from the API server."""


class Silent(Unreachable):
    """A watch brought no byte for its silence limit."""


class Undecodable(KubeError):
    """One object that cannot be read; the others are not affected."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Refused,
    403: Refused,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Refused,
    429: Overloaded,
}


def one_line(error: BaseException) -> str:
    """The text of any exception as one line, never empty."""
    return " ".join(str(error).split()) or type(error).__name__


# A Status body may repeat a whole object; a log line should not.
_MAX_REASON = 256


def api_error(status: int, reason: str, retry_after: float | None = None) -> ApiError:
    """The error class for an HTTP status, with the reason cut to one readable line."""
    line = " ".join(reason.split())[:_MAX_REASON]
    return _BY_STATUS.get(status, ApiError)(status, line, retry_after)
