"""What surrounds objects on the wire: the pages of a list and the events of a watch. Objects inside stay bytes."""

from typing import Any, Final

import msgspec

from recorder.errors import ApiError, Undecodable, api_error


class _ListMeta(msgspec.Struct, rename={"token": "continue", "version": "resourceVersion"}):
    token: str = ""
    version: str = ""


class Page(msgspec.Struct):
    """One page of a list."""

    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None

    @property
    def token(self) -> str:
        """Where the next page begins; empty on the last one."""
        return self.metadata.token

    @property
    def version(self) -> str:
        """The collection's version at the time of the list: where a watch may start."""
        return self.metadata.version


class Event(msgspec.Struct):
    """One line of a watch; ``type`` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    object: msgspec.Raw


class _Versioned(msgspec.Struct):
    metadata: _ListMeta


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""


def page(data: bytes) -> Page:
    """:raises Undecodable: not a list, as from the two functions below for what is not theirs."""
    decoded: Page = _decode(_PAGE, data)
    return decoded


def event(line: bytes) -> Event:
    """One line of a watch."""
    decoded: Event = _decode(_EVENT, line)
    return decoded


def version(event: Event) -> str:
    """The version of the object inside, whatever kind it is; bookmarks have nothing else."""
    decoded: _Versioned = _decode(_VERSIONED, event.object)
    return decoded.metadata.version


def failure(event: Event) -> ApiError:
    """The error that an ERROR event's Status tells, in the class that the same HTTP status would have."""
    status = _decode(_FAILURE, event.object)
    return api_error(status.code, status.message)


def _decode(decoder: msgspec.json.Decoder[Any], data: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(f"not what an API server sends: {error}") from error


_PAGE: Final = msgspec.json.Decoder(Page)
_EVENT: Final = msgspec.json.Decoder(Event)
_VERSIONED: Final = msgspec.json.Decoder(_Versioned)
_FAILURE: Final = msgspec.json.Decoder(_Failure)
