"""The report's page in a real Chromium: on phones and on a desk, in light and dark, with any number of sessions.

Screenshots of the whole page are kept in pytest's folder (``--basetemp=DIR`` chooses it) for people to look at.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kubectl_lastnode.page import page
from tests.kubectl import chromium
from tests.kubectl.chromium import Chromium
from tests.kubectl.sessions import NOW, sessions

PHONE, SMALL_PHONE, DESK = (390, 844), (320, 640), (1280, 900)
SIZES = {"phone": PHONE, "small-phone": SMALL_PHONE, "desk": DESK}
LONG = {"namespace": "n" * 63, "workload": "w" * 253, "kind": "K" * 63, "node": "x" * 253, "last_node": "y" * 253}

# Everything below is asked from outside: the page itself has no script, and its policy would allow none.
VISIBLE_TEXT = """
const shown = element => element.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true});
const ownText = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
const texts = [...document.body.querySelectorAll('*')].filter(e => e.tagName !== 'title' && ownText(e) && shown(e));
"""
OUTSIDE = f"""(() => {{ {VISIBLE_TEXT}
  return texts.filter(e => {{
    const box = e.getBoundingClientRect();
    return box.width && (box.left < 0 || box.right > document.documentElement.clientWidth + 0.5);
  }}).map(e => e.textContent.trim().slice(0, 60));
}})()"""
OVERLAPPING = f"""(() => {{ {VISIBLE_TEXT}
  const found = [];
  for (const svg of document.querySelectorAll('svg.plot')) {{
    const box = svg.getBoundingClientRect();
    const labels = texts.filter(e => svg.contains(e)).map(e => [e.textContent, e.getBoundingClientRect()]);
    for (const [i, [words, a]] of labels.entries()) {{
      if (a.top < box.top - 1 || a.bottom > box.bottom + 1) found.push(`${{words}} is cut off`);
      for (const [others, b] of labels.slice(i + 1))
        if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
          found.push(`${{words}} / ${{others}}`);
    }}
  }}
  return found;
}})()"""
CONTRASTS = f"""(() => {{ {VISIBLE_TEXT}
  const parse = css => css.match(/[\\d.]+/g).map(Number);
  const light = css => {{
    const [r, g, b] = parse(css).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }};
  const ground = element => {{
    for (let e = element; e; e = e.parentElement) {{
      const css = getComputedStyle(e).backgroundColor;
      if ((parse(css)[3] ?? 1) > 0) return css;
    }}
    return 'rgb(255, 255, 255)';
  }};
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const ink = e => e instanceof SVGElement ? getComputedStyle(e).fill : getComputedStyle(e).color;
  const shapes = [...document.querySelectorAll('svg path, svg .bar rect, svg circle:not(.few)')];
  const of = e => [Math.round(100 * ratio(ink(e), ground(e))) / 100, e.textContent.trim().slice(0, 40)];
  return {{ texts: texts.map(of), shapes: shapes.map(of), ground: light(ground(document.body)) }};
}})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = chromium.find()
    if program is None:
        pytest.skip("no Chromium on PATH (on Debian: apt install chromium)")
    with chromium.running(program, tmp_path_factory.mktemp("chromium") / "profile") as browser:
        yield browser


@pytest.fixture(scope="module", params=["thousands", "long-names", "one", "none"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = sessions({"thousands": 4000, "long-names": 400, "one": 1, "none": 0}[request.param])
    if request.param == "long-names":
        records = [msgspec.structs.replace(record, **LONG) if i % 3 else record for i, record in enumerate(records)]
    file: Path = tmp_path_factory.mktemp("page") / f"{request.param}.html"
    html = page(records, title="Sessions in prod-eu", now=NOW, since=NOW - timedelta(days=3), dropped=len(records) // 2)
    file.write_text(html, "utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_page_fits_and_can_be_read(browser: Chromium, file: Path, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    browser.look(file.as_uri(), width=width, height=height, scheme=scheme)
    open_details(browser)
    browser.screenshot(file.with_name(f"{file.stem}-{size}-{scheme}.png"))
    assert browser.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert browser.evaluate(OUTSIDE) == []
    assert browser.evaluate(OVERLAPPING) == []
    seen = browser.evaluate(CONTRASTS)
    assert len(seen["texts"]) > 20
    assert [text for text in seen["texts"] if text[0] < 4.5] == []
    assert [shape for shape in seen["shapes"] if shape[0] < 3] == []
    assert (seen["ground"] > 0.5) == (scheme == "light")


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Chromium, file: Path) -> None:
    browser.look(file.as_uri(), width=390, height=844, scheme="light")
    open_details(browser)
    browser.screenshot(file.with_name("again.png"))
    assert requests(browser) == [file.as_uri()]
    assert complaints(browser) == []


def test_the_checks_above_notice_a_bad_page(browser: Chromium, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        """<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="script-src 'none'">
        <body style="background: #fff"><p style="color: #999">pale</p><p style="width: 2000px">wide</p>
        <svg class="plot" height="20"><text y="15">one</text><text y="15">two</text><text y="90">below</text></svg>
        <script>1</script><img src="missing.png">""",
        "utf-8",
    )
    browser.look(bad.as_uri(), width=390, height=844, scheme="light")
    assert browser.evaluate("document.scrollingElement.scrollWidth > 390")
    assert browser.evaluate(OUTSIDE) == ["wide"]
    assert sorted(browser.evaluate(OVERLAPPING)) == ["below is cut off", "one / two"]
    assert [text for text in browser.evaluate(CONTRASTS)["texts"] if text[0] < 4.5] == [[2.85, "pale"]]
    assert requests(browser) == [bad.as_uri(), bad.with_name("missing.png").as_uri()]
    assert len(complaints(browser)) >= 2


def test_on_paper_the_page_is_light_and_shows_its_tables(browser: Chromium, file: Path) -> None:
    browser.look(file.as_uri(), width=1280, height=900, scheme="dark")
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    browser.screenshot(file.with_name(f"{file.stem}-paper.png"))
    assert browser.evaluate(CONTRASTS)["ground"] > 0.9
    hidden = "[...document.querySelectorAll('details table')].filter(table => !table.getBoundingClientRect().height)"
    assert browser.evaluate(f"{hidden}.length") == 0


def open_details(browser: Chromium) -> None:
    browser.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")


def requests(browser: Chromium) -> list[str]:
    """What the browser asked for, in order, the page itself included."""
    sent = (event for event in browser.events if event.get("method") == "Network.requestWillBeSent")
    urls = [event["params"]["request"]["url"] for event in sent]
    return [url for url in urls if not url.startswith("data:")]


def complaints(browser: Chromium) -> list[dict[str, Any]]:
    """What stands in the browser's console: errors, exceptions, and what the page's policy has refused."""
    methods = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [event["params"] for event in browser.events if event.get("method") in methods]
