"""What an image consists of: a written model, because no bytes are pulled."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

# (digest or any other name of its own, bytes), in the order in which they are pulled
Layer = tuple[str, int]
Layers = tuple[Layer, ...]


class CatalogueError(ValueError):
    """A catalogue that cannot be read; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class ImageSizes:
    """Sizes in bytes, log-normally distributed around ``median`` with ``spread`` as the logarithm's deviation.

    The size follows from ``seed`` and the name alone, so every node, run and process sees the same one. The defaults
    put 95 % of the images between 205 and 305 MB: 2 to 3 s at the default bandwidth.
    """

    median: int = 250_000_000
    spread: float = 0.1
    seed: int = 0

    def __call__(self, image: str) -> int:
        # A string seed is hashed with SHA-512: the same on every platform, unlike hash().
        factor = math.exp(random.Random(f"{self.seed}/{image}").gauss(0.0, self.spread))
        return max(1, round(self.median * factor))


@dataclass(frozen=True, slots=True)
class Images:
    """The layers of every image: those of the ``catalogue``; any other image is one layer of its own."""

    sizes: ImageSizes = field(default_factory=ImageSizes)
    catalogue: Mapping[str, Layers] = field(default_factory=dict)

    def layers(self, image: str, size: int | None = None) -> Layers:
        """``size``: bytes of an image that the catalogue does not know; default: what ``sizes`` says."""
        known = self.catalogue.get(image)
        return known if known is not None else ((image, self.sizes(image) if size is None else size),)


def read_catalogue(path: Path) -> dict[str, Layers]:
    """From a JSON file: {image: [[layer, bytes], …]}; layers of one name are one layer.

    :raises CatalogueError: not such a file.
    """
    try:
        found = _CATALOGUE.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    return {tagged(image): layers for image, layers in found.items()}


def tagged(image: str) -> str:
    """The name as kube-scheduler looks it up in a node's images: with ``:latest`` where neither tag nor digest is."""
    return image if image.rfind(":") > image.rfind("/") else image + ":latest"


_CATALOGUE: Final = msgspec.json.Decoder(dict[str, Layers])
