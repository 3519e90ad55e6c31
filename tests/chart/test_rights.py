"""The table of rights, which docs and doctor read, against what the chart grants: the same, right by right."""

from __future__ import annotations

import pytest

from lastnode.kinds import DEFAULT_RESOURCES
from lastnode.rights import needed
from tests.rbac import granted, manifest


@pytest.mark.parametrize("program", ["recorder", "extender"])
def test_the_table_of_rights_is_what_the_chart_grants(program: str) -> None:
    table = {(right.verbs[0], right.resource) for right in needed(program, DEFAULT_RESOURCES)}
    assert table == {(right.verb, right.collection) for right in granted(manifest(program))}
