"""``make release VERSION=…``: all files of a release, made of the checked-out commit, and what is left to do by hand.

With a registry it also builds and pushes the image and pushes the chart. Nothing is signed: keys are the releaser's.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import yaml

from testbed.binaries import find_tools
from testbed.errors import BinaryError, LocalError
from testbed.paths import REPOSITORY
from tools import plugin
from tools.image import Order, build, builder, commit_time
from tools.sbom import bom

RELEASES: Final = REPOSITORY / "build" / "releases"
SUMS: Final = "SHA256SUMS"
_BUILD: Final = "from setuptools import build_meta as b; b.build_wheel({0!r}); b.build_sdist({0!r})"
_BY_HAND: Final = """\
Left to do, in this order:
  1. make lint test, and make demo, of this very commit: {commit}
  2. sign: gpg --armor --detach-sign {folder}/SHA256SUMS
     and what was pushed, by digest: cosign sign --key KEY REGISTRY/lastnode@sha256:…
  3. git tag --sign v{version} && git push origin v{version}
  4. publish the files of {folder} where krew's manifest says: {url}
     and the packages: twine upload {folder}/*.whl {folder}/lastnode-{version}.tar.gz
  5. kubectl krew install --manifest={folder}/lastnode.yaml, then give it to krew-index
  6. begin the next version: pyproject.toml, deploy/chart/Chart.yaml (version, appVersion), CHANGELOG.md"""


def versions(root: Path) -> dict[str, str]:
    """The version that each place of a checkout names; the changelog's ends with its date, or with "unreleased"."""
    chart = yaml.safe_load((root / "deploy/chart/Chart.yaml").read_text(encoding="utf-8"))
    newest = re.search(r"^## (.*)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "pyproject.toml": tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        "Chart.yaml: version": chart["version"],
        "Chart.yaml: appVersion": chart["appVersion"],
        "CHANGELOG.md": newest.group(1) if newest else "",
    }


def disagreements(version: str, named: Mapping[str, str], *, draft: bool) -> list[str]:
    """What keeps this version from being released. A draft needs no date."""
    date = r"\d{4}-\d\d-\d\d" + ("|unreleased" if draft else "")
    return [
        f"{place} says {said!r}, not {version}{' (DATE)' if place == 'CHANGELOG.md' else ''}"
        for place, said in named.items()
        if not re.fullmatch(re.escape(version) + (rf" \((?:{date})\)" if place == "CHANGELOG.md" else ""), said)
    ]


@dataclass(frozen=True)
class Release:
    """version: without v; when: Unix time of the commit; root: its files and no others; out: where the release goes;
    url: where its files will be published
    """

    version: str
    when: int
    root: Path
    out: Path
    url: str

    def packages(self) -> Path:
        """Writes wheel and sdist; returns the wheel."""
        done = subprocess.run(
            [sys.executable, "-c", _BUILD.format(str(self.out))], cwd=self.root, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise LocalError(f"the packages were not built: {done.stderr.strip()}")
        return self.out / f"lastnode-{self.version}-py3-none-any.whl"

    def plugins(self, folders: Mapping[str, Iterable[Path]]) -> None:
        """Writes the plug-in for each platform, of these folders, and krew's manifest."""
        licence, sums = (self.root / "LICENSE").read_bytes(), {}
        for platform, installed in folders.items():
            packed = plugin.bundle(plugin.pack(installed, self.when), licence, self.when)
            (self.out / plugin.named(platform)).write_bytes(packed)
            sums[plugin.named(platform)] = hashlib.sha256(packed).hexdigest()
        manifest = plugin.krew(self.version, self.url, sums)
        (self.out / "lastnode.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")

    def chart(self, helm: Path) -> Path:
        """Writes the chart's package."""
        _said([helm, "package", self.root / "deploy/chart", "--destination", self.out])
        # Both are called lastnode-VERSION, and one .tgz, one .tar.gz.
        return self.out / f"lastnode-{self.version}.tgz"

    def bill(self) -> None:
        """Writes the SBOM."""
        lock = (self.root / plugin.LOCK.relative_to(REPOSITORY)).read_text(encoding="utf-8")
        text = json.dumps(bom(lock, self.version, self.when), indent=1)
        (self.out / f"lastnode-{self.version}.cdx.json").write_text(text + "\n", encoding="utf-8")

    def checksums(self) -> None:
        """Writes SHA256SUMS of all that is there, as sha256sum --check reads it."""
        files = sorted(path for path in self.out.iterdir() if path.name != SUMS)
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
        (self.out / SUMS).write_text("".join(lines), encoding="utf-8")


def push_chart(helm: Path, package: Path, registry: str, *options: str) -> str:
    """Pushes it to REGISTRY/charts/lastnode; returns that with its digest."""
    told = _said([helm, "push", package, f"oci://{registry}/charts", *options])
    return f"oci://{registry}/charts/lastnode@{_digest(told)}"


def push_image(tool: str, tag: str, *options: str) -> str:
    """Pushes an image; returns its name with its digest. ``tool``: of BUILDERS; docker prints the digest itself."""
    if Path(tool).name == "docker":
        return f"{tag.rpartition(':')[0]}@{_digest(_said([tool, 'push', tag]))}"
    with tempfile.NamedTemporaryFile("r") as file:
        _said([tool, "push", *options, "--digestfile", file.name, tag])
        return f"{tag.rpartition(':')[0]}@{file.read().strip()}"


def _digest(told: str) -> str:
    if found := re.search(r"sha256:[0-9a-f]{64}", told):
        return found.group()
    raise LocalError(f"no digest in: {told}")


def _said(argv: list[str | Path]) -> str:
    """What a program printed. Raises LocalError when it failed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode != 0:
        raise LocalError(f"{Path(argv[0]).name} {argv[1]}: {done.stderr.strip()}")
    return done.stdout + done.stderr


def checked_out(into: Path) -> str:
    """Puts the files of the checked-out commit there, and no others; returns the commit."""
    argv = ["git", "archive", "--format=tar", "HEAD"]
    archive = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(into, filter="data")
    return _said(["git", "rev-parse", "HEAD"]).strip()


def make(release: Release, helm: Path, registry: str) -> list[str]:
    """Makes all of it; returns what was pushed, by digest."""
    with tempfile.TemporaryDirectory(prefix="lastnode-release-") as directory:
        wheel = release.packages()
        release.plugins({name: plugin.fetch(wheel, name, Path(directory)) for name in plugin.PLATFORMS})
    chart = release.chart(helm)
    release.bill()
    release.checksums()
    if not registry:
        return []
    tag, tool = f"{registry}/lastnode:{release.version}", builder()
    build(Order(tag, release.when, context=release.root), tool)
    return [push_image(tool, tag), push_chart(helm, chart, registry)]


@click.command()
@click.option("--version", required=True, help="Such as 0.2.0.")
@click.option("--url", default="https://example.invalid/lastnode", show_default=True, help="Where files will be found.")
@click.option("--registry", default="", help="Push image and chart there, as REGISTRY/lastnode and REGISTRY/charts.")
@click.option("--draft", is_flag=True, help="Try it: the changelog needs no date yet.")
def main(version: str, url: str, registry: str, draft: bool) -> None:
    """Make the files of a release."""
    with tempfile.TemporaryDirectory(prefix="lastnode-release-") as directory:
        root, out = Path(directory), RELEASES / version
        try:
            commit = checked_out(root)
            if wrong := disagreements(version, versions(root), draft=draft):
                raise LocalError("\n".join(wrong))
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            pushed = make(Release(version, commit_time(), root, out, url), find_tools().helm.path, registry)
        except (BinaryError, LocalError, subprocess.CalledProcessError) as error:
            raise click.ClickException(str(error)) from error
    click.echo("\n".join([*(path.name for path in sorted(out.iterdir())), *(f"pushed {one}" for one in pushed)]))
    click.echo(_BY_HAND.format(commit=commit, version=version, folder=out.relative_to(REPOSITORY), url=url))


if __name__ == "__main__":
    main(prog_name="python -m tools.release")
