"""Builds the programs from their Go modules into the cache: whole or not at all, one builder at a time."""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import versions
from .errors import BinaryError
from .parts import Part, folder
from .progress import Progress, run
from .toolchain import find_go

Report = Callable[[str], None]
_MODULES = Path(__file__).with_name("go")
_TEMPORARY = ".building-"
_TAIL_LINES = 20


def build(parts: Sequence[Part], cache: Path, report: Report, environ: Mapping[str, str]) -> None:
    """Build what the cache lacks of `parts`. Raises BinaryError with the end of Go's output.

    The first time this takes minutes, 2.3 GB of memory and 4 GB of disk in Go's own caches."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BinaryError(f"cannot make the cache {cache}: {error.strerror}; set XDG_CACHE_HOME") from error
    with _one_builder(cache, report):
        missing = [part for part in parts if not (cache / folder(part)).exists()]
        if missing:
            names = ", ".join(part.name for part in missing)
            report(f"{names}: not found, building into {cache}; this takes minutes, the first time only")
            go = find_go(cache.parent / "go", report, environ)
            for part in missing:
                _build_one(part, go, cache, environ)


def _build_one(part: Part, go: Path, cache: Path, environ: Mapping[str, str]) -> None:
    env, progress = _environment(environ), Progress()
    name = f"building {part.name} {part.version}"
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=cache) as new:
        module, program = _module(part, go, Path(new), env, progress), Path(new) / part.name / part.name
        total = _count_packages(part, go, module, env, progress)

        def describe(lines: Sequence[str]) -> str:
            compiled = sum(1 for line in lines if not line.startswith("go: "))
            return f"{name}: {compiled} of at most {total} packages compiled"

        flags = ["-mod=readonly", "-buildvcs=false", "-v", f"-ldflags={part.ldflags}", f"-o={program}"]
        code, lines = run([go, "build", *flags, part.package], module, env, progress, describe)
        if code != 0:
            raise _failed(name, lines)
        program.parent.replace(cache / folder(part))
    progress.done(f"{name}: done")


def _module(part: Part, go: Path, new: Path, env: Mapping[str, str], progress: Progress) -> Path:
    """The folder with the go.mod to build in; that of Kubernetes is made, in `new`, of its release and the pins."""
    pinned = _MODULES / part.module
    if pinned.is_dir():
        return pinned
    (new / "go.mod").write_text("module lastnode.local/fetching\n", encoding="utf-8")
    shutil.copy(pinned, new / "go.sum")  # what is fetched is held to it
    name = f"fetching Kubernetes {part.version}"
    argv: list[str | Path] = [go, "mod", "download", "-json", f"{versions.RELEASE}@v{part.version}"]
    code, lines = run(argv, new, env, progress, lambda _: name)
    if code != 0:
        raise _failed(name, lines)
    release = json.loads("\n".join(line for line in lines if not line.startswith("go: ")))["Dir"]
    versions.write_module(new, part.version, Path(release), pinned.read_text(encoding="utf-8"))
    return new


def _count_packages(part: Part, go: Path, module: Path, env: Mapping[str, str], progress: Progress) -> int:
    """How many packages the program consists of. Asking downloads its modules."""
    name = f"fetching the modules of {part.name} {part.version}"

    def describe(lines: Sequence[str]) -> str:
        return f"{name}: {sum(1 for line in lines if line.startswith('go: downloading'))} so far"

    argv: list[str | Path] = [go, "list", "-mod=readonly", "-deps", "-f={{.ImportPath}}", part.package]
    code, lines = run(argv, module, env, progress, describe)
    if code != 0:
        raise _failed(name, lines)
    return sum(1 for line in lines if not line.startswith("go: "))


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's own (GOPROXY, GOCACHE, …), less what would build something else than a program for this machine."""
    own = {key: value for key, value in environ.items() if key not in ("GOOS", "GOARCH")}
    return {**own, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _failed(what: str, lines: Sequence[str]) -> BinaryError:
    end = "\n".join(lines[-_TAIL_LINES:])
    return BinaryError(f"{what} failed; the end of Go's output:\n{end}")


@contextmanager
def _one_builder(cache: Path, report: Report) -> Iterator[None]:
    """Holds the cache's lock; the kernel drops it when the builder dies, and the next one clears up after it."""
    with open(cache / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"another build is under way in {cache}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in cache.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(stale, ignore_errors=True)
        yield
