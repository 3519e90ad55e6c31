"""What is decided about real nodes before anything is started."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from testbed.nodes import cgroups, support
from testbed.nodes.cgroups import Hierarchy
from testbed.nodes.images import Files, Layer

V1 = """30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,memory
31 30 0:27 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
32 30 0:28 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate"""


def test_each_hierarchy_of_cgroups_v1_is_mounted_with_the_options_that_it_has() -> None:
    found = cgroups.hierarchies(V1)
    assert [(h.path.name, h.controllers) for h in found] == [
        ("cpu,cpuacct", ("cpu", "cpuacct")), ("memory", ("memory",)), ("systemd", ("xattr", "name=systemd")),
    ]  # fmt: skip
    assert {h.version for h in found} == {1}
    assert cgroups.lacking(found) == {"cpuset"}


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.subtree_control").write_text("cpuset cpu io memory pids\n")
    return tmp_path


def test_of_cgroups_v2_those_controllers_are_used_that_the_machine_hands_down(unified: Path) -> None:
    mountinfo = f"30 24 0:26 / {unified} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
    assert cgroups.hierarchies(mountinfo, unified) == [Hierarchy(2, unified, ("cpuset", "cpu", "io", "memory", "pids"))]
    assert not cgroups.lacking(cgroups.hierarchies(mountinfo, unified))
    assert cgroups.lacking([Hierarchy(2, unified, ("cpu",))]) == {"memory", "pids"}
    assert cgroups.lacking([]) == {"cpu", "memory", "pids"}


def test_a_machines_cgroup_v2_gets_the_controllers_and_the_machine_s_own_root_is_not_changed(unified: Path) -> None:
    before = (unified / "cgroup.subtree_control").read_text()
    assert cgroups.make("run", "node-0", [Hierarchy(2, unified, ("cpu", "memory"))]) == [unified / "run/node-0"]
    assert (unified / "run/cgroup.subtree_control").read_text() == "+cpu +memory"
    assert (unified / "cgroup.subtree_control").read_text() == before
    assert not (unified / "run/node-0/cgroup.subtree_control").exists()


def test_who_is_not_root_is_told_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert support.lacking() == "real nodes need root, for namespaces, mounts and cgroups"


def members(layer: Layer) -> dict[str, bytes]:
    tar = gzip.decompress(layer.blob)
    assert layer.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {each.name: file.read() for each in archive if (file := archive.extractfile(each))}


def test_layers_of_the_same_files_with_other_marks_are_other_layers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    files = Files([("some/file", tmp_path / "file"), ("a" * 200, tmp_path / "file")])
    one, other = files.layer("one"), files.layer("other")
    assert members(one) == {"some/file": b"text", "a" * 200: b"text", "mark": b"one"}
    assert members(other)["mark"] == b"other"
    assert members(Files([]).layer("only")) == {"mark": b"only"}
