"""Packed text comes back as it was, and takes less room where it is what we pack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from lastnode.contract import AGENTCUBE_PREFIX, RECENT_NODES_ANNOTATION
from lastnode.memory import Entry, render
from lastnode.objects import pack, unpack

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@given(st.none() | st.text(st.characters(codec=None)))
def test_every_text_comes_back_as_it_was(text: str | None) -> None:
    assert unpack(pack(text)) == text


def test_half_of_a_surrogate_pair_comes_back_too() -> None:
    assert unpack(pack("\ud800")) == "\ud800"


def test_a_full_memory_takes_less_than_half_of_its_room() -> None:
    entries = tuple(
        Entry(
            node=f"node-{number}",
            hostname=f"node-{number}",
            node_uid=str(UUID(int=0x9F8E7D6C5B4A39281706 * 31**number)),
            ready_at=NOON - timedelta(hours=number),
            pod_uid=str(UUID(int=0x1A2B3C4D5E6F70819203 * 37**number)),
        )
        for number in range(1, 6)
    )
    text = render(entries, AGENTCUBE_PREFIX)[RECENT_NODES_ANNOTATION]
    packed = pack(text)
    assert text is not None
    assert packed is not None
    assert len(packed) < len(text) / 2
