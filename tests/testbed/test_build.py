"""Building into the cache: shown on a program of ten lines, built by the same code as the real ones."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.build import build
from testbed.errors import BinaryError
from testbed.parts import Part, folder
from testbed.paths import REPOSITORY
from testbed.toolchain import find_go
from tests.waiting import eventually
from tools.pins import fetch, pins

needs_go = pytest.mark.skipif(not shutil.which("go"), reason="no Go on this machine")
GO_MOD = "module example.test/small\n\ngo 1.26.0\n"
MAIN = 'package main\n\nvar version string\n\nfunc main() { println("small", version) }\n'


@dataclass
class Workshop:
    """A part to build, and a cache to build it into."""

    root: Path
    reported: list[str] = field(default_factory=list)

    @property
    def part(self) -> Part:
        return Part("small", "1.0", r"small (\S+)", str(self.root / "small"), ".", "-X main.version=1.0")

    @property
    def cache(self) -> Path:
        return self.root / "cache" / "bin"

    @property
    def built(self) -> Path:
        return self.cache / folder(self.part) / "small"

    def write(self, main: str) -> None:
        (self.root / "small").mkdir(exist_ok=True)
        (self.root / "small" / "go.mod").write_text(GO_MOD)
        (self.root / "small" / "main.go").write_text(main)

    def build(self, **environ: str) -> None:
        build([self.part], self.cache, self.reported.append, {**os.environ, **environ})

    def leftovers(self) -> list[str]:
        return [path.name for path in self.cache.iterdir() if path.name not in (".lock", self.built.parent.name)]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    workshop = Workshop(tmp_path)
    workshop.write(MAIN)
    return workshop


@needs_go
def test_a_built_program_runs_here_has_its_version_and_stays(workshop: Workshop) -> None:
    workshop.build(GOOS="plan9", GOFLAGS="-mod=vendor")  # what a user may have set for other work
    said = subprocess.run([workshop.built], check=True, capture_output=True, text=True).stderr
    assert said == "small 1.0\n"
    workshop.write("broken")
    workshop.build()  # it is there: nothing is compiled
    assert workshop.leftovers() == []


@needs_go
def test_a_failed_build_tells_the_end_of_what_go_said_and_leaves_nothing(workshop: Workshop) -> None:
    workshop.write("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(BinaryError, match=r"(?s)building small 1.0 failed.*undefined: undefined"):
        workshop.build()
    assert not workshop.built.exists()
    assert workshop.leftovers() == []


@needs_go
def test_two_builders_at_once_build_it_once(workshop: Workshop) -> None:
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(workshop.build) for _ in range(2)]:
            done.result()
    assert sum("this takes minutes" in line for line in workshop.reported) == 1
    assert workshop.built.exists()


@needs_go
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_half_done_and_the_next_one_succeeds(
    workshop: Workshop, number: signal.Signals
) -> None:
    # A go that gets as far as a half-written program and then hangs: the moment to interrupt.
    slow = workshop.root / "slow" / "go"
    slow.parent.mkdir()
    slow.write_text(
        '#!/bin/sh\n[ "$1" = build ] || exec "$REAL_GO" "$@"\n'
        'for word; do case "$word" in -o=*) mkdir -p "${word#-o=}.d"; : > "${word#-o=}.d/half"; esac; done\n'
        "exec sleep 60\n"
    )
    slow.chmod(0o755)
    # What a shell starts in the background ignores SIGINT, and so do its children; a user's build does not.
    script = (
        "import os, signal; from pathlib import Path; from testbed.build import build; "
        "from testbed.parts import Part; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"build([{workshop.part!r}], Path({str(workshop.cache)!r}), print, os.environ)"
    )
    environ = {**os.environ, "REAL_GO": shutil.which("go") or "", "PATH": f"{slow.parent}:{os.environ['PATH']}"}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as builder:
        eventually(lambda: list(workshop.cache.glob(".building-*/*/*.d/half")), "the build has begun")
        os.killpg(builder.pid, number)
        assert builder.wait(20) != 0
    assert not workshop.built.exists()
    workshop.build()
    assert workshop.built.exists()
    assert workshop.leftovers() == []


RELEASES_GO_MOD = """module k8s.io/kubernetes

go 1.24.0

godebug default=go1.24

require (
\tk8s.io/api v0.0.0
\tk8s.io/sample-cli v0.0.0
)

replace (
\tk8s.io/api => ./staging/src/k8s.io/api
\tk8s.io/sample-cli => ./staging/src/k8s.io/sample-cli
)
"""
# What a release of Kubernetes is made of, as the module proxy has it: path and version -> files.
RELEASE = {
    ("k8s.io/kubernetes", "v1.2.3"): {
        "go.mod": RELEASES_GO_MOD,
        "go.sum": "",
        "cmd/kubelet/main.go": 'package main\n\nimport "k8s.io/api"\n\nfunc main() { println(api.Says) }\n',
    },
    ("k8s.io/api", "v0.2.3"): {
        "go.mod": "module k8s.io/api\n\ngo 1.24.0\n",
        "api.go": 'package api\n\nconst Says = "small"\n',
    },
}


def serve(proxy: Path) -> None:
    """A folder that GOPROXY can name."""
    for (name, version), files in RELEASE.items():
        versions = proxy / name / "@v"
        versions.mkdir(parents=True)
        (versions / f"{version}.info").write_text(f'{{"Version": "{version}"}}')
        (versions / f"{version}.mod").write_text(files["go.mod"])
        with zipfile.ZipFile(versions / f"{version}.zip", "w") as archive:
            for path, text in files.items():
                archive.writestr(f"{name}@{version}/{path}", text)


@needs_go
def test_a_release_of_kubernetes_is_built_of_its_archive_and_only_of_what_is_pinned(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tmp_path / "proxy")
    own = {"GOPROXY": f"file://{tmp_path}/proxy", "GONOSUMDB": "*", "GOMODCACHE": str(tmp_path / "mod")}
    for name, value in {**own, "GOFLAGS": "-modcacherw"}.items():
        monkeypatch.setenv(name, value)
    pinned = tmp_path / "1.2.3.sum"
    part = Part("kubelet", "1.2.3", r"(small)", str(pinned), "k8s.io/kubernetes/cmd/kubelet", "")
    go = find_go(tmp_path / "go", workshop.reported.append, os.environ)
    whole = pins(fetch(go, [f"{name}@{version}" for name, version in RELEASE]))
    for wrong in (line for line in whole.splitlines(keepends=True) if "/go.mod" not in line):
        pinned.write_text(whole.replace(wrong, f"{' '.join(wrong.split()[:2])} h1:{'A' * 43}=\n"))
        with pytest.raises(BinaryError, match="checksum mismatch"):
            build([part], workshop.cache, workshop.reported.append, os.environ)
    pinned.write_text(whole)
    build([part], workshop.cache, workshop.reported.append, os.environ)
    built = workshop.cache / folder(part) / "kubelet"
    assert subprocess.run([built], check=True, capture_output=True, text=True).stderr == "small\n"


def test_an_old_go_is_passed_over_and_a_toolchain_that_cannot_be_installed_is_told_with_a_remedy(
    tmp_path: Path,
) -> None:
    old = tmp_path / "path" / "go"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho go1.25.9\n")
    old.chmod(0o755)
    reported: list[str] = []
    offline = {"PATH": str(old.parent), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "HOME": str(tmp_path)}
    with pytest.raises(BinaryError, match=r"could not be installed; install Go 1\.26 or newer and have it on PATH"):
        find_go(tmp_path / "cache", reported.append, offline)
    assert reported[0] == f"go: passed over {old}: it is not Go 1.26 or newer"
    assert list((tmp_path / "cache").iterdir()) == []
