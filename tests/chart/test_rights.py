"""The table of rights, which docs and doctor read, against what the chart grants: the same, right by right."""

from __future__ import annotations

import pytest

from lastnode.daemon.rows import Row, table
from lastnode.rights import NOMINATING, needed
from tests.rbac import ROWS, granted, manifest


@pytest.mark.parametrize("rows", [(), ROWS], ids=["built in", "configured too"])
@pytest.mark.parametrize("program", ["recorder", "extender"])
def test_the_table_of_rights_is_what_the_chart_grants(program: str, rows: tuple[Row, ...]) -> None:
    rights = [(right.verbs[0], right.resource) for right in needed(program, table(rows))]
    assert sorted(rights) == sorted((right.verb, right.collection) for right in granted(manifest(program, rows)))


def test_the_right_to_nominate_comes_with_the_option_alone() -> None:
    without, with_it = (granted(manifest("recorder", (), f"recorder.settings.nominate={nodes}")) for nodes in (0, 5000))
    assert without == granted(manifest("recorder"))
    assert with_it > without
    more = [(right.verb, right.collection) for right in with_it - without]
    assert more == [(right.verbs[0], right.resource) for right in needed(NOMINATING, table(()))]
