"""Serves the page with Gradio until it is stopped."""

import os
import signal
import socket
import time
from pathlib import Path

from stages.core.errors import UserError, refuse, warn
from stages.serving.served_run import ServedRun

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Gradio and the hub library that it brings connect to nothing, not even through a proxy.
OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "no_proxy": "*"}


def require_free(host: str, port: int) -> None:
    """Raise `UserError` for an address that cannot be served, before models are loaded."""
    if not 1 <= port <= 65_535:
        refuse("out of range", where="--port", allowed="1 to 65535", received=port)
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise UserError(f"--host {host} --port {port}: cannot be served: {error.strerror or error}") from None


def serve_page(runs: list[ServedRun], host: str, port: int, max_upload_mb: int, uploads: Path) -> None:
    """Serve the page at http://host:port until Ctrl-C or SIGTERM; `uploads` holds uploaded files for minutes."""
    os.environ.update(OFFLINE, GRADIO_TEMP_DIR=str(uploads))
    # Gradio reads the environment when it is imported
    from stages.web.page import CSS, THEME, page
    from stages.web.uploads import SWEEP_EVERY_S, UploadGuard, sweep

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    blocks, max_bytes = page(runs, max_upload_mb), max_upload_mb << 20
    look = {"theme": THEME, "css": CSS, "footer_links": []}
    private = {"share": False, "ssr_mode": False, "mcp_server": False, "enable_monitoring": False, "run_history": False}
    address = {"server_name": f"[{host}]" if ":" in host else host, "server_port": port, "max_file_size": max_bytes}
    guard = {"app_kwargs": {"middleware": [(UploadGuard, (), {"max_upload_bytes": max_bytes})]}}
    try:
        blocks.launch(**look, **private, **address, **guard, quiet=True, inbrowser=False, prevent_thread_lock=True)
        if host not in LOOPBACK:
            warn(f"--host {host}: everyone who reaches this machine can use the page; it has no password")
        print(f"{blocks.local_url} (Ctrl-C stops it)", flush=True)
        while True:
            time.sleep(SWEEP_EVERY_S)
            sweep(uploads)
    except KeyboardInterrupt:
        pass
    finally:
        blocks.close(verbose=False)
