"""What the scheduling benchmark keeps between its pieces, and what its tables compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.injector import pod_spec
from benchmarks.scheduling import SIZES, Plan, plans, report
from benchmarks.scheduling.__main__ import main
from benchmarks.scheduling.arms import CONTROL, MARKER, VARIANTS, Arm
from benchmarks.scheduling.kept import Kept, Piece, Round
from benchmarks.scheduling.placing import Placed
from testbed.workloads import agent_runtime

PIECE = Piece("variants", 100, "session with memory")
FAST = Arm("fast", "sticky.yaml")
CPU = {"scheduler": 1.0, "API server": 2.0, "etcd": 0.5, "extender": 0.25}


def placed(rate: float, returned: int = 0) -> Placed:
    return Placed(pods=10, rate=rate, returned=returned, cpu=CPU, cycle_ms=3.0, calls=1.0, call_ms=0.1)


def made(number: int, control: float, fast: float, piece: Piece = PIECE) -> Round:
    arms = {CONTROL.name: placed(control), FAST.name: placed(fast, returned=10)}
    return Round(piece, number, f"2026-11-24T00:0{number}:00+00:00", arms)


def test_what_was_measured_is_found_again_by_its_piece(tmp_path: Path) -> None:
    file = tmp_path / "build" / "kept.jsonl"
    Kept(file).add(made(0, 100, 100))
    Kept(file).add(made(0, 1, 1, Piece("price", 100, "session with memory")))
    Kept(file).add(made(1, 200, 100))
    assert Kept(file).rounds(PIECE) == [made(0, 100, 100), made(1, 200, 100)]
    Kept(file).forget()
    assert Kept(file).rounds(PIECE) == []


def test_an_arm_is_compared_with_the_first_one_of_the_same_round(tmp_path: Path) -> None:
    """The machine was twice as fast in the second round: the ratio of medians would be another one."""
    kept = Kept(tmp_path / "kept.jsonl")
    for number, (control, fast) in enumerate([(100, 50), (200, 100), (200, 120)]):
        kept.add(made(number, control, fast))
    text = "\n".join(report.tables([Plan(PIECE, (CONTROL, FAST), 3)], kept))
    assert "| 100.0 % (100.0 % to 100.0 %) | 100 (50 to 120) | 0.50 (0.50 to 0.60) |" in text
    assert "3 of 3 rounds, 2026-11-24T00:00:00+00:00 to 2026-11-24T00:02:00+00:00" in text


def test_nothing_measured_is_no_table(tmp_path: Path) -> None:
    assert list(report.tables([Plan(PIECE, (CONTROL, FAST), 3)], Kept(tmp_path / "kept.jsonl"))) == []


def test_each_arms_pods_are_made_from_the_same_spec_which_is_left_alone() -> None:
    spec, workload = pod_spec(), agent_runtime("w", sticky=True)
    made = {arm.name: arm.dressed(spec, workload) for arm in VARIANTS}
    assert spec == pod_spec()
    assert {arm.profile for arm in VARIANTS} == {dressed["schedulerName"] for dressed in made.values()}
    marked = [arm.name for arm in VARIANTS if MARKER in str(made[arm.name])]
    assert marked == ["managed-resources.yaml, sticky-scheduler, marked"]


def test_every_part_is_measured_at_some_size_and_one_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert {plan.piece.part for nodes in SIZES for plan in plans(nodes)} == {*report.PARTS}
    assert [plan.piece.part for plan in plans(5000, ["lean", "plugins"])] == ["lean", "plugins"]
    with pytest.raises(SystemExit):
        main(["--parts", "lean,nonsense"])
    assert "no nonsense: there are price, lean, " in capsys.readouterr().err
