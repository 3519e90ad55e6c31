"""The rows of the kinds, and the one rule for which workloads are sticky."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kinds import AGENT_RUNTIME, BUILT_IN, CODE_INTERPRETER, kind_named, kinds_of

annotation_values = st.none() | st.just("enabled") | st.text()
fields = st.none() | st.booleans()


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


def test_a_resource_without_a_row_gets_one_like_agentcube_s() -> None:
    (kind,) = kinds_of(["widgets.example.com"])
    assert (kind.prefix, kind.sessions, kind.pooled) == (AGENT_RUNTIME.prefix, AGENT_RUNTIME.sessions, False)
    assert kinds_of([kind.resource for kind in BUILT_IN]) == BUILT_IN


def test_a_kind_is_found_by_its_name_and_another_one_is_never_pooled() -> None:
    assert kind_named("CodeInterpreter") is CODE_INTERPRETER
    assert kind_named("Widget").is_sticky(None, "enabled", 3)
