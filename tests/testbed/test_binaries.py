"""Where the programs come from. The shell scripts here stand for programs that a machine may have already."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.binaries import find, find_tools
from testbed.errors import BinaryError
from testbed.parts import ETCD, HELM, control_plane, folder, tools
from testbed.versions import offered

SAYS = {"etcd": "etcd Version: {}", "kube-apiserver": "Kubernetes v{}", "kube-scheduler": "Kubernetes v{}"}
# As Helm 4.3.1 and kubectl 1.37.2 say it when they are asked in their own way.
TOOLS_SAY = {
    "helm": ("version --short", "v{}+g0123456"),
    "kubectl": ("version --client", "Client Version: v{}\nKustomize Version: v5.8.1"),
}
OLDEST, *_, KUBERNETES = offered()
PINNED = {"etcd": ETCD, "kube-apiserver": KUBERNETES, "kube-scheduler": KUBERNETES}


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


class Machine:
    """Folders for what a machine has, and the environment that points at them."""

    def __init__(self, root: Path) -> None:
        self.assets, self.path, self.cache = root / "assets", root / "path", root / "cache"
        self.reported: list[str] = []
        self.chosen: str | None = None

    def has(self, folder: Path, **versions: str) -> None:
        for name, version in versions.items():
            name = name.replace("_", "-")
            program(folder / name, f"echo '{SAYS[name].format(version)}'")

    def has_cached(self, kubernetes: str = KUBERNETES) -> None:
        for part in (*control_plane(kubernetes), *tools(kubernetes)):
            program(self.cache / "lastnode" / "bin" / folder(part) / part.name, "exit 1")

    def has_tool(self, folder: Path, name: str, version: str) -> None:
        asked, says = TOOLS_SAY[name]
        program(folder / name, f"[ \"$*\" = '{asked}' ] && echo '{says.format(version)}'")

    @property
    def environ(self) -> dict[str, str]:
        places = {"KUBEBUILDER_ASSETS": str(self.assets), "PATH": str(self.path), "XDG_CACHE_HOME": str(self.cache)}
        return places | ({"KUBERNETES": self.chosen} if self.chosen else {})

    def find(self) -> dict[str, str]:
        """Name -> the source it was taken from."""
        found = find(self.reported.append, self.environ)
        return {binary.name: binary.source for binary in (found.etcd, found.apiserver, found.scheduler)}

    def find_tools(self) -> dict[str, str]:
        tools = find_tools(self.reported.append, self.environ)
        return {binary.name: binary.source for binary in (tools.helm, tools.kubectl)}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One that has everything in the cache, and nothing else yet."""
    machine = Machine(tmp_path)
    machine.has_cached()
    return machine


def test_what_is_cached_is_taken_and_not_built_again(machine: Machine) -> None:
    before = {path: path.stat().st_mtime_ns for path in machine.cache.rglob("*")}
    assert set(machine.find().values()) == {"cache"}  # there is no go on this PATH to build with
    assert {path: path.stat().st_mtime_ns for path in machine.cache.rglob("*")} == before


def test_assets_are_taken_before_the_path_and_the_path_before_the_cache(machine: Machine) -> None:
    machine.has(machine.assets, kube_apiserver=KUBERNETES)
    machine.has(machine.path, kube_apiserver=KUBERNETES, etcd=ETCD)
    assert machine.find() == {"kube-apiserver": "KUBEBUILDER_ASSETS", "etcd": "PATH", "kube-scheduler": "cache"}
    assert f"etcd: {machine.path}/etcd ({ETCD}, PATH)" in machine.reported


@pytest.mark.parametrize(
    ("name", "version", "taken"),
    [
        ("etcd", "3.4.23", False),  # Debian 12's
        ("etcd", "3.5.23", False),
        ("etcd", "3.5.24", True),
        ("etcd", "3.6.0", True),
        ("etcd", "2.9.9", False),
        ("etcd", "3.10.0", True),
        ("etcd", "4.0.0-alpha.1", True),
        ("kube-apiserver", "1.37.1", False),
        ("kube-apiserver", "1.37.2-rc.0", False),
        ("kube-apiserver", "1.37.20", False),
        ("kube-scheduler", "1.38.0", False),
        ("kube-scheduler", "0.0.0-master+$Format:%H$", False),
    ],
)
def test_a_program_of_the_machine_is_taken_only_when_its_version_fits(
    machine: Machine, name: str, version: str, taken: bool
) -> None:
    machine.has(machine.path, **{name.replace("-", "_"): version})
    assert machine.find()[name] == ("PATH" if taken else "cache")
    passed_over = [line for line in machine.reported if line.startswith(f"{name}: passed over")]
    assert bool(passed_over) is not taken
    assert all(f"it is version {version}, needed is " in line for line in passed_over)


@pytest.mark.parametrize(
    "script",
    ["echo 'something else'", "exit 3", f"echo 'Kubernetes v{KUBERNETES}'; exit 3", "printf '\\377'"],
)
def test_a_program_that_does_not_tell_its_version_is_passed_over(machine: Machine, script: str) -> None:
    program(machine.path / "kube-scheduler", script)
    assert machine.find()["kube-scheduler"] == "cache"
    assert any("kube-scheduler: passed over" in line and "does not tell" in line for line in machine.reported)


def test_a_file_that_is_no_program_is_passed_over(machine: Machine) -> None:
    for name in PINNED:
        (machine.assets / name).parent.mkdir(exist_ok=True)
        (machine.assets / name).write_text("text")
        (machine.assets / name).chmod(0o755)
    assert set(machine.find().values()) == {"cache"}


def test_helm_and_kubectl_are_not_asked_for_by_who_only_starts_a_control_plane(machine: Machine) -> None:
    for part in tools(KUBERNETES):
        (machine.cache / "lastnode" / "bin" / folder(part) / part.name).unlink()
    assert set(machine.find().values()) == {"cache"}  # there is no go on this PATH to build them with
    assert not [line for line in machine.reported if line.startswith(("helm:", "kubectl:"))]


@pytest.mark.parametrize(
    ("name", "version", "taken"),
    [
        ("helm", HELM, True),
        ("helm", "4.0.0", True),
        ("helm", "3.19.2", False),
        ("kubectl", KUBERNETES, True),
        ("kubectl", "1.36.0", True),
        ("kubectl", "1.38.1-eks-abc", True),
        ("kubectl", "1.32.4-dispatcher", False),
    ],
)
def test_helm_and_kubectl_of_the_machine_are_taken_when_they_are_new_enough(
    machine: Machine, name: str, version: str, taken: bool
) -> None:
    machine.has_tool(machine.path, name, version)
    others = {"helm": "cache", "kubectl": "cache"}
    assert machine.find_tools() == others | ({name: "PATH"} if taken else {})
    assert any(f"{name}: passed over" in line and "needed is >= " in line for line in machine.reported) is not taken


@pytest.mark.parametrize("chosen", [OLDEST, OLDEST.rpartition(".")[0], f"v{OLDEST}"])
def test_the_chosen_version_is_taken_and_another_one_passed_over(machine: Machine, chosen: str) -> None:
    machine.chosen = chosen
    machine.has_cached(OLDEST)
    machine.has(machine.path, kube_apiserver=KUBERNETES, kube_scheduler=OLDEST)
    assert machine.find() == {"kube-apiserver": "cache", "kube-scheduler": "PATH", "etcd": "cache"}
    assert f"it is version {KUBERNETES}, needed is exactly {OLDEST}" in "".join(machine.reported)


def test_a_kubectl_of_the_minor_version_before_the_chosen_one_is_taken(machine: Machine) -> None:
    machine.chosen = OLDEST
    major, minor, _ = map(int, OLDEST.split("."))
    machine.has_tool(machine.path, "kubectl", f"{major}.{minor - 1}.0")
    assert machine.find_tools()["kubectl"] == "PATH"


@pytest.mark.parametrize("chosen", ["1.20", "1.3", OLDEST + "0", "latest"])
def test_a_version_that_nobody_offers_is_one_line_that_says_which_there_are(machine: Machine, chosen: str) -> None:
    machine.chosen = chosen
    with pytest.raises(BinaryError) as refused:
        machine.find()
    assert str(refused.value) == f"KUBERNETES={chosen}: there is only {', '.join(offered())}"
