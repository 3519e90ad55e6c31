"""Bytes to a partial object, or one error that says they cannot be read: the same everywhere we decode."""

from typing import TypeVar

import msgspec

from lastnode.kube.errors import Undecodable

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, what: str = "") -> T:
    """What ``decoder`` makes of ``data``.

    :raises Undecodable: wrong JSON or types, bytes that are no UTF-8, too deep; ``what`` begins its text.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(f"{what}: {error}" if what else str(error)) from error
