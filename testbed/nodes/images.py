"""Makes images and pushes them to a registry: layers of this machine's own files, as OCI's image format has them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sysconfig
import tarfile
import urllib.request
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_SECONDS: Final = 120.0
_END: Final = b"\0" * 1024  # of a tar
# SIGTERM ends it at once; as the first process of its container it would not without a handler.
SESSION: Final = ("/bin/busybox", "sh", "-c", "trap 'exit 0' TERM; /bin/busybox sleep 100000000 & wait")


class Layer(NamedTuple):
    """``blob``: a gzipped tar; ``diff_id``: the digest of the tar itself."""

    blob: bytes
    diff_id: str


@dataclass(frozen=True)
class Registry:
    """A registry that takes pushes at ``url`` from anybody. Raises OSError (urllib.error.HTTPError among them)."""

    url: str

    def push(self, repository: str, layers: Sequence[Layer], command: Sequence[str] = SESSION) -> None:
        """An image ``repository:1`` of these layers for this machine's architecture, amd64."""
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": list(command), "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._blob(repository, _CONFIG, json.dumps(config).encode()),
            "layers": [self._blob(repository, _LAYER, layer.blob) for layer in layers],
        }
        self._send("PUT", f"{self.url}/v2/{repository}/manifests/1", json.dumps(manifest).encode(), _MANIFEST)

    def _blob(self, repository: str, kind: str, blob: bytes) -> dict[str, object]:
        digest = _digest(blob)
        where = self._send("POST", f"{self.url}/v2/{repository}/blobs/uploads/", b"")
        self._send("PUT", f"{where}{'&' if '?' in where else '?'}digest={digest}", blob)
        return {"mediaType": kind, "digest": digest, "size": len(blob)}

    def _send(self, method: str, url: str, body: bytes, kind: str = "application/octet-stream") -> str:
        """Returns where to go on."""
        request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return answer.headers.get("Location") or ""


class Files:
    """Files that layers have in common, read and compressed once. ``size``: what they make of a layer, in bytes."""

    def __init__(self, files: Iterable[tuple[str, Path]]) -> None:
        """``files``: (name in the image, path)."""
        self._blob, self._hash, packer = io.BytesIO(), hashlib.sha256(), _packer()
        for chunk in _tar(files):
            self._hash.update(chunk)
            self._blob.write(packer.compress(chunk))
        # A gzip file may have several members, one after the other.
        self._blob.write(packer.flush())
        self.size = self._blob.tell()

    def layer(self, mark: str) -> Layer:
        """All of them and a file that says ``mark``: a layer that no other image has."""
        whole, end, packer = self._hash.copy(), _member("mark", mark.encode()) + _END, _packer()
        whole.update(end)
        blob = self._blob.getvalue() + packer.compress(end) + packer.flush()
        return Layer(blob, f"sha256:{whole.hexdigest()}")


def real_files(most: int) -> Iterator[tuple[str, Path]]:
    """So many bytes of modules and libraries of this Python, its own first and then its packages'."""
    paths = sysconfig.get_paths()
    for root in (paths["stdlib"], paths["purelib"]):
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(set(folders) - {"site-packages", "__pycache__", "test"})
            for path in (Path(folder, name) for name in sorted(names) if name.endswith((".py", ".so", ".a"))):
                most -= path.stat().st_size
                if most < 0:
                    return
                yield str(path).lstrip("/"), path


def _tar(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """The members of a tar, without its end."""
    for name, path in files:
        yield _member(name, path.read_bytes(), path.stat().st_mode & 0o777)


def _member(name: str, content: bytes, mode: int = 0o644) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    return info.tobuf(tarfile.PAX_FORMAT) + content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)


def _packer() -> zlib._Compress:
    """For a member of a gzip file; quick, as for random bytes no level does more."""
    return zlib.compressobj(level=1, wbits=31)


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
