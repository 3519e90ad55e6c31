"""The app under any body at all: 200 and a valid HostPriorityList, and never a fault of ours."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from extender.decisions import DecisionLog
from extender.http import create_app
from lastnode.contract import SESSION_LABEL, WORKLOAD_NAME_LABEL
from tests.extender.cluster import favoured
from tests.extender.golden import NODES, WANTED, known, load
from tests.extender.golden.edits import FIELDS, parent, places

GOLDEN = load()
SMALL = [golden for golden in GOLDEN if len(golden.body) < 8000]
REGISTRY = CollectorRegistry()
CLIENT = create_app(known.service(REGISTRY), {}, {}, lambda *_: ()).test_client()

numbers = st.integers() | st.floats() | st.integers(-(2**70), 2**70)
texts = st.text(max_size=20) | st.sampled_from([*NODES, "", "w", "golden", "True", "Ready", "0001-01-01T00:00:00Z"])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=25,
)


def assert_harmless(body: bytes) -> None:
    before = known.counted(REGISTRY)
    answer = CLIENT.post("/prioritize", data=body)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert json.loads(answer.data) in ([], favoured(WANTED))
    after = known.counted(REGISTRY)
    assert after.get("error") == before.get("error"), "counted as a fault of ours"
    assert sum(after.values()) == sum(before.values()) + 1


@given(json_values)
def test_any_json_is_answered(value: Any) -> None:
    assert_harmless(json.dumps(value).encode())


@given(st.binary(max_size=500))
def test_any_bytes_are_answered(body: bytes) -> None:
    assert_harmless(body)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """A golden request of which a few places hold something else, nothing, or one another's values."""
    args = copy.deepcopy(draw(st.sampled_from(SMALL)).args)
    for _ in range(draw(st.integers(1, 4))):
        all_places = places(args)
        if not all_places:
            break
        at = draw(st.sampled_from(all_places))
        holder, key = parent(args, at), at[-1]
        match draw(st.sampled_from(["replace", "remove", "swap", "rename", "nest"])):
            case "replace":
                holder[key] = draw(json_values)
            case "remove":
                del holder[key]
            case "swap":
                other = draw(st.sampled_from(all_places))
                holder[key] = copy.deepcopy(parent(args, other)[other[-1]])
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(FIELDS))] = holder.pop(key)
            case _:
                holder[key] = [holder[key]]
    return args


@given(changed(), st.booleans())
def test_a_golden_request_with_its_values_changed_is_answered(args: Any, ascii_only: bool) -> None:
    assert_harmless(json.dumps(args, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(st.sampled_from(GOLDEN), st.data())
def test_a_golden_request_with_its_bytes_changed_is_answered(golden: Any, data: st.DataObject) -> None:
    body = golden.body
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        cut = data.draw(st.integers(0, 20))
        instead = data.draw(st.binary(max_size=12) | st.sampled_from([b"\\", b'"', b"{", b"]", b"null"]))
        body = body[:at] + instead + body[at + cut :]
    assert_harmless(body)


@pytest.mark.parametrize("golden", SMALL, ids=lambda golden: golden.name)
def test_a_golden_request_cut_off_anywhere_is_answered(golden: Any) -> None:
    for length in range(0, len(golden.body), 37):
        assert_harmless(golden.body[:length])


def test_requests_that_claim_a_workload_which_nobody_knows_push_out_no_decision_about_others() -> None:
    prioritizer = known.service(CollectorRegistry())
    prioritizer.decisions = DecisionLog(size=10)
    real = {"namespace": known.NAMESPACE, "labels": {SESSION_LABEL: "s", WORKLOAD_NAME_LABEL: known.WORKLOAD}}

    def ask(uid: str, **labels: str) -> None:
        metadata = real | {"name": "p", "uid": uid, "labels": real["labels"] | labels}  # type: ignore[operator]
        prioritizer.decide(json.dumps({"Pod": {"metadata": metadata, "spec": {}}, "NodeNames": NODES}).encode())

    ask("mine")
    for number in range(30):
        ask(f"forged-{number}", **{WORKLOAD_NAME_LABEL: "nobody-s"})
    (mine,) = prioritizer.decisions.of("mine", known.NAMESPACE).decisions
    assert (mine.result, mine.node) == ("preferred", WANTED)
    (forged,) = prioritizer.decisions.of("forged-29", known.NAMESPACE).decisions
    assert forged.result == "unattributed", "it is told as what it is"
