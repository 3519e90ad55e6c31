"""What `make release` makes: of the checked-out commit, with this environment's packages: nothing is fetched."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest
import yaml

from testbed.binaries import find_tools
from testbed.nodes import files, programs
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from testbed.workloads import WORKLOAD_VERSION, agent_runtime
from tests.image.container import Store
from tests.unit.test_install import collect
from tools import plugin
from tools.release import Release, checked_out, disagreements, push_chart, push_image, versions

VERSION = distribution("lastnode").version
WHEN = 1_700_000_001
HERE = "linux-amd64"
GOOD = {"pyproject.toml": "0.2.0", "Chart.yaml: version": "0.2.0", "CHANGELOG.md": "0.2.0 (2026-11-26)"}


class Made(NamedTuple):
    release: Release
    chart: Path
    folder: Path


def installed(wheel: Path, folder: Path) -> Path:
    """The wheel and what its command line needs, as pip would put it there."""
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    needed: dict[str, Distribution] = collect(distribution("lastnode"), frozenset({"cli"}), {})
    for package in needed.values():
        for file in package.files or ():
            if package.metadata["Name"] != "lastnode" and file.parts[0] != ".." and file.suffix != ".pyc":
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), folder / file)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root, out, folder = (tmp_path_factory.mktemp(name) for name in ("root", "out", "installed"))
    checked_out(root)
    release = Release(VERSION, WHEN, root, out, "https://git.example/releases/")
    release.plugins({HERE: [installed(release.packages(), folder)]})
    chart = release.chart(find_tools().helm.path)
    release.bill()
    release.checksums()
    return Made(release, chart, folder)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        yield stack


def test_every_place_names_the_same_version() -> None:
    assert disagreements(VERSION, versions(REPOSITORY), draft=True) == []


@pytest.mark.parametrize("place", GOOD)
def test_a_version_that_some_place_does_not_name_is_not_released(place: str) -> None:
    assert disagreements("0.2.0", GOOD, draft=False) == []
    (said,) = disagreements("0.2.0", GOOD | {place: "0.1.0"}, draft=True)
    assert said.startswith(f"{place} says '0.1.0', not 0.2.0")


def test_only_a_draft_is_made_without_a_date() -> None:
    undated = GOOD | {"CHANGELOG.md": "0.2.0 (unreleased)"}
    assert len(disagreements("0.2.0", undated, draft=False)) == 1
    assert disagreements("0.2.0", undated, draft=True) == []


def test_the_checksums_are_those_of_all_files(made: Made) -> None:
    out = made.release.out
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} == {
        f"lastnode-{VERSION}-py3-none-any.whl", f"lastnode-{VERSION}.tar.gz", f"lastnode-{VERSION}.tgz",
        f"lastnode-{VERSION}.cdx.json", "lastnode.yaml", plugin.named(HERE),
    }  # fmt: skip


def test_the_bill_has_every_locked_package_with_its_hashes(made: Made) -> None:
    bill = json.loads((made.release.out / f"lastnode-{VERSION}.cdx.json").read_text("utf-8"))
    lock = plugin.LOCK.read_text(encoding="utf-8").splitlines()
    pins = [line.split()[0] for line in lock if line[:1].isalnum()]
    assert [f"{one['name']}=={one['version']}" for one in bill["components"]] == pins
    assert len({one["bom-ref"] for one in bill["components"]}) == len(pins) > 20
    hashes = [each["content"] for one in bill["components"] for each in one["externalReferences"][0]["hashes"]]
    assert hashes == [line.partition("sha256:")[2].split()[0] for line in lock if "sha256:" in line]


def test_the_chart_is_installed_from_its_package(made: Made) -> None:
    argv = [find_tools().helm.path, "template", "lastnode", made.chart, "--set", "image.repository=r.example/lastnode"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"image: r.example/lastnode:{VERSION}" in done.stdout.replace('"', "")


def plugged(made: Made, folder: Path) -> dict[str, str]:
    """An environment that finds the plug-in by kubectl, as krew unpacks it there."""
    (folder / "bin").mkdir()
    with ZipFile(made.release.out / plugin.named(HERE)) as archive:
        archive.extractall(folder / "bin")
        file = folder / "bin" / "kubectl-lastnode"
        file.chmod(archive.getinfo(file.name).external_attr >> 16)
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": ""}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the packages of this environment are of another platform")
def test_the_file_for_kubectl_lists_workloads_and_unpacks_itself_once(made: Made, stack: Stack, tmp_path: Path) -> None:
    runtime = agent_runtime("agent", sticky=True, via="annotation")
    stack.api.post(f"/apis/{WORKLOAD_VERSION}/namespaces/default/agentruntimes", runtime)
    env = plugged(made, tmp_path) | {"KUBECONFIG": str(stack.cp.kubeconfig)}

    def ask(*words: str) -> str:
        argv = [find_tools().kubectl.path, "lastnode", *words]
        done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # Several at a time, at first.
    argv = [find_tools().kubectl.path, "lastnode", "--help"]
    first = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert ["doctor" in one.communicate(timeout=120)[0] for one in first] == [True] * 3
    (unpacked,) = (tmp_path / "cache" / "lastnode" / "kubectl").iterdir()
    assert VERSION in ask("--version")
    assert "agent" in ask("list")
    assert [unpacked] == list((tmp_path / "cache" / "lastnode" / "kubectl").iterdir())


@pytest.fixture
def registry(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty registry on loopback; helm and buildah keep what they know of it in the test's own directory."""
    try:
        found = programs.find()
    except programs.Unsupported as error:
        pytest.skip(str(error))
    port = stack.cp.free_port()
    config = tmp_path / "registry.yaml"
    config.write_text(yaml.safe_dump(files.registry(tmp_path / "registry", port)), encoding="utf-8")
    argv = [found.debian / "usr/bin/docker-registry", "serve", config]
    component = stack.cp.spawn(
        "registry", argv, ready_url=f"http://127.0.0.1:{port}/v2/", env={"OTEL_TRACES_EXPORTER": "none"}
    )
    for kind in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"HELM_{kind}_HOME", str(tmp_path / kind))
    yield f"127.0.0.1:{port}"
    component.stop()


def test_the_chart_is_pushed_and_comes_back_by_its_digest(made: Made, registry: str) -> None:
    helm = find_tools().helm.path
    pushed = push_chart(helm, made.chart, registry, "--plain-http")
    assert re.fullmatch(rf"oci://{registry}/charts/lastnode@sha256:[0-9a-f]{{64}}", pushed)
    argv = [helm, "template", "lastnode", pushed, "--plain-http"]
    assert "kind: Deployment" in subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.skipif(not shutil.which("buildah") or os.geteuid() != 0, reason="needs buildah, and root")
def test_an_image_is_pushed_and_named_by_its_digest(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    for name, value in store.environ.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "file").touch()
    tag = f"{registry}/lastnode:{VERSION}"
    store.buildah("tag", store.load(tmp_path / "file", "tried"), tag)
    pushed = push_image("buildah", tag, "--tls-verify=false")
    assert re.fullmatch(rf"{registry}/lastnode@sha256:[0-9a-f]{{64}}", pushed)
    store.buildah("pull", "--quiet", "--tls-verify=false", pushed)


def test_a_python_that_it_has_no_parts_for_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "kubectl_lastnode").mkdir()
    (tmp_path / "kubectl_lastnode" / "__main__.py").write_text("import of_another_python", encoding="utf-8")
    file = tmp_path / "kubectl-lastnode"
    file.write_bytes(plugin.pack([tmp_path], WHEN))
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-S", file], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "has no parts for Python 3." in done.stderr) == (1, True), done.stderr


def test_krews_manifest_fits_the_archive(made: Made) -> None:
    manifest = yaml.safe_load((made.release.out / "lastnode.yaml").read_text("utf-8"))
    (entry,) = manifest["spec"]["platforms"]
    packed = (made.release.out / plugin.named(HERE)).read_bytes()
    assert entry["sha256"] == hashlib.sha256(packed).hexdigest()
    assert entry["uri"] == f"https://git.example/releases/{plugin.named(HERE)}"
    assert entry["selector"]["matchLabels"] == {"os": "linux", "arch": "amd64"}
    assert {"LICENSE", entry["bin"]} == set(ZipFile(made.release.out / plugin.named(HERE)).namelist())
    assert plugin.bundle(plugin.pack([made.folder], WHEN), (made.release.root / "LICENSE").read_bytes(), WHEN) == packed
