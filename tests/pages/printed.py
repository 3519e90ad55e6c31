"""What docs/kinds.md prints for people to copy, and a shell that runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from testbed.binaries import find_tools
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.printed import blocks, commands

_KINDS = (REPOSITORY / "docs" / "kinds.md").read_text(encoding="utf-8")
(ROWS,) = blocks(_KINDS, "yaml")


def section(word: str) -> list[str]:
    """The commands below the heading with this word."""
    (text,) = (each for each in re.split(r"^## ", _KINDS, flags=re.MULTILINE)[1:] if word in each.splitlines()[0])
    return commands(text)


class Shell:
    """A person's, in one namespace, with helm, kubectl and the plug-in on PATH.

    rows:     the file of rows that docs/kinds.md has them write
    recorder: the recorder's URL, which is named, since no installed one runs
    """

    def __init__(self, stack: Stack, namespace: str) -> None:
        self.rows = stack.cp.dir / "kinds.yaml"
        self.recorder = stack.recorder_url
        self._namespace = namespace
        tools = find_tools()
        folders = tools.kubectl.path.parent, tools.helm.path.parent, Path(sys.executable).parent, os.defpath
        said = {"PATH": os.pathsep.join(map(str, folders)), "LASTNODE_RECORDER_URL": self.recorder}
        said |= {f"HELM_{kind}_HOME": str(stack.cp.dir / "helm" / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        # Nobody's shell runs within a make, as tests may: there, another one prints which folder it enters.
        inherited = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS")}
        self._environment = inherited | said | {"KUBECONFIG": str(stack.cp.kubeconfig)}

    def run(self, line: str, name: str) -> str:
        """What a printed line says, with this name and the file of rows in place of the words in capitals."""
        line = line.replace("NAME", name).replace("FILE", str(self.rows)) + f" --namespace {self._namespace}"
        ran = self.type(line)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """What becomes of a line as it is, in the root of the repository."""
        return subprocess.run(
            ["bash", "-c", line], env=self._environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120
        )
