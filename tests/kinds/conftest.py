"""Clusters for the tests here: one whose programs know further rows, and one with the built-in ones alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.apply import apply
from tests.kinds.rows import LATE, NOTEBOOK, ROWS, definition
from tests.kinds.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Every row that tests know, of which one's kind is not installed."""
    crds = ("with-stickiness", "sandbox-templates.yaml")
    with World.running(tmp_path_factory.mktemp("rows"), (*ROWS, LATE), crds=crds) as world:
        apply(world.stack.cp, definition(NOTEBOOK.resource, NOTEBOOK.kind))
        yield world


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Nothing is configured."""
    with World.running(tmp_path_factory.mktemp("plain")) as world:
        yield world
