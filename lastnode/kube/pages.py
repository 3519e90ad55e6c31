"""A list, page by page, however large its objects are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lastnode.kube import wire
from lastnode.kube.api import Api
from lastnode.kube.errors import Oversized

PAGE_SIZE: Final = 500
# Objects have up to 1.5 MB each: a page of those alone would be more than a program may take. At 10 KB an object a page
# has 5 MB.
PAGE_BYTES: Final = 8 * 1024 * 1024


@dataclass(eq=False)
class Pages:
    """Of the collections that ``selectors`` narrow, in the form ``accept``. ``size``: objects a page at most; fewer
    where they are large, until one answer holds them."""

    api: Api
    selectors: Mapping[str, str]
    accept: str
    size: int = PAGE_SIZE
    _limit: int = field(init=False)

    def __post_init__(self) -> None:
        self._limit = self.size

    def of(self, path: str) -> Iterator[wire.Page]:
        """Every page of a collection. Keep none: it has to be gone before the next one comes.

        :raises KubeError: a page could not be had, or not be read.
        """
        token = ""
        while True:
            query = {**self.selectors, "limit": str(self._limit)} | ({"continue": token} if token else {})
            try:
                data = self.api.get(path, query, self.accept, most=PAGE_BYTES)
            except Oversized:
                if self._limit == 1:
                    raise
                self._limit = max(1, self._limit // 4)
                continue
            if len(data) <= PAGE_BYTES // 2:
                self._limit = min(self.size, self._limit * 2)
            page = wire.page(data)
            token = page.token
            yield page
            del data, page
            if not token:
                return

    def version(self, path: str) -> str:
        """The collection's version now."""
        return wire.page(self.api.get(path, {**self.selectors, "limit": "1"}, self.accept)).version
