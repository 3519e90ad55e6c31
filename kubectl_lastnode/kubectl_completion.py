"""The protocol by which kubectl has a plug-in complete its words: the program ``kubectl_complete-lastnode``.

kubectl runs that executable, found on PATH, with the words so far, the last one being completed. It prints one
candidate a line, with a description after a tab, and a colon with Cobra's directive as its last line (kubectl's
cmd/plugin_completion.go).
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click
from click.shell_completion import ShellComplete

from kubectl_lastnode.__main__ import cli
from kubectl_lastnode.options import PROG

_NO_FILES: Final = 4  # Cobra's ShellCompDirectiveNoFileComp
_FILES: Final = 0  # ShellCompDirectiveDefault


def candidates(program: click.Command, words: Sequence[str]) -> str:
    """The answer to kubectl: ``words`` as it passes them, the last one being completed."""
    *before, incomplete = words or [""]
    items = ShellComplete(program, {}, PROG, "").get_completions([*before], incomplete)
    plain = [item for item in items if item.type == "plain"]
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in plain]
    return "\n".join([*lines, f":{_NO_FILES if len(plain) == len(items) else _FILES}"])


def main() -> None:
    """``kubectl_complete-lastnode``. Says nothing where nothing can be known: the person is still typing."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        answer = candidates(cli, sys.argv[1:])
    print(answer)
