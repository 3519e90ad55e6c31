"""buildah with a store of its own, and programs that are run from an image as a container runtime would."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# With the image's files read-only, /tmp writable, folders at /etc/lastnode and /etc/lastnode-tls: how the chart's pods
# have it. Whoever ends the caller ends the program too, which a change of the user would otherwise undo.
_ENTER = """
set -e
root=$1 folder=$2 certificate=$3 user=$4; shift 4
mount --bind "$root" "$root"
mount --bind "$folder" "$root/etc/lastnode"
mount --bind "$certificate" "$root/etc/lastnode-tls"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups= "$root" /usr/bin/setpriv --pdeathsig=KILL --no-new-privs /usr/bin/env -i "$@"
"""


@dataclass(frozen=True)
class Image:
    """A built image. ``digest``: of its configuration, and with it of all its files; ``root``: where they are."""

    digest: str
    user: str
    env: Sequence[str]
    command: Sequence[str]
    root: Path

    def argv(self, command: Sequence[str], folder: Path, certificate: Path | None = None) -> list[str]:
        """The command as the image's user in its environment, on a read-only root, with the folder as its settings."""
        folders = (str(folder), str(certificate or folder))
        entered = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.root), *folders, self.user]
        # What runtimes set where no user of that number is known.
        return [*entered, "HOME=/", *self.env, *command]


class Store:
    """Images and containers in a folder; the machine's own are neither seen nor changed."""

    def __init__(self, directory: Path) -> None:
        config = directory / "storage.conf"
        places = f'graphroot = "{directory}/images"\nrunroot = "{directory}/run"\n'
        config.write_text(f'[storage]\ndriver = "vfs"\n{places}', encoding="utf-8")
        own = {"CONTAINERS_STORAGE_CONF": str(config), "STORAGE_DRIVER": "vfs", "TMPDIR": str(directory)}
        # Needs neither a daemon nor namespaces that a container may not make.
        self.environ = {**os.environ, **own, "BUILDAH_ISOLATION": "chroot"}

    def buildah(self, *arguments: str | Path) -> str:
        done = subprocess.run(["buildah", *arguments], check=False, capture_output=True, text=True, env=self.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def load(self, archive: Path, name: str) -> str:
        """An image with an archive's files and nothing else; returns its whole name."""
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, archive, "/")
        self.buildah("commit", "--quiet", "--rm", container, f"localhost/{name}")
        return f"localhost/{name}"

    def open(self, name: str) -> Image:
        """The image of that name, its files laid out."""
        about = json.loads(self.buildah("inspect", "--type", "image", name))
        config = about["OCIv1"]["config"]
        root = Path(self.buildah("mount", self.buildah("from", name)))
        for folder in ("etc/lastnode", "etc/lastnode-tls"):
            (root / folder).mkdir()
        return Image(about["FromImageID"], config["User"], config["Env"], config["Cmd"], root)
