"""The doctor's rules where they are pure: leases, profiles, sessions, bundles, selectors, metrics."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_lastnode.doctor import Probe, cluster, kinds, programs, samples, total, webhook
from kubectl_lastnode.journals import Replica
from lastnode.outcome import Outcome
from lastnode.reasons import Reason
from lastnode.selector import Requirement, Selector
from tests.kubectl.journal import moved, record, reused

ANY = Replica("any", lambda path: b"")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
# Valid a day before and after NOW, and from a day after NOW for two days.
CA_OF_TODAY = """\
-----BEGIN CERTIFICATE-----
MIIBGjCBwqADAgECAgEWMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAmNhMB4XDTI2
MTEyMjEyMDAwMFoXDTI2MTEyNDEyMDAwMFowDTELMAkGA1UEAwwCY2EwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAARfW5j7BP4YfbXBgj1RnBqQECSbi8H8a1LKAGMO
nYjgCcPomPeehFFzrkeYZww0Hiief6fWog8yAfprpzkCXYJFoxMwETAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIFMvrDhzniivkfZ8a1QAWVvpwLT2
gcgfv/MGmDNlnnt1AiBWu2xyQYB5Y4rvs5sMRZwNE0u+ZFkBU+5WFJAGOLBUvg==
-----END CERTIFICATE-----
"""
CA_OF_LATER = """\
-----BEGIN CERTIFICATE-----
MIIBGzCBwqADAgECAgEYMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAmNhMB4XDTI2
MTEyNDEyMDAwMFoXDTI2MTEyNjEyMDAwMFowDTELMAkGA1UEAwwCY2EwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAT5DCh5et8zpqNTaLmi2sT9HBSjs7e591N+hOuE
gcgRUoKLh6114Z56oQsOEGN83/vI3DXmq+wDMdcyOdQ9s1VMoxMwETAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDoDWlrSSUUUxsRL6XbXV1xTkW2
L9muqkVzpYoN1DMtHQIgVvemvVMpfsslmhaX4VvI3FYzEXjxO4NVaQyjZPra0p0=
-----END CERTIFICATE-----
"""


def lease(holder: str | None, silent: float) -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=silent)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}
    return {"metadata": {"namespace": "n", "name": "l"}, "spec": spec}


@pytest.mark.parametrize(
    ("holder", "silent", "level"), [("r", 14, "OK"), ("r", 15, "FAIL"), ("", 1, "FAIL"), (None, 1, "FAIL")]
)
def test_a_lease_is_good_while_its_holder_renews_it(holder: str | None, silent: float, level: str) -> None:
    assert programs.judged_lease(lease(holder, silent), NOW).level == level


def test_a_stale_lease_does_not_matter_where_a_recorder_writes_without_it() -> None:
    assert programs.judged_lease(lease("r", 99), NOW, alone=True).level == "OK"


def test_a_lease_that_was_just_made_is_held_by_nobody() -> None:
    assert programs.judged_lease({"metadata": {"namespace": "n", "name": "l"}}, NOW).level == "FAIL"


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
    assert cluster.scored(configuration, "p") == scored


def test_a_configuration_without_profiles_has_the_default_one() -> None:
    assert cluster.scored({"percentageOfNodesToScore": 100}, "default-scheduler") == [100]


def test_sessions_whose_node_was_not_offered_show_that_sampling_hides_it() -> None:
    back = [reused(f"r{n}", ready=NOW) for n in range(18)]
    lost = [moved(f"m{n}", Reason.NOT_OFFERED, ready=NOW) for n in range(2)]
    full = [moved("f", Reason.NO_ROOM, ready=NOW)]
    assert not [*cluster.hidden([*back, lost[0]])], "too few to say anything"
    assert [each.level for each in cluster.hidden([*back, *lost])] == ["OK"]
    new = [record(f"n{n}", ready=NOW, outcome=Outcome.GROUP) for n in range(90)]
    assert [each.text for each in cluster.hidden([*back, *lost, *new])] == [
        "the node of 10.0% of 20 returning sessions was not offered or chosen"
    ]
    assert [each.level for each in cluster.hidden([*back[2:], *lost, *full, *lost])] == ["FAIL"]


def test_a_bundle_is_good_while_one_of_its_certificates_is_valid() -> None:
    today, later = webhook.trusting(CA_OF_TODAY), webhook.trusting(CA_OF_TODAY + CA_OF_LATER)
    assert webhook.expired(today, NOW) == ""
    assert webhook.expired(today, NOW + timedelta(days=2)).startswith("no certificate in caBundle is valid now")
    assert webhook.expired(later, NOW + timedelta(days=2)) == ""


def test_a_bundle_without_a_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="PEM"):
        webhook.trusting("nonsense")


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
    assert kinds.has_field({"spec": {"versions": [old, served]}}) is has


def test_metrics_of_several_replicas_are_added_by_their_labels() -> None:
    page = '# TYPE lastnode_x counter\nlastnode_x_total{result="a"} 2\nlastnode_x_total{result="b"} 1\n'
    replicas = [Probe(ANY, samples=samples(page)), Probe(ANY, samples=samples(page)), Probe(ANY)]
    assert total(replicas, "lastnode_x_total", result="a") == 4
    assert total(replicas, "lastnode_x_total") == 6


REQUIREMENTS = st.builds(
    Requirement, st.sampled_from(["a", "b", "c"]), st.sampled_from([None, "", "x", "y"]), st.booleans()
)
OPERATORS = {(False, False): "Exists", (False, True): "DoesNotExist", (True, False): "In", (True, True): "NotIn"}


@given(st.lists(REQUIREMENTS), st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "x", "y"])))
def test_a_label_selector_of_the_api_selects_what_the_same_in_text_does(
    asked: list[Requirement], labels: dict[str, str]
) -> None:
    expressions = [
        {"key": one.key, "operator": OPERATORS[one.value is not None, one.negated], "values": [one.value]}
        for one in asked
    ]
    assert kinds.selects({"matchExpressions": expressions}, labels) is Selector(tuple(asked)).matches(labels)
    assert kinds.selects({"matchLabels": labels, "matchExpressions": None}, labels)
    assert not kinds.selects({"matchLabels": {"d": "x"}}, labels)
