"""The page that `kubectl lastnode report --html` writes: its numbers, and what it makes of any text."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from statistics import fmean

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_lastnode import output, summary
from kubectl_lastnode.page import half, histogram, marks, page, position, rising, ticks
from kubectl_lastnode.remedies import REMEDIES
from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import MOVED, Reason
from tests.kubectl.sessions import NOW, sessions

SINCE = NOW - timedelta(days=3)
HOSTILE = "</style></title></td><script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;\u202e\x00\ud800{{7*7}}"
_VOID = {"meta", "link", "wbr", "br"}

_names = st.sampled_from(["a", "b", "c"])
_moments = st.none() | st.datetimes(datetime(2026, 11, 1), datetime(2026, 11, 30)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
_records = st.builds(
    SessionRecord,
    namespace=_names,
    pod=_names,
    pod_uid=_names,
    workload=_names,
    kind=_names,
    node=_names,
    outcome=st.sampled_from(Outcome),
    reason=st.none() | st.sampled_from(Reason),
    last_node=_names,
    created_at=_moments,
    ready_at=_moments,
)


@given(st.lists(_records))
def test_every_session_has_one_outcome_and_is_in_one_group(records: list[SessionRecord]) -> None:
    total = summary.group("", records)
    groups = [group for _, group in summary.ranked(records, lambda record: (record.namespace, record.kind))]
    assert total.sessions == len(records) == sum(getattr(total, outcome) for outcome in Outcome)
    assert sum(map(len, groups)) == len(records)
    assert [*map(len, groups)] == sorted(map(len, groups), reverse=True)
    assert sum(count for _, count in summary.reasons(records)) == total.moved


@given(st.lists(_records))
def test_the_ratio_is_of_the_sessions_that_had_a_last_node(records: list[SessionRecord]) -> None:
    outcomes = Counter(record.outcome for record in records)
    back = outcomes[Outcome.REUSED] + outcomes[Outcome.OLDER]
    returning = back + outcomes[Outcome.MOVED]
    ratio = summary.group("", records).reuse_ratio
    assert (ratio is None) == (returning == 0)
    assert ratio is None or ratio == back / returning


@given(st.lists(st.integers(0, 1000), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_seen_value_that_covers_its_share(values: list[int], share: float) -> None:
    found = summary.percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_there_is_no_percentile_of_nothing() -> None:
    assert summary.percentile([], 0.5) is None


@given(st.lists(st.integers(1, 10_000), min_size=1), st.integers(1, 30))
def test_a_histogram_counts_every_value_once_in_its_bin(values: list[int], most: int) -> None:
    bins = histogram(values, most)
    assert len(bins) <= most
    spans = [[int(end.replace(",", "")) for end in span.split("–")] for span in bins]
    assert [*bins.values()] == [sum(span[0] <= value <= span[-1] for value in values) for span in spans]
    assert sum(bins.values()) == len(values)


@given(st.lists(st.integers(1, 100), min_size=1))
def test_half_of_the_sessions_ran_on_the_busiest_nodes_and_not_on_fewer(per_node: list[int]) -> None:
    sizes = sorted(per_node, reverse=True)
    nodes = half(sizes)
    assert sum(sizes[:nodes]) * 2 >= sum(sizes) > sum(sizes[: nodes - 1]) * 2


@given(st.lists(_records), st.integers(0, 3))
def test_a_timeline_holds_every_session_of_a_known_time_once(records: list[SessionRecord], dropped: int) -> None:
    line = summary.timeline(records, *summary.period(records, since=SINCE, now=NOW, dropped=dropped))
    timed = [record for record in records if record.ready_at is not None]
    assert sum(counts.sessions for _, counts in line.buckets) == len(timed)
    assert len(line.buckets) <= summary.MOST_BUCKETS
    assert all(0 <= line.position(record.ready_at) < 1 for record in timed if record.ready_at)


@given(
    st.datetimes(timezones=st.just(UTC), max_value=datetime(2100, 1, 1)), st.timedeltas(timedelta(), timedelta(9000))
)
def test_a_timeline_begins_before_its_period_and_ends_after_it(start: datetime, length: timedelta) -> None:
    line = summary.timeline([], start, start + length)
    assert line.start <= start < line.start + line.width
    assert line.position(start + length) < 1
    assert len(line.buckets) <= summary.MOST_BUCKETS


def test_where_sessions_were_dropped_the_period_begins_with_the_oldest_that_is_left() -> None:
    records = sessions(50, hours=5)
    oldest = min(record.ready_at for record in records if record.ready_at)
    assert summary.period(records, since=SINCE, now=NOW, dropped=0)[0] == SINCE
    assert summary.period(records, since=SINCE, now=NOW, dropped=1)[0] == oldest


def test_the_time_saved_adds_up_kinds_and_leaves_out_those_that_cannot_be_compared() -> None:
    records = [
        *_timed("slow", Outcome.REUSED, [5, 15] * 10),
        *_timed("slow", Outcome.MOVED, [60, 80]),
        *_timed("quick", Outcome.REUSED, [3] * 6),
        *_timed("quick", Outcome.OLDER, [3] * 3),
        *_timed("quick", Outcome.GROUP, [99]),
        *_timed("quick", Outcome.MOVED, [1]),
        *_timed("never-moved", Outcome.REUSED, [1] * 1000),
        _session(kind="slow", outcome=Outcome.REUSED, ready_at=None),
    ]
    assert summary.saving(records) == summary.Saving(21 * 60 - 9 * 2, 21 + 9, 2 + 1)
    assert summary.saving(_timed("never-reused", Outcome.MOVED, [1] * 99)) is None


def test_by_chance_a_session_comes_back_as_often_as_its_node_is_used() -> None:
    records = [_session(node="busy") for _ in range(3)] + [_session(node="quiet")]
    back = _session(node="busy", outcome=Outcome.REUSED, last_node="busy")
    gone = _session(node="busy", outcome=Outcome.MOVED, last_node="gone")
    assert summary.chance([*records, back, gone]) == fmean([5 / 6, 0])
    assert summary.chance(records) is None


@given(st.lists(st.integers(0, 5000).map(float), min_size=1).map(sorted))
def test_the_line_of_start_up_times_rises_from_none_to_all(ascending: list[float]) -> None:
    points = rising(ascending, 5000)
    assert points == sorted(points, key=lambda point: (point[0], point[1]))
    assert points[0][1] == 0
    assert points[-1][1] == 1
    assert len(points) <= 2002


@given(st.floats(0, 1e7))
def test_the_axis_of_start_up_times_begins_at_0_and_reaches_the_value_or_a_week(value: float) -> None:
    known = [*marks(value)]
    assert known[0] == 0
    assert len(known) > 1
    assert known[-1] >= min(value, 604800)
    top = max(known[-1], value)
    assert (position(0, top), position(top, top)) == (0, 1)
    labels = [x for x, _, minor in ticks(top) if not minor]
    assert labels[0] == 0
    assert len(labels) > 1, "more than one on a phone too"


def test_a_window_of_a_minute_and_a_half_shows_how_it_went() -> None:
    records = sessions(80, hours=92 / 3600)
    line = summary.timeline(records, NOW - timedelta(seconds=92), NOW)
    assert 20 < len(line.buckets) <= summary.MOST_BUCKETS
    text = _text(page(records, title="Sessions", now=NOW, since=NOW - timedelta(seconds=92)))
    assert "Sessions per 2 seconds" in text
    assert re.search(r"from 24 Nov 15:39:\d\d UTC: ", text)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_only_nothing_is_0_percent_and_only_all_is_100(part: int, whole: int) -> None:
    written = output.percent(min(part, whole), whole)
    assert (written == "0\u00a0%") == (part == 0)
    assert (written == "100\u00a0%") == (part >= whole)


@pytest.mark.parametrize(
    ("seconds", "exact", "roughly"),
    [
        (0, "0 s", "0 s"),
        (0.4, "0.4 s", "0.4 s"),
        (59.6, "1 min", "60 s"),
        (95, "1 min 35 s", "1.6 min"),
        (7190, "2 h", "2 h"),
        (42_480, "11 h 48 min", "12 h"),
        (-300, "−5 min", "−5 min"),
    ],
)
def test_spans_are_written_in_the_units_that_people_use(seconds: float, exact: str, roughly: str) -> None:
    assert output.duration(seconds).replace(output.NBSP, " ") == exact
    assert output.roughly(seconds).replace(output.NBSP, " ") == roughly


@given(st.text())
def test_names_hold_nothing_that_cannot_be_seen(text: str) -> None:
    assert all(c.isprintable() or c == output.NBSP for c in output.visible(text))


def test_the_headline_numbers_are_those_of_the_sessions() -> None:
    records = sessions(800)
    outcomes = Counter(record.outcome for record in records)
    text = _text(_page(records))
    back = outcomes[Outcome.REUSED] + outcomes[Outcome.OLDER]
    assert f"{back} of {back + outcomes[Outcome.MOVED]} returning sessions" in text
    assert ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in Outcome) in text


def test_every_reason_is_on_the_page_with_its_meaning() -> None:
    text = _text(_page(sessions(800)))
    assert [reason for reason in MOVED if reason not in text] == []
    assert [reason for reason in MOVED if reason.meaning not in text] == []
    came_up = {record.reason for record in sessions(800) if record.reason}
    assert [reason for reason in came_up if f"What helps: {REMEDIES[reason]}" not in text] == []


def test_there_is_a_remedy_for_every_reason_why_sessions_move() -> None:
    assert {*REMEDIES} == {*MOVED}


def test_the_page_says_whose_it_is() -> None:
    text = _text(page(sessions(9), title="Sessions of team-a", cluster="prod-<eu>", now=NOW, since=SINCE))
    assert text.startswith("Sessions of team-a – lastnode on prod-<eu>, 2026-11-24 15:40 UTC ")
    assert "lastnode on cluster prod-<eu>, 2026-11-24 15:40 UTC Sessions of team-a" in text


def test_the_page_says_what_it_covers_what_was_dropped_and_who_made_it() -> None:
    records = sessions(300, hours=48)
    text = _text(page(records, title="prod", now=NOW, since=SINCE, dropped=1234))
    oldest = min(record.ready_at for record in records if record.ready_at)
    assert f"Sessions that became Ready from {oldest:%Y-%m-%d %H:%M} UTC to 2026-11-24 15:40 UTC" in text
    assert "have forgotten 1,234 older sessions" in text
    assert re.search(r"Made 2026-11-24 15:40 UTC by kubectl lastnode report, lastnode \d+\.\d+", text)
    assert "may be missing" not in _text(_page(records))


def test_the_page_says_which_recorders_could_not_tell_all() -> None:
    trouble = ["recorder <b>one</b> does not answer", "recorder two does not answer"]
    later = NOW - timedelta(hours=2)
    text = _text(page(sessions(9), title="prod", now=NOW, since=SINCE, complete_since=later, unread=trouble))
    assert "Complete only from 2026-11-24 13:40 UTC on" in text
    assert [line for line in trouble if f"Sessions may be missing: {line}" not in text] == []
    assert "Complete only" not in _text(page(sessions(9), title="prod", now=NOW, since=SINCE, complete_since=SINCE))


def test_sessions_of_which_a_time_is_not_known_are_named_as_missing() -> None:
    untimed = [_session(ready_at=None), *sessions(20)]
    assert "Of 1 session it is not known when they became Ready" in _text(_page(untimed))
    assert "Of 1 session it is not known how long they took" in _text(_page(untimed))
    assert "Of none of these sessions" in _text(_page([_session(ready_at=None)]))


@pytest.mark.parametrize("count", [0, 1, 2, 11, 500])
def test_a_page_of_any_number_of_sessions_is_well_formed(count: int) -> None:
    text = _text(_page(sessions(count)))
    assert ("No sessions" in text) == (count == 0)


@given(st.lists(_records, max_size=30), st.integers(0, 3))
def test_any_sessions_give_a_well_formed_page(records: list[SessionRecord], dropped: int) -> None:
    _Reader().read(page(records, title="any", now=NOW, since=SINCE, dropped=dropped))


def test_hostile_names_stay_text() -> None:
    records = [_hostile(record) for record in sessions(200)]
    harmless = _Reader().read(_page(sessions(200)))
    reader = _Reader().read(page(records, title=HOSTILE, now=NOW, since=SINCE))
    assert reader.tags.keys() <= harmless.tags.keys()
    assert not any(name.startswith("on") for name in reader.attributes)
    assert HOSTILE.replace("\u202e\x00\ud800", "\\u202e\\u0000\\ud800") in reader.text
    assert "{{7*7}}" in reader.text


def test_the_page_may_load_nothing_and_has_no_script() -> None:
    html = _page(sessions(500))
    reader = _Reader().read(html)
    assert "script" not in reader.tags
    assert "http" not in html.replace('http-equiv="Content-Security-Policy"', "")
    assert not {"src", "srcset", "action", "style", "xlink:href"} & reader.attributes.keys()
    assert reader.attributes["href"] == {"data:,"}
    assert not re.search(r"url\(|@import", html)


def test_every_plot_has_words_and_its_numbers_in_a_table_for_those_who_cannot_see_it() -> None:
    html = _page(sessions(500))
    plots_, labels = html.count('class="plot"'), re.findall(r'class="plot"[^>]* role="img" aria-label="[^"]+', html)
    assert plots_ == len(labels) == 3
    assert html.count("The same in numbers") == plots_
    assert [head for head in re.findall(r"<th[ >][^>]*", html) if "scope=" not in head] == []


def test_ten_thousand_sessions_fit_into_a_small_page() -> None:
    records = sessions(10_000, hours=24 * 30, nodes=2000)
    many = [msgspec.structs.replace(r, namespace=f"namespace-{i % 3000}", kind="k" * 63) for i, r in enumerate(records)]
    assert len(_page(many).encode()) < 150_000


def _page(records: list[SessionRecord]) -> str:
    return page(records, title="Sessions", now=NOW, since=SINCE)


def _text(html: str) -> str:
    return " ".join(_Reader().read(html).text.replace(output.NBSP, " ").split())


def _session(**fields: object) -> SessionRecord:
    known: dict[str, object] = {"created_at": NOW - timedelta(seconds=9), "ready_at": NOW, "outcome": Outcome.FIRST}
    names = dict.fromkeys(("namespace", "pod", "pod_uid", "workload", "kind", "node"), "a")
    return SessionRecord(**(names | known | fields))


def _timed(kind: str, outcome: Outcome, seconds: list[int]) -> list[SessionRecord]:
    return [_session(kind=kind, outcome=outcome, created_at=NOW - timedelta(seconds=s)) for s in seconds]


def _hostile(record: SessionRecord) -> SessionRecord:
    fields = dict.fromkeys(("namespace", "pod", "workload", "kind", "node", "last_node"), HOSTILE)
    return msgspec.structs.replace(record, **fields)


class _Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order. Keeps its text, tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: dict[str, set[str]] = {}
        self.text = ""
        self._open: list[str] = []

    def read(self, html: str) -> "_Reader":
        assert html.startswith("<!DOCTYPE html>")
        self.feed(html)
        self.close()
        assert self._open == []
        return self

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        assert len(attrs) == len(dict(attrs)), f"<{tag}> has an attribute twice"
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data
