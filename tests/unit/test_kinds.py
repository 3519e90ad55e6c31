"""The rows of the kinds, and the one rule for which workloads are sticky."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kinds import AGENT_RUNTIME, CODE_INTERPRETER, SANDBOX, kind_named
from lastnode.selector import Selector, disjoint

annotation_values = st.none() | st.just("enabled") | st.text()
fields = st.none() | st.booleans()
_one = st.builds(lambda key, rest: key + rest, st.sampled_from("abc"), st.sampled_from(["", "=1", "==2", "!=1", "="]))
_others = st.lists(_one | st.sampled_from(["!a", "!b"]), max_size=2)
TEXTS = st.builds(lambda first, others: ", ".join([first, *others]), st.sampled_from(["a", "b=1", "c"]), _others)


@pytest.mark.parametrize(
    ("field", "annotation", "sticky"),
    [
        (None, None, False),
        (None, "enabled", True),
        (None, "Enabled", False),
        (None, "true", False),
        (None, "", False),
        (True, None, True),
        (True, "disabled", True),
        (False, None, False),
        (False, "enabled", False),
    ],
)
def test_the_field_decides_where_it_is_present_and_else_the_annotation(
    field: bool | None, annotation: str | None, sticky: bool
) -> None:
    assert AGENT_RUNTIME.is_sticky(field, annotation, None) is sticky


@given(fields, annotation_values, st.integers(min_value=1))
def test_a_code_interpreter_with_a_warm_pool_is_never_sticky(
    field: bool | None, annotation: str | None, size: int
) -> None:
    assert not CODE_INTERPRETER.is_sticky(field, annotation, size)


@given(fields, annotation_values, st.none() | st.integers(max_value=0))
def test_a_warm_pool_of_none_is_no_warm_pool(field: bool | None, annotation: str | None, size: int | None) -> None:
    without = AGENT_RUNTIME.is_sticky(field, annotation, None)
    assert CODE_INTERPRETER.is_sticky(field, annotation, size) is without


@given(fields, annotation_values, st.integers())
def test_another_kind_has_no_warm_pool_whatever_its_field_says(
    field: bool | None, annotation: str | None, size: int
) -> None:
    assert AGENT_RUNTIME.is_sticky(field, annotation, size) is AGENT_RUNTIME.is_sticky(field, annotation, None)


def test_a_field_of_a_kind_that_has_no_such_field_says_nothing() -> None:
    assert not SANDBOX.is_sticky(True, None, None)
    assert SANDBOX.is_sticky(False, "enabled", 3)


def test_a_kind_is_found_by_its_name_and_another_one_has_the_prefix_of_all_others() -> None:
    assert kind_named("CodeInterpreter") is CODE_INTERPRETER
    assert kind_named("Widget").is_sticky(None, "enabled", 3)
    assert kind_named("Widget").prefix == kind_named("Sandbox").prefix == "lastnode.dev"


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"])), st.data())
def test_disjoint_selectors_bring_each_pod_once_that_any_of_them_selects(
    labels: dict[str, str], data: st.DataObject
) -> None:
    selectors = [Selector.parse(text) for text in data.draw(st.lists(TEXTS, min_size=1, max_size=4))]
    by = [selector for selector in disjoint(selectors) if selector.matches(labels)]
    assert len(by) <= 1
    assert by or not any(selector.matches(labels) for selector in selectors)


@given(TEXTS)
def test_a_selector_reads_as_it_is_written_and_selects_its_own_example(text: str) -> None:
    selector = Selector.parse(text)
    assert Selector.parse(str(selector)) == selector
    assert str(selector).replace("==", "=") == text.replace("==", "=").replace(" ", "")


def test_an_example_of_a_selector_is_selected() -> None:
    assert Selector.parse("a,b=1,!c,d!=2").matches(Selector.parse("a,b=1,!c,d!=2").example("x"))


@pytest.mark.parametrize("text", ["", "!a", "a!=1", "a in (1,2)", "a=1=2", "a,", "-a", "a=ü", "a b", "A/b", "a" * 64])
def test_what_is_no_selector_of_sessions_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"label|absent"):
        Selector.parse(text)


def test_the_last_of_disjoint_selectors_leaves_all_of_it_to_the_server() -> None:
    selectors = [Selector.parse(text) for text in ("s", "h,!w", "a=1")]
    assert [*map(str, disjoint(selectors))] == ["s", "h,!s", "a=1,!s,!h"]
    assert [*map(str, disjoint(selectors[:2]))] == ["s", "h,!w,!s"]
    assert [*map(str, disjoint([Selector.parse("a,b"), Selector.parse("a,c")]))] == ["a"]
