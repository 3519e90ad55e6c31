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
    """A person's, in one namespace, with kubectl and the plug-in on PATH. The recorder is named: none is installed."""

    def __init__(self, stack: Stack, namespace: str) -> None:
        self._rows = stack.cp.dir / "kinds.yaml"
        self._namespace = namespace
        path = os.pathsep.join([str(find_tools().kubectl.path.parent), str(Path(sys.executable).parent), os.defpath])
        said = {"PATH": path, "KUBECONFIG": str(stack.cp.kubeconfig), "LASTNODE_RECORDER_URL": stack.recorder_url}
        self._environment = os.environ | said

    def run(self, line: str, name: str) -> str:
        """What a printed line says, with this name and the file of rows in place of the words in capitals."""
        line = line.replace("NAME", name).replace("FILE", str(self._rows)) + f" --namespace {self._namespace}"
        ran = subprocess.run(
            ["bash", "-c", line], env=self._environment, check=True, text=True, stdout=subprocess.PIPE, timeout=60
        )
        return ran.stdout
