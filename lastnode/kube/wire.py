"""What surrounds objects on the wire: the pages of a list and the events of a watch. Objects inside stay bytes."""

import re
from typing import Final, TypeVar

import msgspec

from lastnode.kube.errors import ApiError, Undecodable, api_error

T = TypeVar("T")

# Nothing that is read anywhere here lies deeper: a value of a pod's preferred term, inside a page, is at 12. The API
# server takes objects of some 10,000 levels where a definition keeps unknown fields; their managedFields are as deep.
DEEPEST: Final = 64
# No possessive quantifiers: until Python 3.11.5 (Debian 12 has 3.11.2) they match what they should not (gh-106052).
_SIGN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.DOTALL)  # a whole string, or what nests


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, what: str = "") -> T:
    """What ``decoder`` makes of ``data``.

    :raises Undecodable: wrong JSON or types, bytes that are no UTF-8, too deep; ``what`` begins its text.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(f"{what}: {error}" if what else str(error)) from error


def decode_deep(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, what: str = "") -> T:
    """The same for what is only looked at, never given back: data too deep for ``decoder`` is read :func:`shallow`."""
    try:
        return decoder.decode(data)
    except RecursionError:  # also from what it only skips: one such object must not cost its whole page
        data = shallow(bytes(data))
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # said below
    return decode(decoder, data, what)


def shallow(data: bytes) -> bytes:
    """The same JSON with null for each array and object below :data:`DEEPEST` levels. Does not recurse; takes 4 ms
    a megabyte of long strings, 60 of short ones, and up to 200 of nothing but brackets."""
    kept, since, depth = [], 0, 0
    for sign in _SIGN.finditer(data):
        if data[sign.start()] in b"[{":
            depth += 1
            if depth == DEEPEST + 1:
                kept += [data[since : sign.start()], b"null"]
        elif data[sign.start()] in b"]}":
            if depth == DEEPEST + 1:
                since = sign.end()
            depth -= 1
    return b"".join(kept if depth > DEEPEST else [*kept, data[since:]])


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


class Place(msgspec.Struct):
    """Where an object is."""

    name: str
    namespace: str = ""


class _Placed(msgspec.Struct):
    metadata: Place


class _Versioned(msgspec.Struct):
    metadata: _ListMeta


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""


def page(data: bytes) -> Page:
    """:raises Undecodable: not a list, as from the two functions below for what is not theirs."""
    return decode_deep(_PAGE, data, _WHAT)


def event(line: bytes) -> Event:
    """One line of a watch."""
    return decode_deep(_EVENT, line, _WHAT)


def version(event: Event) -> str:
    """The version of the object inside, whatever kind it is; bookmarks have nothing else."""
    return decode_deep(_VERSIONED, event.object, _WHAT).metadata.version


def place(event: Event) -> Place:
    """Of the object inside, of which nothing else may be readable."""
    return decode_deep(_PLACED, event.object, _WHAT).metadata


def failure(event: Event) -> ApiError:
    """The error that an ERROR event's Status tells, in the class that the same HTTP status would have."""
    status = decode_deep(_FAILURE, event.object, _WHAT)
    return api_error(status.code, status.message)


_WHAT: Final = "not what an API server sends"
_PAGE: Final = msgspec.json.Decoder(Page)
_EVENT: Final = msgspec.json.Decoder(Event)
_VERSIONED: Final = msgspec.json.Decoder(_Versioned)
_PLACED: Final = msgspec.json.Decoder(_Placed)
_FAILURE: Final = msgspec.json.Decoder(_Failure)
