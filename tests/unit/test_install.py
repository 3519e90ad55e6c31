"""What each way to install lastnode brings along, and that it is enough. Nothing is fetched for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from testbed.paths import REPOSITORY

BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "lastnode", "recorder", "extender", "kubectl_lastnode")
MEGABYTE = 1_000_000
CALLS = """
import sys
from lastnode import prefer_last_node, prefer_node
from extender import prefer_node as same
assert same is prefer_node
spec = {"containers": []}
print(prefer_node(spec, "node-1")["affinity"])
workload = {"kind": "AgentRuntime", "metadata": {"annotations": {
    "runtime.agentcube.io/node-stickiness": "enabled", "runtime.agentcube.io/last-node": "node-2"}}}
print(prefer_last_node(spec, workload)["affinity"])
"""
PROGRAMS = {"recorder": "lastnode-recorder", "extender": "lastnode-extender", "cli": "kubectl-lastnode"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        here, there = REPOSITORY / name, source / name
        shutil.copytree(here, there) if here.is_dir() else shutil.copy(here, there)
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*argv, "--wheel-dir", made, source], check=True, capture_output=True, timeout=120)
    (found,) = made.glob("*.whl")
    return found


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    folders = [name for name in BUILT_FROM if (REPOSITORY / name).is_dir()]
    files = {path for name in folders for path in (REPOSITORY / name).rglob("*") if path.is_file()}
    wanted = {str(path.relative_to(REPOSITORY)) for path in files if path.suffix != ".pyc"}
    assert wanted - set(ZipFile(wheel).namelist()) == set()


def install(wheel: Path, folder: Path, extra: str) -> set[str]:
    """The wheel and what it needs with that extra, as this environment has it; returns the packages beside lastnode."""
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    (about,) = folder.glob("lastnode-*.dist-info")
    needed = collect(PathDistribution(about), frozenset({extra}), {})
    del needed["lastnode"]
    tops = {(one, file.parts[0]) for one in needed.values() for file in one.files or ()}
    for one, top in tops:
        if top not in ("..", "__pycache__"):
            (folder / top).symlink_to(Path(str(one.locate_file(top))))
    return set(needed)


def collect(package: Distribution, extras: frozenset[str], found: dict[str, Distribution]) -> dict[str, Distribution]:
    """``found``, with the package and what it needs with these extras."""
    name = package.metadata["Name"]
    found[name] = package
    for requirement in map(Requirement, package.requires or ()):
        asked = any(requirement.marker is None or requirement.marker.evaluate({"extra": one}) for one in extras or {""})
        if asked and (requirement.name not in found or requirement.extras):
            other = package if requirement.name == name else distribution(requirement.name)
            collect(other, frozenset(requirement.extras), found)
    return found


def run(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Python with the folder, its own library and nothing else on its path."""
    begin = f"import sys; sys.path.append({str(folder)!r}); "
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", begin + argv[0], *argv[1:]], capture_output=True, text=True, timeout=60
    )


def test_the_library_needs_one_package_and_is_small(wheel: Path, tmp_path: Path) -> None:
    assert install(wheel, tmp_path, "") == {"msgspec"}
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2 * MEGABYTE
    called = run(tmp_path, CALLS)
    assert called.returncode == 0, called.stderr
    by_hostname, by_name = called.stdout.splitlines()
    assert "node-1" in by_hostname
    assert "node-2" in by_name


@pytest.mark.parametrize("extra", PROGRAMS)
def test_each_program_runs_with_what_its_extra_brings(wheel: Path, tmp_path: Path, extra: str) -> None:
    install(wheel, tmp_path, extra)
    (about,) = tmp_path.glob("lastnode-*.dist-info")
    (program,) = PathDistribution(about).entry_points.select(name=PROGRAMS[extra])
    shown = run(tmp_path, f"from {program.module} import {program.attr}; {program.attr}()", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "--kubeconfig" in shown.stdout


def test_all_is_what_the_programs_need_together_and_what_the_image_is_locked_to(wheel: Path, tmp_path: Path) -> None:
    everything = install(wheel, tmp_path / "all", "all")
    each = [install(wheel, tmp_path / extra, extra) for extra in PROGRAMS]
    assert everything == set().union(*each)
    lock = (REPOSITORY / "requirements" / "run.txt").read_text(encoding="utf-8").splitlines()
    locked = {line.partition("==")[0] for line in lock if line[:1].isalpha()}
    assert {name.lower().replace("_", "-") for name in everything} <= locked
