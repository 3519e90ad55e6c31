"""What is filled into a scheduler's configuration, and what is left alone."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from testbed import LocalError
from testbed.schedulerconfig import for_this_server

KUBECONFIG = Path("/some/kubeconfig")


def test_everything_but_the_connection_and_the_election_is_left_as_it_is() -> None:
    given = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"contentType": "application/json", "qps": 1},
        "leaderElection": {"leaderElect": True, "resourceName": "mine"},
        "profiles": [{"schedulerName": "sticky", "percentageOfNodesToScore": 100}],
    }
    before = copy.deepcopy(given)
    filled = for_this_server(given, KUBECONFIG)
    assert given == before
    assert filled == {
        **given,
        "clientConnection": {
            "contentType": "application/json",
            "kubeconfig": "/some/kubeconfig",
            "qps": 1000,
            "burst": 2000,
        },
        "leaderElection": {"leaderElect": False, "resourceName": "mine"},
    }


def test_who_asks_for_an_election_gets_the_one_of_the_configuration() -> None:
    election = {"leaderElect": True, "resourceName": "mine"}
    assert for_this_server({"leaderElection": election}, KUBECONFIG, elect=True)["leaderElection"] == election


@pytest.mark.parametrize("text", ["- a list", "a: [", ""])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(LocalError, match=r"broken\.yaml"):
        for_this_server(path, KUBECONFIG)
    with pytest.raises(LocalError, match=r"absent\.yaml"):
        for_this_server(tmp_path / "absent.yaml", KUBECONFIG)
