"""One cluster for what the pages have people run: nodes, kube-scheduler, lastnode with the rows of docs/kinds.md."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from testbed.stack import Stack
from tests.pages.printed import ROWS

NODES = 6
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack.start(crds=("without-stickiness",)) as stack:
        stack.start_agent(NODES, "--container-start", "0")
        stack.start_scheduler("sticky.yaml")
        rows = stack.cp.dir / "kinds.yaml"
        rows.write_text(ROWS, encoding="utf-8")
        stack.start_recorder("--config", str(rows))
        stack.start_webhook("--config", str(rows))
        yield stack


@pytest.fixture
def namespace(stack: Stack) -> Iterator[str]:
    """A namespace of the test's own. Its pods go at the end, since what they leave of a node matters to the others."""
    name = f"page-{next(_numbers)}"
    stack.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    stack.api.delete(f"/api/v1/namespaces/{name}/pods")
