"""Settings of a program: flag, else environment, else ``--config`` file, else default; read once, checked together.

The only module that looks at the environment. What a program has beside :class:`CommonSettings` stands in its own
package; how others' settings are called is found through the entry points of the group ``lastnode.settings``.
"""

import os
import re
import sys
from argparse import ArgumentError, ArgumentParser
from collections.abc import Mapping, Sequence, Set
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict, SettingsError
from pydantic_settings.sources import InitSettingsSource

from lastnode import contract
from lastnode.daemon.rows import Row, resource, table
from lastnode.kinds import Kind
from lastnode.kube.errors import ConfigError

PREFIX = "LASTNODE_"
# The group of entry points that each lead to the names of one program's settings.
SETTINGS = "lastnode.settings"

# What the kubelet itself puts into the environment for a Service whose name begins with "lastnode".
_SERVICE_LINK = re.compile(r"LASTNODE_(.*_)?(SERVICE_(HOST|PORT)(_.*)?|PORT(_\d+_.*)?)$")
_DURATION = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_UNITS = (86400.0, 3600.0, 60.0, 1.0)


def seconds(value: object) -> object:
    """``"24h"``, ``"1h30m"``, ``"0"`` or a number of seconds, as seconds.

    :raises ValueError: anything else.
    """
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is no duration: expected seconds or a form like 24h, 1h30m, 0")
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)


def address(value: object) -> tuple[str, int]:
    """``"HOST:PORT"`` (``"[::1]:80"`` for IPv6) as host and port.

    :raises ValueError: not of that form.
    """
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{value!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _address_text(value: object) -> object:
    address(value)
    return value


def listed(value: object) -> list[str]:
    """The parts of a YAML list or of a text with commas, each once, in their order."""
    parts = value if isinstance(value, list) else str(value).split(",")
    return list(dict.fromkeys(str(part).strip() for part in parts))


def _resources(value: object) -> str:
    return ",".join(resource(name) for name in listed(value) if name)


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, allow_inf_nan=False)]
Bind = Annotated[str, BeforeValidator(_address_text)]
# Text with commas, not a tuple: pydantic-settings takes the text of anything that is a collection for JSON.
Resources = Annotated[str, BeforeValidator(_resources)]


class CommonSettings(BaseSettings):
    """What both programs have."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
    )

    kubeconfig: str | None = Field(None, description="kubeconfig file (default: in-cluster, then the usual one)")
    memory_ttl: Seconds = Field(
        contract.DEFAULT_MEMORY_TTL_SECONDS,
        description="how long a placement counts, from its session's ready time (24h, 1h30m, seconds; 0: for ever)",
    )
    workload_resources: Resources = Field(
        "", description="kinds of workloads, plural.group, by commas (default: the built-in ones and those of --kinds)"
    )
    kinds: tuple[Row, ...] = Field(
        (), description="further kinds: for each resource, pods, through, named-by; a list in the --config file, JSON "
        "elsewhere"
    )  # fmt: skip
    controllers_only: bool = Field(
        False, description="believe only what controls a pod about whose session it is, not the pod's own labels"
    )
    page_size: int = Field(500, ge=1, le=10_000, description="objects a page of a list")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, else JSON")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level logged")

    @property
    def rows(self) -> tuple[Kind, ...]:
        """The kinds of workloads, each once."""
        resources = [name for name in self.workload_resources.split(",") if name]
        return table(self.kinds, resources, controllers_only=self.controllers_only)

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        _ = self.rows
        return self

    def line(self) -> str:
        """Every setting in force, for one log line."""
        return " ".join(f"{name}={value}" for name, value in self)


S = TypeVar("S", bound=CommonSettings)


def load(kind: type[S], prog: str, argv: Sequence[str]) -> S:
    """The settings of ``prog``.

    ``--help`` prints the help and exits.

    :raises ConfigError: unknown keys, bad values, an unreadable file: every mistake in one line.
    """
    argv, path = _take_config(argv)
    _refuse_unknown_environment({"config", *kind.model_fields})

    class Loaded(kind):  # type: ignore[valid-type,misc]
        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, env_settings: Any, **_: Any) -> tuple[Any, ...]:
            flags: Any = CliSettingsSource(
                settings_cls, cli_parse_args=list(argv), cli_prog_name=prog, cli_exit_on_error=False
            )
            return flags, env_settings, InitSettingsSource(settings_cls, read_file(path) if path else {})

    Loaded.__doc__ = f"{kind.__doc__}\n{_HELP}"
    try:
        return Loaded()
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem) for problem in error.errors())) from error
    except SettingsError as error:
        raise ConfigError(str(error).removeprefix("error parsing CLI: ")) from error


def configured(content: Mapping[str, Any]) -> tuple[Kind, ...]:
    """The kinds that programs with these settings know; those that say nothing of kinds are passed over.

    :raises ConfigError: a row cannot be used.
    """

    class Kinds(BaseModel):
        kinds: tuple[Row, ...] = ()
        workload_resources: Resources = ""
        controllers_only: bool = False

    try:
        told = Kinds(**content)
        resources = [name for name in told.workload_resources.split(",") if name]
        return table(told.kinds, resources, controllers_only=told.controllers_only)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem) for problem in error.errors())) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


_HELP = """
Every setting is also a key of the YAML file given with --config FILE, and an environment variable: --memory-ttl is
LASTNODE_MEMORY_TTL. A flag wins over the environment, that over the file, that over the default."""


def _take_config(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """--config goes its own way: it says where other settings are. Returns the other arguments and its value."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config", default=os.environ.get(PREFIX + "CONFIG"))
    try:
        found, rest = parser.parse_known_args(argv)
    except ArgumentError as error:
        raise ConfigError("--config needs a file") from error
    return rest, found.config


def read_file(path: str) -> dict[str, Any]:
    """What a ``--config`` file says. :raises ConfigError: nothing that could be settings."""
    try:
        with open(path, encoding="utf-8") as file:
            return parsed(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: {' '.join(str(error).split())}") from error


def parsed(text: str, path: str) -> dict[str, Any]:
    """What the text of that file says. Raises as :func:`read_file` does."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--config {path}: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"--config {path}: expected settings as 'name: value' lines")
    return {key.replace("-", "_"): value for key, value in content.items()}


def _refuse_unknown_environment(own: Set[str]) -> None:
    """One environment may serve several programs: what another one of ours is told is no mistake here."""
    named = {name.removeprefix(PREFIX).lower(): name for name in os.environ if name.startswith(PREFIX)}
    foreign = {name for name, variable in named.items() if name not in own and not _SERVICE_LINK.match(variable)}
    if foreign:
        foreign -= {name for found in entry_points(group=SETTINGS) for name in found.load()}
    if foreign:
        unknown = sorted(named[name] for name in foreign)
        raise ConfigError(f"unknown setting in the environment: {', '.join(unknown)}")


def _explain(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    text = problem["msg"].removeprefix("Value error, ")
    if not name:  # of several together
        return str(text)
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {name!r}"
    return f"{name}: {text} (got {problem['input']!r})"


def fail(prog: str, error: ConfigError) -> NoReturn:
    """One line on standard error and exit status 2, as command-line tools do for a wrong call."""
    print(f"{prog}: {error}", file=sys.stderr)
    raise SystemExit(2)
