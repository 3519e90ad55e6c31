"""nginx with a static reply: what a POST costs where nobody looks into it. Optional: not every machine has it."""

from __future__ import annotations

import shutil
from pathlib import Path

from testbed.stack import Stack

MISSING = "nginx not installed"
_CONFIG = """
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 8m;
    client_body_buffer_size 1m;
    keepalive_requests 100000000;
    keepalive_timeout 3600;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 '[]'; }}
    }}
}}
"""


def start(stack: Stack) -> int | None:
    """Its port, None where there is no nginx. It ends with the stack."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/usr/bin:/usr/local/bin")
    if program is None:
        return None
    directory, port = stack.cp.dir / "nginx", stack.cp.free_port()
    directory.mkdir()
    config = directory / "nginx.conf"
    config.write_text(_CONFIG.format(directory=directory, port=port), encoding="utf-8")
    argv: list[str | Path] = [program, "-c", config, "-p", directory, "-e", "stderr"]
    stack.cp.spawn("nginx", argv, ready_url=f"http://127.0.0.1:{port}/")
    return port
