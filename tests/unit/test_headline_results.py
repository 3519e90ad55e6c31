"""What the headline experiment keeps, publishes, prints and draws."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from msgspec import structs

from benchmarks.headline import __main__ as program
from benchmarks.headline import aims, model, others, page, plots, ran, report, world
from benchmarks.headline.arms import EVERYBODY, arms_of
from benchmarks.headline.kept import FOLDER, PUBLISHED, Kept, Published, Run, joined, publish
from benchmarks.headline.others import Clock
from benchmarks.headline.ran import Ran

SIZE = world.full_size(0.01)
FULL_SIZE = {
    name: Published(program.SEED, world.full_size(1, at_a_time)).runs(EVERYBODY)
    for name, at_a_time in world.WORLDS.items()
}


def run_of(arm: str, mean: float, remembered: int) -> Run:
    reasons = dict.fromkeys(ran.REASONS, 1)
    seconds = dict.fromkeys(ran.REASONS, 12.25)
    back, first = (remembered - 1, remembered, 95), 20.0
    own = ran.Summary(200, 100, *back, mean, 1.0, 9.0, first, 10**12, 1.5, 4.0, reasons, 1.25, seconds, 1.5, 3)
    rates = [] if arm == "oracle" else [50.0, 100.0]
    sessions = [Ran(0, 0, 0, "node-1", 20.0, 5, ())]
    return Run(arm, 1, 100, 10, 2, "a machine", "2026-01-02T03:04:05+00:00", 1.5, rates, 2.0, own, sessions, 0.03,
               model=model.PARAMETERS)  # fmt: skip


RUNS = [run_of("none-default", 20.0, 2), run_of("older-sticky", 2.0, 90), run_of("oracle", 1.0, 95)]


def test_the_report_sets_each_arm_beside_control_and_oracle() -> None:
    text = report.text(RUNS)
    assert "| older-sticky | 90.0% | 89.0% | 94.7% | 94.7% | 1.0% | 1.25 | 2.00 | 90.0% |" in text
    assert "| older-sticky | 75 | 1.00 | 2.0 | 1.50 | 4.0 | 1.50 | 3 | 3.0% |" in text
    assert "1 session of each at a time, 10 nodes" in text
    assert ", 2026-01-02. Start-up times and bytes are the model's." in text


def test_the_short_report_begins_with_the_answer_and_judges_nothing_by_the_aims_of_the_full_size() -> None:
    text = report.brief([RUNS[0], run_of("groups-sticky", 2.0, 90), RUNS[2]])
    answer, _, table = text.split("\n\n")
    assert answer == (
        "Without lastnode 2% came back, 20.0 s mean; with it 90% came back, 2.0 s mean; "
        "at best 95% came back, 1.0 s mean."
    )
    assert table.startswith("| arm | remembered node |")
    assert report.brief(RUNS[:1]).startswith("Without lastnode 2% came back, 20.0 s mean.")
    assert report.brief(RUNS[1:2]).startswith("1")  # stopped before either: no answer, but what there is
    assert report.brief([]) == report.text([])


def test_what_remains_is_estimated_from_arms_that_ran_sessions() -> None:
    assert program.remaining(2, []) == "2 arms left"
    assert program.remaining(2, [1.0, 1.4]) == "2 arms left, about 3 min"
    assert program.remaining(1, [1.4]) == "1 arm left, about 1 min"
    assert program.remaining(0, [1.4]) == "0 arms left"


def test_an_aim_is_reached_or_missed_by_what_was_measured() -> None:
    assert "Aims reached: older-sticky cut 0.9 (≥0.83); " in report.text(RUNS)
    missed = report.text([RUNS[0], run_of("older-sticky", 5.0, 80)])
    assert "Aims missed: older-sticky cut 0.75 (≥0.83); older-sticky last node 0.79 (≥0.89)." in missed
    slower = structs.replace(RUNS[1], rates=[70.0])
    assert "older-sticky pods/s, of last-sticky 0.933 (≥0.95)" in aims.text([slower, run_of("last-sticky", 2.0, 90)])


def test_an_aim_of_eight_at_a_time_is_not_judged_by_one_at_a_time() -> None:
    assert "remembered node" not in aims.text(RUNS)
    many = [structs.replace(run_of(arm, 2.0, 95), at_a_time=8) for arm in ("none-default", "alike-sticky")]
    said = "alike-sticky remembered node 0.95 (≥0.95); alike-sticky of one workload 0 (≤1)"
    assert aims.text(many) == f"Aims reached: {said}."


def test_every_aim_is_of_arms_that_there_are() -> None:
    for aim in aims.AIMS:
        assert {aim.arm, aim.beside} <= {*arms_of(aim.at_a_time)}
        assert aim.at_a_time in world.WORLDS.values()


def test_the_report_says_how_many_each_reason_kept_away_and_how_long_these_took_to_start() -> None:
    control, webhook, oracle = RUNS
    none = structs.replace(oracle.summary, reasons=oracle.summary.reasons | {ran.GONE: 0})
    text = report.text([control, webhook, structs.replace(oracle, summary=none)])
    assert f"| {ran.GONE} | 1 (12.2 s) | 1 (12.2 s) | 0 |" in text


def test_the_report_shows_the_cpu_time_of_the_arms_of_which_it_is_known() -> None:
    control, webhook, oracle = RUNS
    text = report.text([control, structs.replace(webhook, cpu_ms={"etcd": 4.04, "webhook": 1.26}), oracle])
    assert "| CPU ms a session | older-sticky |" in text
    assert "| webhook | 1.3 |" in text
    assert "CPU ms a session" not in report.text(RUNS)


def test_every_cell_of_a_table_has_a_heading() -> None:
    tables = [part.splitlines() for part in report.text(RUNS).split("\n\n") if part.startswith("|")]
    assert len(tables) == 3
    for heading, *rows in tables:
        assert {row.count("|") for row in rows} == {heading.count("|")}


def test_the_report_names_the_arms_that_were_not_run() -> None:
    assert "Not run yet: older-default, " in report.text(RUNS)
    assert "Not run yet: oracle." in report.text([run_of(arm, 2.0, 90) for arm in EVERYBODY if arm != "oracle"])
    assert "Not run yet" not in report.text([run_of(arm, 2.0, 90) for arm in arms_of(1)])


def test_the_report_says_during_which_arms_the_machine_did_something_else() -> None:
    control, webhook, oracle = RUNS
    busy, limit = structs.replace(webhook, others=0.4), structs.replace(oracle, others=0.9)
    text = report.text([structs.replace(control, others=None), busy, limit])
    assert "| older-sticky | 75 | 1.00 | 2.0 | 1.50 | 4.0 | 1.50 | 3 | 40.0% |" in text
    assert "| none-default | 75 |  | 2.0 | 1.50 | 4.0 | 1.50 | 3 |  |" in text
    assert text.endswith("not only their own: older-sticky.")


def test_the_report_says_from_which_day_to_which() -> None:
    control, webhook, oracle = RUNS
    text = report.text([structs.replace(control, at="2026-01-05T00:00:00+00:00"), webhook, oracle])
    assert "a machine, 2026-01-02 to 2026-01-05." in text


def test_the_summary_has_each_arm_once_with_the_cpu_time_that_tells_something() -> None:
    control, *others = RUNS
    cpu = {"etcd": 4.04, "kube-scheduler": 6.0, "kube-apiserver": 16.04}
    rows = report.summary([structs.replace(control, cpu_ms=cpu), *others]).splitlines()
    (heading,) = (row.split(" | ") for row in rows if row.startswith("| arm"))
    place = heading.index("CPU ms")
    assert [row.split(" | ")[place] for row in rows if row.startswith("| none-default")] == ["16.0/6.0"]
    assert [row.split(" | ")[place] for row in rows if row.startswith("| oracle")] == [""]


def test_a_report_of_nothing_says_so() -> None:
    assert report.text([]) == "nothing was measured yet"


def test_a_finished_arm_is_kept_and_a_broken_file_is_as_none(tmp_path: Path) -> None:
    kept = Kept(1, SIZE, tmp_path)
    assert kept.get("oracle") is None
    kept.add(RUNS[-1])
    assert kept.get("oracle") == RUNS[-1]
    assert Kept(2, SIZE, tmp_path).get("oracle") is None
    assert Kept(1, world.full_size(0.01, 8), tmp_path).get("oracle") is None
    file = kept.file("oracle")
    file.write_bytes(file.read_bytes()[:40])
    assert kept.get("oracle") is None


def test_an_arm_that_was_kept_before_others_were_measured_is_read(tmp_path: Path) -> None:
    kept = Kept(1, SIZE, tmp_path)
    old = msgspec.to_builtins(RUNS[0])
    del old["others"]
    kept.folder.mkdir()
    kept.file("none-default").write_bytes(gzip.compress(msgspec.json.encode(old)))
    assert kept.get("none-default") == structs.replace(RUNS[0], others=None)


def test_an_arm_of_another_model_is_not_set_beside_those_of_this_one(tmp_path: Path) -> None:
    kept = Kept(1, SIZE, tmp_path)
    kept.add(structs.replace(RUNS[0], model=model.PARAMETERS | {"unpack_megabyte": 0.0}))
    kept.add(RUNS[1])
    assert kept.runs(EVERYBODY) == [RUNS[1]]


def test_what_is_published_is_what_was_kept_without_the_single_sessions(tmp_path: Path) -> None:
    kept, published = Kept(1, SIZE, tmp_path / "kept"), Published(1, SIZE, tmp_path / "results")
    kept.add(RUNS[1])
    (file,) = publish(kept, published, EVERYBODY)
    assert file == tmp_path / "results" / "200-on-10-seed-1" / "older-sticky.json"
    assert published.runs(EVERYBODY) == [structs.replace(RUNS[1], ran=[])]
    assert b'"ran"' not in file.read_bytes()
    assert len(file.read_text().splitlines()) > 20


def test_what_is_kept_here_wins_over_what_was_published(tmp_path: Path) -> None:
    kept, published = Kept(1, SIZE, tmp_path / "kept"), Published(1, SIZE, tmp_path / "results")
    for run in RUNS:
        published.add(run)
    kept.add(newer := run_of("older-sticky", 3.0, 80))
    found = {run.arm: run for run in joined(kept, published, EVERYBODY)}
    assert found.keys() == {run.arm for run in RUNS}
    assert found["older-sticky"] == newer


def test_each_plot_is_an_image_with_both_colour_schemes_that_names_every_arm_and_its_value() -> None:
    drawn = plots.files(RUNS)
    assert drawn.keys() == plots.TITLES.keys()
    for name, content in drawn.items():
        words = [text for text in ElementTree.fromstring(content).itertext() if text]
        assert "prefers-color-scheme: dark" in words[0]
        assert {"none-default", "older-sticky"} <= set(words)
        assert ("oracle" in words) == (name != "throughput.svg")
    assert ">90.0%<" in drawn["came-back.svg"]
    assert ">20.00<" in drawn["startup.svg"]
    assert "model seconds" in drawn["startup.svg"]
    assert "real time" in drawn["throughput.svg"]


def test_a_bar_is_as_long_as_its_value() -> None:
    drawing = ElementTree.fromstring(plots.files(RUNS)["came-back.svg"])
    svg = "{http://www.w3.org/2000/svg}"
    bars = [bar.get("width") for bar in drawing.findall(f"{svg}svg/{svg}rect")]
    assert bars == ["2%", "90%", "95%"]


@pytest.mark.parametrize("arms", [["oracle"], ["none-default"], ["older-sticky"]])
def test_one_arm_alone_is_drawn_and_reported(arms: list[str]) -> None:
    one = [run for run in RUNS if run.arm in arms]
    assert plots.files(one).keys() >= {"startup.svg", "came-back.svg"}
    assert page.block({"many": one}).count(f"]({page.PLOTS.name}/many-") == len(plots.files(one))


def test_plots_are_written_anew_and_old_ones_go(tmp_path: Path) -> None:
    assert len(page.write_plots({"one": RUNS, "many": RUNS[-1:]}, tmp_path)) == len(list(tmp_path.glob("*.svg"))) == 5
    page.write_plots({"one": RUNS[-1:], "many": []}, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"one-startup.svg", "one-came-back.svg"}


def test_the_block_of_the_document_is_replaced_and_nothing_else() -> None:
    doc = f"before\n{page.BEGIN}old\n{page.END}after\n"
    changed = page.with_block(doc, {"one": RUNS, "many": []})
    assert changed.startswith(f"before\n{page.BEGIN}")
    assert changed.endswith(f"{page.END}after\n")
    assert report.summary(RUNS) in changed
    assert page.with_block(changed, {}) == f"before\n{page.BEGIN}\n{page.block({})}\n{page.END}after\n"


def test_a_document_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="full size: end"):
        page.with_block(page.BEGIN, {"one": RUNS})


def test_the_document_says_what_the_published_results_give() -> None:
    doc = page.DOC.read_text("utf-8")
    assert page.with_block(doc, FULL_SIZE) == doc, "python -m benchmarks.headline --write-doc"


def test_the_plots_are_those_of_the_published_results() -> None:
    there = {file.name: file.read_text("utf-8") for file in page.PLOTS.glob("*.svg")}
    assert there == page.drawn(FULL_SIZE), "python -m benchmarks.headline --plots"


def test_every_published_file_is_a_run_of_the_size_and_arm_that_it_is_named_after() -> None:
    for file in PUBLISHED.rglob("*.*"):
        run = msgspec.json.decode(file.read_bytes(), type=Run)
        size = world.Size(run.workloads, run.nodes, run.nodes, run.rounds, run.at_a_time)
        assert file == Published(run.seed, size).file(run.arm)
        assert not run.ran


def test_what_was_published_does_not_count_as_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    Published(1, SIZE, results).add(RUNS[0])
    assert program.main(["--scale", "0.01", "--seed", "1", "--minutes", "0"], results) == 3
    assert "nothing was measured yet" in capsys.readouterr().out
    assert program.main(["--scale", "0.01", "--seed", "1", "--published"], results) == 0
    assert "| none-default | 2.0% |" in capsys.readouterr().out


def test_arms_are_measured_in_the_order_given_and_stopping_early_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[tuple[int, str]] = []

    def measure(arm: str, size: world.Size, seed: int) -> Run:
        asked.append((size.at_a_time, arm))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return structs.replace(run_of(arm, 2.0, 90), at_a_time=size.at_a_time)

    monkeypatch.setattr(program, "measure", measure)
    assert program.main(["--scale", "0.01", "--arms", "older-sticky,alike-sticky,none-default"]) == 0
    assert asked == [(1, "older-sticky"), (1, "none-default"), (8, "older-sticky"), (8, "alike-sticky")]
    printed = capsys.readouterr().out
    assert printed.count("| older-sticky | 90.0% |") == 2
    asked.clear()
    assert program.main(["--scale", "0.01", "--world", "one"]) == 0
    assert asked == [(1, "oracle"), (1, "groups-sticky"), (1, "older-default"), (1, "last-sticky")]


def test_the_quick_comparison_is_measured_anew_with_the_oracle_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def measure(arm: str, size: world.Size, seed: int) -> Run:
        asked.append(arm)
        return run_of(arm, 2.0, 90)

    monkeypatch.setattr(program, "measure", measure)
    for _ in range(2):
        assert program.main(["--quick", "--world", "one"]) == 0
    assert asked == ["oracle", "none-default", "groups-sticky"] * 2
    assert "| groups-sticky | 90.0% |" in capsys.readouterr().out


def test_publishing_copies_what_is_kept_and_says_where_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    words = ["--scale", "0.01", "--seed", "1", "--publish"]
    assert program.main(words, results) == 3
    assert f"nothing is kept in {FOLDER}/200-on-10-seed-1 or {FOLDER}/25x8-on-10-seed-1" in capsys.readouterr().err
    Kept(1, SIZE).add(RUNS[0])
    assert program.main(words, results) == 0
    assert capsys.readouterr().out == f"{results}/200-on-10-seed-1/none-default.json\n"


def test_plots_of_a_smaller_size_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main(["--scale", "0.1", "--plots"])
    assert "full size" in capsys.readouterr().err


def test_the_share_of_others_is_what_was_neither_idle_nor_ours() -> None:
    before, after = Clock(100.0, 50.0, 10.0), Clock(300.0, 90.0, 110.0)
    assert others.share(before, after) == 0.3
    assert others.busy(before, after) == 0.8
    assert others.busy(before, before) is None
    assert others.share(before, Clock(300.0, 150.0, 111.0)) == 0.0
    assert others.share(before, before) is None
    assert others.share(None, after) is others.share(before, None) is None


def test_the_clocks_count_each_kind_of_time_once(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 2 4 8 16 32 64 128 256 512\ncpu0 1 2 4 8 16 32 64 128 256 512\n")
    now, hertz = others.clock(stat), os.sysconf("SC_CLK_TCK")
    assert now is not None
    assert (now.total * hertz, now.idle * hertz) == pytest.approx((255, 24))
    assert others.clock(tmp_path / "none") is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/stat is Linux's")
def test_the_time_of_children_and_of_theirs_is_our_own() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}], check=True)"
    before = others.clock()
    subprocess.run([sys.executable, "-c", nested], check=True)
    after = others.clock()
    assert before is not None
    assert after is not None
    assert after.own - before.own >= 0.3
    share = others.share(before, after)
    assert share is not None
    assert 0 <= share < 1
