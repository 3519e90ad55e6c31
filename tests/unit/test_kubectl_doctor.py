"""The doctor's rules where they are pure: leases, profiles, sessions, bundles, metrics."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubectl_lastnode.doctor import recorders, scheduling, webhook
from kubectl_lastnode.doctor.installation import has_field
from kubectl_lastnode.doctor.probe import Probe, samples, total
from lastnode.reasons import Reason
from testbed.certificates import Authority
from tests.kubectl.journal import moved, reused

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def lease(holder: str | None, silent: float) -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=silent)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}
    return {"metadata": {"namespace": "n", "name": "l"}, "spec": spec}


@pytest.mark.parametrize(
    ("holder", "silent", "level"), [("r", 14, "OK"), ("r", 15, "FAIL"), ("", 1, "FAIL"), (None, 1, "FAIL")]
)
def test_a_lease_is_good_while_its_holder_renews_it(holder: str | None, silent: float, level: str) -> None:
    assert recorders.judged(lease(holder, silent), NOW).level == level


def test_a_stale_lease_does_not_matter_where_a_recorder_writes_without_it() -> None:
    assert recorders.judged(lease("r", 99), NOW, alone=True).level == "OK"


def test_a_lease_that_was_just_made_is_held_by_nobody() -> None:
    assert recorders.judged({"metadata": {"namespace": "n", "name": "l"}}, NOW).level == "FAIL"


@pytest.mark.parametrize(
    ("configuration", "scored"),
    [
        ({"profiles": [{"schedulerName": "p", "percentageOfNodesToScore": 100}]}, [100]),
        ({"profiles": [{"schedulerName": "p"}]}, [0]),
        ({"percentageOfNodesToScore": 100, "profiles": [{"schedulerName": "p"}]}, [100]),
        ({"percentageOfNodesToScore": 100, "profiles": [{"schedulerName": "p", "percentageOfNodesToScore": 0}]}, [0]),
        ({"profiles": [{"schedulerName": "q"}]}, []),
    ],
)
def test_a_profile_s_own_percentage_goes_before_the_general_one(configuration: Any, scored: list[int]) -> None:
    assert scheduling.scored(configuration, "p") == scored


def test_a_configuration_without_profiles_has_the_default_one() -> None:
    assert scheduling.scored({"percentageOfNodesToScore": 100}, "default-scheduler") == [100]


def test_sessions_whose_node_was_not_offered_show_that_sampling_hides_it() -> None:
    back = [reused(f"r{n}", ready=NOW) for n in range(18)]
    lost = [moved(f"m{n}", Reason.NOT_OFFERED, ready=NOW) for n in range(2)]
    full = [moved("f", Reason.NO_ROOM, ready=NOW)]
    assert not [*scheduling.judged_sessions([*back, lost[0]])], "too few to say anything"
    assert [each.level for each in scheduling.judged_sessions([*back, *lost])] == ["OK"]
    assert [each.level for each in scheduling.judged_sessions([*back[2:], *lost, *full, *lost])] == ["FAIL"]


def test_a_bundle_is_good_while_one_of_its_certificates_is_valid() -> None:
    pem = Authority("one", timedelta(days=1), NOW).pem.decode()
    assert webhook.expired(pem, NOW) == ""
    assert webhook.expired(pem, NOW + timedelta(days=2)).startswith("no certificate in caBundle is valid now")
    later = Authority("another", timedelta(days=1), NOW + timedelta(days=2)).pem.decode()
    assert webhook.expired(pem + later, NOW + timedelta(days=2)) == ""


def test_a_bundle_without_a_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="PEM"):
        webhook.expired("nonsense", NOW)


@pytest.mark.parametrize(
    ("schema", "has"),
    [
        ({"properties": {"spec": {"properties": {"nodeStickiness": {}}}}}, True),
        ({"properties": {"spec": {"x-kubernetes-preserve-unknown-fields": True}}}, True),
        ({"properties": {"spec": {"properties": {}}}}, False),
        ({}, False),
    ],
)
def test_a_definition_has_the_field_where_the_server_would_keep_it(schema: Any, has: bool) -> None:
    served = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}
    old = {"name": "v0", "served": False, "schema": {}}
    assert has_field({"spec": {"versions": [old, served]}}) is has


def test_metrics_of_several_replicas_are_added_by_their_labels() -> None:
    page = '# TYPE lastnode_x counter\nlastnode_x_total{result="a"} 2\nlastnode_x_total{result="b"} 1\n'
    replicas = [Probe("one", samples=samples(page)), Probe("two", samples=samples(page)), Probe("three")]
    assert total(replicas, "lastnode_x_total", result="a") == 4
    assert total(replicas, "lastnode_x_total") == 6
