"""The commands of the documentation that are not run as they are printed, why, and what stands for them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Other(NamedTuple):
    """``command``: what such a line matches from its start, on ``page``; empty: on each.

    why:     the test module that runs it, or the reason why nothing here can
    instead: what is typed in its place, where something cheaper shows that the command is there
    """

    command: str
    why: str
    instead: str = ""
    page: str = ""


OTHERS: Final = (
    Other("make demo", "tests/test_demo.py", "make --dry-run demo"),
    Other("make headline-quick", "tests/test_headline.py", "make --dry-run headline-quick"),
    Other("make image", "tests/image/test_image.py", "make --dry-run image IMAGE=registry.example/lastnode:0.1.0"),
    Other("buildah push", "nobody's registry takes it; tests/image/test_image.py builds the image"),
    Other(r"\.venv/bin/python -m benchmarks\.headline --publish", "tests/unit/test_headline_results.py",
          ".venv/bin/python -m benchmarks.headline --help"),
    Other("kubeadm|crictl", "there is no kubeadm, and no static pod of a kubelet, here"),
    Other("kubectl -n lastnode-system port-forward", "the simulated nodes have no kubelet that forwards"),
    Other("kubectl", "tests/pages/test_kinds.py", page="docs/kinds.md"),
    Other("kubectl delete (mutating|--ignore)", "tests/chart/test_docs.py"),
    Other("kubectl delete namespace", "no controller of namespaces ends it here",
          "kubectl delete namespace lastnode-system --dry-run=server"),
)  # fmt: skip


def other(page: str, line: str) -> Other | None:
    """What is known of a command that is not run as it is printed; None: it has to be."""
    return next((one for one in OTHERS if one.page in ("", page) and re.match(one.command, line)), None)
