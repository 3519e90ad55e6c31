"""The builder's command line, and what of a machine's pip configuration goes into a build."""

from __future__ import annotations

import os
import platform
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import BinaryError, LocalError
from testbed.paths import REPOSITORY
from tools.image import EARLIEST, Order, build, builder, certificates, command, commit_time, pip_options

ORDER = Order("r.example/lastnode:1", when=1700000000, base="r.example/python@sha256:00", context=Path("/checkout"))


def install(directory: Path, *names: str) -> str:
    """A PATH where these programs are."""
    for name in names:
        (directory / name).touch(mode=stat.S_IRWXU)
    return str(directory)


def test_a_builder_without_a_daemon_comes_first(tmp_path: Path) -> None:
    assert Path(builder(path=install(tmp_path, "docker"))).name == "docker"
    assert Path(builder(path=install(tmp_path, "podman"))).name == "podman"
    assert Path(builder(path=install(tmp_path, "buildah"))).name == "buildah"
    assert Path(builder("docker", path=str(tmp_path))).name == "docker"


@pytest.mark.parametrize(("which", "named"), [("", "buildah or podman or docker"), ("podman", "podman")])
def test_without_a_builder_it_says_which_are_looked_for(tmp_path: Path, which: str, named: str) -> None:
    with pytest.raises(BinaryError, match=f"no {named} on PATH"):
        builder(which, path=str(tmp_path))


def test_files_get_the_commits_time_where_the_builder_can_do_that() -> None:
    assert command("/usr/bin/buildah", ORDER, {})[4:6] == ["--timestamp", "1700000000"]
    assert "--timestamp" not in command("/usr/bin/docker", ORDER, {})


def test_the_base_is_the_dockerfiles_own_unless_one_is_named() -> None:
    assert "BASE=r.example/python@sha256:00" in command("buildah", ORDER, {})
    assert "--build-arg" not in command("buildah", Order("t", 0), {})


def test_secrets_are_named_by_the_id_that_the_dockerfile_asks_for() -> None:
    argv = command("docker", ORDER, {"pip.conf": Path("/tmp/x/pip.conf")})
    assert argv[-2:] == ["--secret=id=pip.conf,src=/tmp/x/pip.conf", "/checkout"]


@pytest.mark.parametrize(("base", "hinted"), [("", True), ("r.example/python:1", False)])
def test_a_build_that_failed_says_that_another_base_can_be_named(tmp_path: Path, base: str, hinted: bool) -> None:
    tool = tmp_path / "buildah"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(stat.S_IRWXU)
    with pytest.raises(LocalError, match="buildah did not build lastnode:1") as raised:
        build(Order("lastnode:1", 0, base), str(tool))
    assert ("BASE=IMAGE" in str(raised.value)) is hinted


def test_the_time_can_be_set_from_outside() -> None:
    assert commit_time({"SOURCE_DATE_EPOCH": "5"}) == 5
    assert commit_time({}) > EARLIEST


def test_a_variable_of_the_environment_wins_over_pips_files() -> None:
    listed = ":env:.index-url='https://a.example/simple'\nglobal.index-url='https://b.example'\nglobal.cert='/ca.pem'\n"
    assert pip_options(listed) == {"index-url": "https://a.example/simple", "cert": "/ca.pem"}
    assert pip_options("") == {}


def test_pip_trusts_what_it_trusts_on_this_machine() -> None:
    assert certificates({"cert": "/ca.pem"}, {"SSL_CERT_FILE": "/other.pem"}) == "/ca.pem"
    assert certificates({}, {"SSL_CERT_FILE": "/other.pem"}) == "/other.pem"
    assert certificates({}, {}) == ""


# A block is freed. The next one comes from the system again or, as glibc has it of its own accord, does not.
ALLOCATE = """
import ctypes
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd rest free used top keep".split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
block = bytes(5_000_000)
del block
before = libc.mallinfo2().hblks
block = bytes(300_000)
print(libc.mallinfo2().hblks - before)
"""


def from_the_system(environment: dict[str, str]) -> int:
    """How many of one large block come from the system directly, after another was freed."""
    argv = [sys.executable, "-I", "-c", ALLOCATE]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60, env=os.environ | environment)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_the_image_has_glibc_give_back_large_blocks() -> None:
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    settings = dict(re.findall(r"(MALLOC_\w+)=(\d+)", text))
    assert settings == {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144"}
    assert from_the_system(settings) == 1
    assert from_the_system({}) == 0
