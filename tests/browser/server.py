"""A private JupyterLab: token on, a free port of the loopback, and folders of its own that vanish with it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

# JupyterLab leaves cells that are out of sight out of the page; these tests look at all of them.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
PATIENCE_S = 90


class JupyterLab:
    """A JupyterLab server for the notebooks in ``root``, for the length of a with-block."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def __enter__(self) -> JupyterLab:
        self.home = Path(tempfile.mkdtemp(prefix="mmkit-lab-"))
        self._write_settings()
        self.token, self.port = secrets.token_hex(16), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (self.home / "log").open("wb")
        self._server = subprocess.Popen(
            self._command(), env=self._environment(), stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server, which ends its kernels; it gets some seconds to do so in its own way."""
        self._server.terminate()
        try:
            self._server.wait(15)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def address(self, path: str) -> str:
        """Where the browser finds a notebook, in a fresh workspace."""
        return f"{self.url}/lab/tree/{quote(path)}?token={self.token}&reset"

    def log(self) -> str:
        """The end of what the server wrote."""
        return (self.home / "log").read_text(errors="replace")[-5000:]

    def _write_settings(self) -> None:
        for name, values in SETTINGS.items():
            path = self.home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    def _environment(self) -> dict[str, str]:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        return {**os.environ, **{name: str(self.home / folder) for name, folder in folders.items()}}

    def _command(self) -> list[str]:
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": self.root,
            "IdentityProvider.token": self.token,
            "LabApp.expose_app_in_browser": True,
            "LabApp.extension_manager": "readonly",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        }
        flags = ["--no-browser", "--allow-root", *(f"--{name}={value}" for name, value in options.items())]
        return [sys.executable, "-m", "jupyterlab", *flags]

    def _wait_until_it_answers(self) -> None:
        request = urllib.request.Request(f"{self.url}/api/status", headers={"Authorization": f"token {self.token}"})
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                urllib.request.urlopen(request, timeout=2).close()
                return
            except (urllib.error.URLError, OSError):
                if self._server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"JupyterLab did not start:\n{self.log()}") from None
                time.sleep(0.1)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
