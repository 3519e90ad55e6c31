"""python -m tools.tables: the tables of docs/reference.md, written from the code.

A table stands between two comments that name it. `--check` writes nothing and fails where the page is behind the code.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

import click
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from lastnode.reasons import Reason
from testbed.paths import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "reference.md"
_BLOCK: Final = re.compile(
    r"(<!-- table (?P<name>[a-z-]+): begin; written by python -m tools\.tables -->\n).*?"
    r"(<!-- table (?P=name): end -->)",
    re.DOTALL,
)
# Label names whose values depend on the installation.
_OPEN_LABELS: Final = ("program", "version", "resource", "kind", "workload_namespace", "scheduler")
_MOST_LABELS: Final = 5
# From here on a label's values are not listed where they are reasons: these have a table of their own.
_MANY_REASONS: Final = 3


# ---- Settings


def settings(kind: type[Any]) -> list[list[str]]:
    """The rows of a class of settings: flag, default, description."""
    return [
        [f"`--{name.replace('_', '-')}`", _default(field.default), field.description or ""]
        for name, field in kind.model_fields.items()
    ]


def _default(value: object) -> str:
    if value in (None, ""):
        return ""
    if isinstance(value, float):
        return f"`{int(value)}`" if value.is_integer() else f"`{value}`"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def common_settings() -> str:
    recorder, extender = _programs()
    both = _in_both(recorder, extender)
    return _settings_table(row for row in settings(recorder) if row[0] in both)


def recorder_settings() -> str:
    recorder, extender = _programs()
    both = _in_both(recorder, extender)
    return _settings_table(row for row in settings(recorder) if row[0] not in both)


def extender_settings() -> str:
    recorder, extender = _programs()
    both = _in_both(recorder, extender)
    return _settings_table(row for row in settings(extender) if row[0] not in both)


def _settings_table(rows: Iterable[list[str]]) -> str:
    return table(("setting", "default", "meaning"), rows)


def _programs() -> tuple[type[Any], type[Any]]:
    from extender.settings import ExtenderSettings
    from recorder.settings import RecorderSettings

    return RecorderSettings, ExtenderSettings


def _in_both(one: type[Any], other: type[Any]) -> set[str]:
    """Flags that two programs have with the same default and the same words."""
    rows = settings(other)
    return {row[0] for row in settings(one) if row in rows}


def kubectl_settings() -> str:
    """The options that every command of the plug-in has."""
    rows = []
    for option in _kubectl_options():
        environment = f"`{option.envvar}`" if isinstance(option.envvar, str) else ""
        rows.append([f"`{', '.join(option.opts)}`", environment, option.help or ""])
    return table(("option", "environment", "meaning"), rows)


def _kubectl_options() -> Iterator[click.Option]:
    (program,) = entry_points(group="console_scripts", name="kubectl-lastnode")
    for option in import_module(program.module).cli.params:
        if isinstance(option, click.Option) and not option.hidden and not option.is_eager:
            yield option


# ---- Metrics


class Catalogue(CollectorRegistry):
    """A registry that keeps what registers, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        super().register(collector)
        self.collectors.append(collector)


def recorder_metrics() -> str:
    from recorder import metrics

    registry = Catalogue()
    record = metrics.RecordMetrics(registry)
    record.follow(_zero, _zero)
    record.follow_schedulers({})
    metrics.SessionMetrics(registry).kind("AgentRuntime")
    return metrics_table(registry)


def extender_metrics() -> str:
    from extender import metrics

    registry = Catalogue()
    metrics.PrioritizeMetrics(registry)
    metrics.InjectionMetrics(registry)
    waits = metrics.WaitMetrics(registry)
    for verb in ("prioritize", "mutate"):
        waits.of(verb)
    metrics.TlsMetrics(registry)
    return metrics_table(registry)


def common_metrics() -> str:
    from lastnode.daemon import metrics

    registry = Catalogue()
    metrics.count_version(registry, "", "")
    metrics.WatchMetrics(registry).follow([], time.monotonic)
    return metrics_table(registry)


def _zero() -> float:
    return 0.0


def metrics_table(registry: Catalogue) -> str:
    rows = []
    for collector in registry.collectors:
        (metric,) = collector.collect()
        values = _values(metric)
        labels = ", ".join(_label(name, values.get(name, ())) for name in _label_names(collector, metric))
        suffix = "_total" if metric.type == "counter" else ""
        rows.append([f"`{metric.name}{suffix}`", metric.type, labels, metric.documentation.rstrip(".")])
    return table(("metric", "type", "labels", "meaning"), rows)


def _label_names(collector: Any, metric: Metric) -> list[str]:
    """Label names, also of a metric that has no series yet: it is given one, with as many values as it takes."""
    for count in range(_MOST_LABELS):
        if metric.samples:
            break
        try:
            collector.labels(*["?"] * count)
        except ValueError:
            continue
        (metric,) = collector.collect()
    return [name for name in metric.samples[0].labels if name != "le"] if metric.samples else []


def _values(metric: Metric) -> Mapping[str, list[str]]:
    """The values of each label that are known before anything happened: a closed set."""
    found: dict[str, list[str]] = {}
    for sample in metric.samples:
        for name, value in sample.labels.items():
            if name != "le" and value not in found.setdefault(name, []):
                found[name].append(value)
    return found


def _label(name: str, values: Sequence[str]) -> str:
    """A label, with its values where they are a closed set; those that are reasons stand in a table of their own."""
    if name in _OPEN_LABELS or not any(values):
        return name
    known = [value for value in values if value in dict(_meanings())]
    short = [value for value in values if value not in known] if len(known) >= _MANY_REASONS else values
    closed = [f"`{value}`" for value in short if value]
    if short is not values:
        closed.append("a [reason](#reasons)")
    return f"{name} ({', '.join(closed)})"


# ---- Reasons


def reasons() -> str:
    """Why a session moved, or why there is no node to prefer; and what helps where a session moved."""
    from kubectl_lastnode.remedies import REMEDIES

    helps = {str(reason): _linked(text) for reason, text in REMEDIES.items()}
    rows = [[f"`{name}`", meaning, helps.get(name, "")] for name, meaning in _meanings()]
    return table(("reason", "meaning", "what helps"), rows)


def _linked(text: str) -> str:
    """A text that names pages, each as a link from docs/."""
    return re.sub(r"[\w-]+/\w+\.md", lambda page: f"[{page[0]}]({f'../{page[0]}'.removeprefix('../docs/')})", text)


def _meanings() -> Iterator[tuple[str, str]]:
    yield from ((reason.value, reason.meaning) for reason in Reason if reason is not Reason.VALID)


# ---- Rights


def rights() -> str:
    """Who needs which right; what the same ones need of a resource is one row."""
    from lastnode.rights import RIGHTS

    whose: dict[Any, list[str]] = {}
    for who, each in RIGHTS.items():
        for right in each:
            whose.setdefault(right, []).append(who)
    rows: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for right, who_all in whose.items():
        resource = right.resource.partition(".")[0] + _WHERE[right.scope]
        verbs, reasons = rows.setdefault((", ".join(who_all), resource), ([], []))
        verbs += right.verbs
        reasons.append(right.why)
    return table(
        ("who", "resource", "verbs", "why, or what is missed without"),
        [[who, resource, ", ".join(verbs), "; ".join(why)] for (who, resource), (verbs, why) in rows.items()],
    )


_WHERE: Final = {
    "cluster": "",
    "lease": ", its own only",
    "token": ", the one with the token",
    "own": ", in lastnode's namespace",
}


# ---- Pages

TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "common-settings": common_settings,
    "recorder-settings": recorder_settings,
    "extender-settings": extender_settings,
    "kubectl-settings": kubectl_settings,
    "common-metrics": common_metrics,
    "recorder-metrics": recorder_metrics,
    "extender-metrics": extender_metrics,
    "reasons": reasons,
    "rights": rights,
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(head)
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(" | ".join(cell.replace("|", r"\|") for cell in line).rstrip() for line in lines)


def rewritten(page: str) -> str:
    """The page with every table written anew.

    :raises KeyError: a table that nothing here writes.
    """
    return _BLOCK.sub(lambda block: f"{block[1]}\n{TABLES[block['name']]()}\n\n{block[3]}", page)


def named(page: str) -> list[str]:
    """The tables that a page holds."""
    return [block["name"] for block in _BLOCK.finditer(page)]


@click.command(help=inspect.cleandoc(__doc__ or ""))
@click.option("--check", is_flag=True, help="Write nothing; fail where the page is behind the code.")
def main(check: bool) -> None:
    text = PAGE.read_text(encoding="utf-8")
    new = rewritten(text)
    if new != text and check:
        raise click.ClickException(f"{PAGE.relative_to(REPOSITORY)} is behind the code: python -m tools.tables")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main(prog_name="python -m tools.tables")
