"""A headless Chromium, the one that is installed, driven by Playwright."""

from __future__ import annotations

import os
import re
import shutil
from types import TracebackType

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]
# What JupyterLab itself writes to the console, whatever notebook is open.
NOISE = re.compile(
    r"/lsp/status|favicon|ResizeObserver loop"
    r"|Failed to load resource.*(404|403).*(/api/(me|sessions|kernels)|workspaces)"
)


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome: ``$CHROMIUM``, else the first that is installed, else None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """A headless Chromium for the length of a with-block."""

    def __enter__(self) -> Chromium:
        path = find_chromium()
        if path is None:
            raise RuntimeError("there is no Chromium: install one, or name it in $CHROMIUM")
        self._playwright = sync_playwright().start()
        self.browser: Browser = self._playwright.chromium.launch(executable_path=path, args=FLAGS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.browser.close()
        self._playwright.stop()

    def page(self, scale: float = 1.0) -> tuple[Page, list[str]]:
        """A fresh page, and the list that its console errors and uncaught exceptions are put into."""
        viewport = {"width": 1400, "height": 1000}
        page = self.browser.new_context(viewport=viewport, device_scale_factor=scale).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(20_000)
        errors: list[str] = []

        def heard(message: ConsoleMessage) -> None:
            text = f"{message.text} @ {message.location.get('url', '')}"
            if message.type == "error" and not NOISE.search(text):
                errors.append(text)

        page.on("console", heard)
        page.on("pageerror", lambda error: errors.append(f"uncaught: {error}"))
        return page, errors
