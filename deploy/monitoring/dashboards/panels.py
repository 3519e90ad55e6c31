"""The forms of panels, each with all that a reader needs: title, description, unit, and what no data means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel
AnyPanel = TypeVar("AnyPanel", timeseries.Panel, stat.Panel, bargauge.Panel, table.Panel)
# Value from which on a colour counts, rising; the first has None.
Steps = Sequence[tuple[float | None, str]]

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# The chart puts the base of the repository's address before it, as it does in the alerts.
RUNBOOK: Final = "docs/runbook.md"
PER_SECOND: Final = "suffix:/s"
SECONDS: Final = "s"
COUNT: Final = "short"
SHARE: Final = "percentunit"
WIDTH: Final = 24
_HEIGHT: Final = 8
_COLOURS: Final = {"reused": "green", "moved": "orange", "first": "blue"}


class Query(NamedTuple):
    """PromQL, and how its series are called; ``{{label}}`` in a legend is the label's value."""

    expr: str
    legend: str


@dataclass(frozen=True, kw_only=True)
class About:
    """What a panel says of itself. ``nothing``: for where no series is found. ``alert``: the runbook's entry."""

    title: str
    description: str
    unit: str
    nothing: str = "no data"
    alert: str = ""
    steps: Steps = ()


def plot(about: About, *queries: Query, width: int = 8, stacked: bool = False) -> timeseries.Panel:
    """Lines over time; ``stacked``: areas on each other, for parts of a whole."""
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(40 if stacked else 8)
        .show_points(shapes.VisibilityMode.AUTO)
        .min(0)
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
        .legend(_legend())
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    if about.steps:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED))
    return _say(panel, about, queries, width)


def number(about: About, *queries: Query, width: int = 6) -> stat.Panel:
    """The newest value, large; with several series one each."""
    panel = (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(shapes.BigValueGraphMode.AREA)
        .color_mode(shapes.BigValueColorMode.VALUE)
        .text_mode(shapes.BigValueTextMode.AUTO)
    )
    return _say(panel, about, queries, width)


def bars(about: About, query: Query, width: int = 8) -> bargauge.Panel:
    """One bar a series, for the newest value."""
    panel = (
        bargauge.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .orientation(shapes.VizOrientation.HORIZONTAL)
        .display_mode(shapes.BarGaugeDisplayMode.BASIC)
        .min(0)
    )
    return _say(panel, about, [query], width)


def rows(about: About, query: Query, width: int = 12) -> table.Panel:
    """One row a series, with its labels as columns."""
    panel = (
        table.Panel()
        .align(shapes.FieldTextAlignment.AUTO)
        .with_transformation(
            models.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True, "Value": True}})
        )
    )
    says = _say(panel, about, [], width)
    return says.with_target(_target("A", query).instant().format(PromQueryFormat.TABLE))


def _say(panel: AnyPanel, about: About, queries: Sequence[Query], width: int) -> AnyPanel:
    panel.title(about.title).description(_description(about)).unit(about.unit).no_value(about.nothing)
    panel.datasource(DATASOURCE).span(width).height(_HEIGHT)
    panel.thresholds(_thresholds(about.steps or [(None, "green")]))
    if about.alert:
        panel.links([_runbook(about.alert)])
    for letter, query in zip("ABCDEF", queries, strict=False):
        panel.with_target(_target(letter, query))
    for outcome, colour in _COLOURS.items():
        if any("{{outcome}}" in query.legend for query in queries):
            fixed = models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
            panel.override_by_name(outcome, [fixed])
    return panel


def _target(letter: str, query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend)


def _description(about: About) -> str:
    return f"{about.description} Runbook: {about.alert}." if about.alert else about.description


def _runbook(alert: str) -> Builder[models.DashboardLink]:
    return dashboard.DashboardLink(alert).type(models.DashboardLinkType.LINK).url(f"{RUNBOOK}#{alert.lower()}")


def _thresholds(steps: Steps) -> Builder[models.ThresholdsConfig]:
    made = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(made)


def _legend() -> Builder[shapes.VizLegendOptions]:
    legend = common.VizLegendOptions().show_legend(True).placement(shapes.LegendPlacement.BOTTOM)
    return legend.display_mode(shapes.LegendDisplayMode.LIST).calcs([])
