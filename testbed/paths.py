"""Where things are: in the checkout, and outside of it in the XDG directories of the person who runs this."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# Definitions of custom resources, by folder and file.
CRDS = Path(__file__).with_name("crds")


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Built programs and the Go toolchain; safe to delete, costs a build."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastnode"


def state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """What is known of the cluster that `up` left running."""
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lastnode"
