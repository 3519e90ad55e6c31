"""Log lines: one JSON object a line, or plain text on a terminal."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

Format = Literal["auto", "json", "text"]

# What a line may carry besides its text: the fields by which an operator searches.
FIELDS = ("namespace", "workload", "resource", "pod", "node", "reason", "podUID")


def configure(form: Format, level: str, stream: TextIO = sys.stderr) -> None:
    """Send every log record to ``stream``. ``auto``: text on a terminal, JSON anywhere else."""
    handler = logging.StreamHandler(stream)
    text = form == "text" or (form == "auto" and stream.isatty())
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It reports each dropped connection at WARNING, which the list-watch does too, with the reason and what it does.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


class JsonFormatter(logging.Formatter):
    """``{"ts", "level", "logger", "msg", …FIELDS, "error"}``; ts is RFC 3339 in UTC with milliseconds."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """``12:34:56 INFO    msg  key=value …`` for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        return f"{line}  {fields}" if fields else line


def _fields(record: logging.LogRecord) -> dict[str, str]:
    return {name: record.__dict__[name] for name in FIELDS if record.__dict__.get(name)}
