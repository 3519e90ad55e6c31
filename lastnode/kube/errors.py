"""Everything that our programs raise on purpose, and nothing else.

    KubeError
      ConfigError             a setting, file or credential that cannot be used; the program exits
      ApiError                the API server answered, but not with success (status, reason, retry_after)
        NotFound              404: the object, or its whole resource, is not there
        Conflict              409: somebody else wrote in between, or the UID is another one's
        Gone                  410: the version or continue token is too old; list again
        Refused               400, 403, 413, 422, or too large for etcd: asking again changes nothing until somebody
                              changes something
        Overloaded            429: asked to come back later
      Unreachable             no answer: connection refused, reset, TLS
        Silent                a watch that brought nothing for so long that it may be dead
      Undecodable             one object of a shape that cannot be read

Only ``api.py`` and ``fetch.py`` turn the transport's exceptions into these.
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
    """400, 403, 413, 422, or 500 for what is too large. Not 401: a token that ran out is renewed by its issuer."""


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
    413: Refused,
    422: Refused,
    429: Overloaded,
}

# Above 1.5 MiB etcd's own refusal, above 2 MiB that of the connection to it; kube-apiserver (1.37) answers 500 with
# their texts, and 413 above 3 MiB.
_TOO_LARGE = ("etcdserver: request is too large", "trying to send message larger than max")

# A Status body may repeat a whole object; a log line should not.
_MAX_REASON = 256


def api_error(status: int, reason: str, retry_after: float | None = None) -> ApiError:
    """The error class for an HTTP status, with the reason cut to one readable line."""
    line = " ".join(reason.split())[:_MAX_REASON]
    kind = Refused if any(text in line for text in _TOO_LARGE) else _BY_STATUS.get(status, ApiError)
    return kind(status, line, retry_after)
