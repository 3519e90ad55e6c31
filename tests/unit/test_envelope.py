"""Pages and events: what surrounds objects on the wire, with the objects left as bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kube import wire
from lastnode.kube.errors import ApiError, Conflict, Gone, NotFound, Overloaded, Refused, Undecodable


def test_a_page_has_its_items_as_bytes_the_next_page_s_token_and_the_version() -> None:
    page = wire.page(b'{"kind":"NodeList","metadata":{"continue":"t","resourceVersion":"7"},"items":[{"a": 1}, 2]}')
    assert [bytes(item) for item in page.items or ()] == [b'{"a": 1}', b"2"]
    assert (page.token, page.version) == ("t", "7")


@pytest.mark.parametrize("items", [b"", b',"items":null', b',"items":[]'])
def test_a_last_page_may_be_empty(items: bytes) -> None:
    page = wire.page(b'{"metadata":{"resourceVersion":"7"}' + items + b"}")
    assert list(page.items or ()) == []
    assert page.token == ""


def test_an_event_has_its_type_and_its_object_with_a_version() -> None:
    event = wire.event(b'{"type":"ADDED","object":{"metadata":{"name":"n","resourceVersion":"12"}}}')
    assert event.type == "ADDED"
    assert wire.version(event) == "12"


def test_a_bookmark_has_only_a_version() -> None:
    event = wire.event(b'{"type":"BOOKMARK","object":{"kind":"Node","metadata":{"resourceVersion":"9"}}}')
    assert wire.version(event) == "9"


@pytest.mark.parametrize(
    ("code", "kind"),
    [(404, NotFound), (409, Conflict), (410, Gone), (422, Refused), (429, Overloaded), (500, ApiError)],
)
def test_an_error_event_is_the_error_that_the_same_http_status_is(code: int, kind: type[ApiError]) -> None:
    event = wire.event(b'{"type":"ERROR","object":{"kind":"Status","code":%d,"message":"too\\nold"}}' % code)
    error = wire.failure(event)
    assert type(error) is kind
    assert (error.status, error.reason) == (code, "too old")


def test_an_error_event_without_a_status_still_is_an_error() -> None:
    assert isinstance(wire.failure(wire.event(b'{"type":"ERROR","object":{}}')), ApiError)


@pytest.mark.parametrize(
    "data",
    [
        b'{"metadata":{"continue":"\xff"}}',
        b"",
        b"{",
        b"[]",
        b"null",
        b"<html>",
        b'{"items":[]}',
        b'{"metadata":{},"items":{}}',
        b"\xff",
        b"[" * 9999,
    ],
)
def test_what_is_no_list_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable, match="not what an API server sends"):
        wire.page(data)


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_else(data: bytes) -> None:
    for read in (wire.page, wire.event):
        try:
            read(data)
        except Undecodable:
            continue


def nested(levels: int, inside: bytes = b"1") -> bytes:
    return b'{"a":[' * (levels // 2) + inside + b"]}" * (levels // 2)


def test_an_object_however_deep_costs_no_other_of_its_page() -> None:
    page = wire.page(b'{"metadata":{"resourceVersion":"7"},"items":[{"n":1},{"n":2,"x":%s},{"n":3}]}' % nested(20_000))
    read = msgspec.json.Decoder(dict[str, Any])
    assert [wire.decode_deep(read, item)["n"] for item in page.items or ()] == [1, 2, 3]
    assert page.version == "7"


def test_an_event_of_an_object_however_deep_has_its_type_and_version() -> None:
    event = wire.event(b'{"type":"MODIFIED","object":{"x":%s,"metadata":{"resourceVersion":"8"}}}' % nested(20_000))
    assert (event.type, wire.version(event)) == ("MODIFIED", "8")


json_values = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def cut(value: object, levels: int = wire.DEEPEST) -> object:
    """The same by recursion."""
    if isinstance(value, (list, dict)) and levels == 0:
        return None
    if isinstance(value, list):
        return [cut(each, levels - 1) for each in value]
    return {key: cut(each, levels - 1) for key, each in value.items()} if isinstance(value, dict) else value


@given(json_values, st.integers(0, wire.DEEPEST + 8), json_values)
def test_what_lies_deeper_than_anybody_reads_is_null_and_nothing_else_changes(
    inside: object, levels: int, beside: object
) -> None:
    value: object = inside
    for _ in range(levels):
        value = {'"[{\\': [value, beside]}
    assert msgspec.json.decode(wire.shallow(msgspec.json.encode(value))) == cut(value)
