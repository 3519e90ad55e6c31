"""One control plane with six simulated nodes for all tests that talk to one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from testbed import Api, ControlPlane
from testbed.component import Component
from testbed.extras import extras
from testbed.sessions import Sessions

NODES = 6
# An image takes half a second, a container a twentieth; nodes report their images almost at once.
FLAGS = (*("--bandwidth", "5e8", "--unpack-megabyte", "0.008", "--unpack-files", "0"), "--container-start", "0.05",
         *("--list-period", "0.05", "--status-period", "0.05"), "--running-state")  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    plane: ControlPlane
    agent: Component
    api: Api
    sessions: Sessions
    numbers: Iterator[int]

    def unique(self, prefix: str) -> str:
        """A name that no other test has."""
        return f"{prefix}-{next(self.numbers)}"


@pytest.fixture(scope="session")
def whole_cluster() -> Iterator[Cluster]:
    with ControlPlane.start() as plane:
        try:
            agent = extras(plane, NODES, *FLAGS)
            with Sessions.connect(plane.kubeconfig) as sessions:
                yield Cluster(plane, agent, plane.api(), sessions, count())
        finally:
            print(plane.logs_tail())


@pytest.fixture
def cluster(whole_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster; what the agent did meanwhile is printed with a test that failed."""
    before = whole_cluster.agent.log.stat().st_size
    yield whole_cluster
    with whole_cluster.agent.log.open() as log:
        log.seek(before)
        print(log.read())
