"""The C library is asked only where it is the one that needs it."""

from __future__ import annotations

import platform
import subprocess
import sys


def test_glibc_takes_the_settings_and_others_are_left_alone() -> None:
    # In a process of its own: what it sets cannot be unset.
    asked = "from recorder.allocator import return_large_blocks; print(return_large_blocks())"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == str(platform.libc_ver()[0] == "glibc")
