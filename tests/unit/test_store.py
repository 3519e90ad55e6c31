"""The store: what it keeps, whom it tells, and which of two versions it believes."""

from __future__ import annotations

import msgspec
import pytest

from lastnode.kube.store import Keys, ObjectKey, Store
from lastnode.kube.unforeseen import MOST_SAID, Unforeseen
from lastnode.objects import Node, Session

Change = tuple[str | None, str | None]


def node(name: str = "n", version: str = "1", uid: str = "u") -> Node:
    return Node(name=name, uid=uid, resource_version=version, hostname="", ready=True)


def told(store: Store[Node]) -> list[Change]:
    """The versions before and after of every change from now on."""
    changes: list[Change] = []
    store.subscribe(
        lambda before, after: changes.append((before and before.resource_version, after and after.resource_version))
    )
    return changes


def key(name: str = "n") -> ObjectKey:
    return ObjectKey("", name)


def test_listeners_hear_of_new_changed_and_removed_objects() -> None:
    store: Store[Node] = Store()
    changes = told(store)
    store.upsert(node(version="1"))
    store.upsert(node(version="2"))
    store.remove(node(version="3"))
    assert changes == [(None, "1"), ("1", "2"), ("2", None)]
    assert not store


def test_the_same_version_again_is_no_news() -> None:
    store: Store[Node] = Store()
    store.upsert(node())
    changes = told(store)
    store.upsert(node())
    assert changes == []


def test_the_same_version_of_another_object_is_news() -> None:
    store: Store[Node] = Store()
    store.upsert(node(uid="former"))
    changes = told(store)
    store.upsert(node(uid="present"))
    assert changes == [("1", "1")]
    assert store[key()].uid == "present"


def test_removing_what_was_never_there_is_no_news() -> None:
    store: Store[Node] = Store()
    changes = told(store)
    store.remove(node())
    assert changes == []


def test_a_record_may_inherit_from_the_former_one_of_its_place() -> None:
    store = Store[Node]()
    store.inherit(lambda before, obj: msgspec.structs.replace(obj, hostname=f"{before and before.hostname}, {obj.uid}"))
    changes = told(store)
    store.upsert(node(uid="a"))
    store.upsert(node(uid="b", version="2"))
    assert [one.hostname for one in store.values()] == ["None, a, b"]
    store.remove(node())
    store.upsert(node(uid="c", version="3"))
    assert [one.hostname for one in store.values()] == ["None, c"]
    assert changes == [(None, "1"), ("1", "2"), ("2", None), (None, "3")]


def test_after_a_complete_list_the_others_are_removed_and_announced() -> None:
    store: Store[Node] = Store()
    for name in "abc":
        store.upsert(node(name))
    removed: list[str] = []
    store.subscribe(lambda before, after: removed.append(before.name) if before and after is None else None)
    store.retain(Keys(node("b"), node("never seen")))
    assert sorted(removed) == ["a", "c"]
    assert list(store) == [key("b")]
    assert len(store) == 1


def test_of_a_store_that_several_fill_each_removes_its_own() -> None:
    store: Store[Node] = Store()
    for name in "ab":
        store.upsert(node(name))
    store.retain(Keys(), among=lambda one: one.name == "a")
    assert list(store) == [key("b")]
    store.remove(node("b"), among=lambda one: one.name == "a")
    assert list(store) == [key("b")]
    store.remove(node("b"), among=lambda one: one.name == "b")
    assert not store


@pytest.mark.parametrize(("known", "answer", "kept"), [("9", "10", "10"), ("10", "9", "10"), ("10", "10", "10")])
def test_a_write_s_answer_counts_only_where_it_is_newer(known: str, answer: str, kept: str) -> None:
    store: Store[Node] = Store()
    store.upsert(node(version=known))
    store.adopt(node(version=answer))
    assert store[key()].resource_version == kept


def test_an_answer_with_a_version_that_is_no_number_never_replaces_what_the_watch_brought() -> None:
    store: Store[Node] = Store()
    store.upsert(node(version="a"))
    store.adopt(node(version="b"))
    assert store[key()].resource_version == "a"


def test_a_newer_answer_about_an_object_made_anew_is_taken() -> None:
    store: Store[Node] = Store()
    store.upsert(node(version="5", uid="former"))
    store.adopt(node(version="8", uid="present"))
    assert store[key()].uid == "present"


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    store: Store[Node] = Store()
    store.upsert(node(version="5"))
    store.remove(node(version="6"))
    store.adopt(node(version="5"))
    assert not store


def test_a_late_answer_does_not_replace_the_object_made_anew_by_the_former_one() -> None:
    store: Store[Node] = Store()
    store.upsert(node(version="7", uid="present"))
    store.adopt(node(version="5", uid="former"))
    assert store[key()].uid == "present"


def test_it_reads_like_any_mapping() -> None:
    store: Store[Node] = Store()
    store.upsert(node("a"))
    assert key("a") in store
    assert store.get(key("b")) is None
    assert store.get(key("b"), node("b")) == node("b")
    with pytest.raises(KeyError):
        store[key("b")]


def test_it_may_change_while_somebody_goes_through_it() -> None:
    store: Store[Node] = Store()
    for name in "abc":
        store.upsert(node(name))
    for each in store:
        store.remove(node(each.name))
    assert not store


def test_objects_of_one_name_in_two_namespaces_are_two() -> None:
    store: Store[Session] = Store()
    one, other = Session(namespace="a", name="s"), Session(namespace="b", name="s")
    store.upsert(one)
    store.upsert(other)
    store.retain(Keys(other))
    assert (store.get(one.key), store.get(other.key), len(store)) == (None, other, 1)


def test_a_version_that_changed_nothing_of_what_is_kept_is_no_news() -> None:
    store: Store[Session] = Store()
    store.upsert(Session(name="s", uid="u"))
    changes: list[object] = []
    store.subscribe(lambda before, after: changes.append(after))
    store.upsert(Session(name="s", uid="u"))
    store.upsert(Session(name="s", uid="u", over=True))
    assert len(changes) == 1


def test_a_namespace_that_is_empty_again_leaves_nothing_behind() -> None:
    store: Store[Session] = Store()
    for number in range(1000):
        gone = Session(namespace=f"tenant-{number}", name="s", uid="u")
        store.upsert(gone)
        store.remove(gone)
    assert store._objects == {}


def test_nor_does_one_that_a_list_does_not_show_any_more() -> None:
    store: Store[Session] = Store()
    stays = Session(namespace="a", name="s", uid="u")
    for session in (stays, Session(namespace="b", name="s", uid="u")):
        store.upsert(session)
    store.retain(Keys(stays))
    assert list(store._objects) == ["a"]


def test_a_listener_s_error_keeps_no_other_from_hearing_and_nothing_from_being_kept() -> None:
    store: Store[Node] = Store()
    told_of: list[str] = []
    store.unforeseen = Unforeseen(told_of.append)

    def fails(before: Node | None, after: Node | None) -> None:
        raise OverflowError("date value out of range")

    store.subscribe(fails)
    changes = told(store)
    for name in "ab":
        store.upsert(node(name))
    store.retain(Keys())
    assert changes == [(None, "1"), (None, "1"), ("1", None), ("1", None)]
    assert not store
    assert told_of == ["listener"] * 4


def test_an_error_that_nobody_foresaw_is_said_once_of_each_kind_and_counted_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted: list[str] = []
    unforeseen = Unforeseen(counted.append)
    for number in range(3 * MOST_SAID):
        unforeseen("reading", ValueError(f"{number % 5}"))
        unforeseen("watch", KeyError(number))
    assert counted.count("reading") == counted.count("watch") == 3 * MOST_SAID
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == MOST_SAID
    assert sum(record.getMessage().startswith("reading") for record in said) == 5
    assert all(record.exc_info for record in said)
