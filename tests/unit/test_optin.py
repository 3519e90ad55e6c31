"""The one rule for which workloads are sticky."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kinds import is_sticky

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
    assert is_sticky("AgentRuntime", field, annotation, None) is sticky


@given(fields, annotation_values, st.integers(min_value=1))
def test_a_code_interpreter_with_a_warm_pool_is_never_sticky(
    field: bool | None, annotation: str | None, size: int
) -> None:
    assert not is_sticky("CodeInterpreter", field, annotation, size)


@given(fields, annotation_values, st.none() | st.integers(max_value=0))
def test_a_warm_pool_of_none_is_no_warm_pool(field: bool | None, annotation: str | None, size: int | None) -> None:
    without = is_sticky("AgentRuntime", field, annotation, None)
    assert is_sticky("CodeInterpreter", field, annotation, size) is without


@given(fields, annotation_values, st.integers())
def test_another_kind_has_no_warm_pool_whatever_its_field_says(
    field: bool | None, annotation: str | None, size: int
) -> None:
    assert is_sticky("AgentRuntime", field, annotation, size) is is_sticky("AgentRuntime", field, annotation, None)
