"""Which versions everything can run on, and that nothing of what they are built from is left unpinned."""

from __future__ import annotations

import pytest

from testbed.versions import PINS, offered


@pytest.mark.parametrize("version", offered())
def test_the_pins_of_a_version_are_of_its_release_and_of_nothing_else(version: str) -> None:
    pins = [line.split(" ") for line in (PINS / f"{version}.sum").read_text().splitlines()]
    assert all(hashed.startswith("h1:") for _, _, hashed in pins)
    both = {(name, which) for name, which, _ in pins}
    assert len(both) == len(pins)
    minor = version.partition(".")[2]
    expected = {name: f"v{'1' if name == 'k8s.io/kubernetes' else '0'}.{minor}" for name, _ in both}
    assert both == {(name, which + end) for name, which in expected.items() for end in ("", "/go.mod")}
    assert {"k8s.io/kubernetes", "k8s.io/api", "k8s.io/kubelet"} <= set(expected)
