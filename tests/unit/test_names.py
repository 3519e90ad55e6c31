"""Which names the injector and the memory let through."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.contract import is_hostname_value, is_node_name
from tests.unit.strategies import label_values, node_names

LOWER = set(string.ascii_lowercase + string.digits)
ALNUM = set(string.ascii_letters + string.digits)

# Mostly characters that are allowed somewhere, with some that never are, a wide digit and a wide letter.
near_names = st.text("ab09AZ-._ \n\t/é٣", max_size=12) | st.text(max_size=12)


def could_name_a_node(text: str) -> bool:
    """The rule once more, told character by character."""
    parts = text.split(".")
    return len(text) <= 253 and all(
        part and part[0] in LOWER and part[-1] in LOWER and set(part) <= LOWER | {"-"} for part in parts
    )


def could_label_a_node(text: str) -> bool:
    allowed = ALNUM | set("-_.")
    return 1 <= len(text) <= 63 and text[0] in ALNUM and text[-1] in ALNUM and set(text) <= allowed


@given(near_names)
def test_a_node_name_is_a_dns_subdomain(text: str) -> None:
    assert is_node_name(text) == could_name_a_node(text)


@given(near_names)
def test_a_hostname_is_a_label_value(text: str) -> None:
    assert is_hostname_value(text) == could_label_a_node(text)


@given(node_names())
def test_every_name_made_by_the_rules_is_a_node_name(name: str) -> None:
    assert is_node_name(name)


@given(label_values)
def test_every_value_made_by_the_rules_is_a_hostname(value: str) -> None:
    assert is_hostname_value(value)


@given(node_names(max_size=63))
def test_a_node_name_of_at_most_63_characters_can_be_its_own_label(name: str) -> None:
    assert is_hostname_value(name)


@given(node_names(min_size=64))
def test_a_longer_node_name_cannot_be_its_own_label(name: str) -> None:
    assert is_node_name(name)
    assert not is_hostname_value(name)


def test_the_longest_are_253_and_63_characters() -> None:
    assert is_node_name("n" * 253)
    assert not is_node_name("n" * 254)
    assert is_hostname_value("h" * 63)
    assert not is_hostname_value("h" * 64)


@pytest.mark.parametrize(
    "text",
    ["", " ", "-n", "n-", ".n", "n.", "a..b", "a.-b", "N", "n_1", "n\n", "nöde", "n/1", "n 1", "n\x00"],
)
def test_what_no_node_can_be_called(text: str) -> None:
    assert not is_node_name(text)


@pytest.mark.parametrize("text", ["", "-h", "h-", "_h", "h.", "h h", "h\n", "hôst", "h/1", "h:1", "h\x00"])
def test_what_no_label_can_hold(text: str) -> None:
    assert not is_hostname_value(text)
