"""Visits to the pages of a stage: one page that stays open for most tests, and what tests do on pages."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.browser import ADMIN, Theatre, opened_browser
from tests.support.waiting import WITHIN

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

WEB = Path(__file__).parents[2] / "apps/dashboard/web"
BUILT = WEB.parent / "src/jobs_dashboard/web/index.html"
AXE = WEB / "node_modules/axe-core/axe.min.js"
ZONE = "Asia/Tokyo"
# Each would set window.pwned if any part of it were read as markup, script or address.
HOSTILE = (
    "<img src=x onerror=pwned=1><script>pwned=1</script>\"'><svg/onload=pwned=1>"
    "</title></style></textarea><iframe srcdoc='<script>parent.pwned=1</script>'>"
    "javascript:pwned=1//{{constructor.constructor('pwned=1')()}}${pwned=1}"
)
VISITING = [
    pytest.mark.skipif(not BUILT.is_file(), reason="the pages are not built: make setup says why"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


class Visits:
    """Opens pages. What an administrator sees is one page for all tests: to load it anew takes most of a test's time."""

    def __init__(self, browser: Browser, theatre: Theatre) -> None:
        self.theatre = theatre
        self._browser = browser
        self._open: Page | None = None
        self._wrong: list[str] = []

    @contextmanager
    def admin(self, *, expected: str = "", fresh: bool = False) -> Generator[Page]:
        """Yield the open page of an administrator, loaded anew if `fresh`; it may complain of what is `expected` (a pattern)."""
        if self._open is None:
            self._open = self._watched(self.context(ADMIN))
            fresh = True
        page = self._open
        if fresh:
            page.goto("about:blank")
        self._wrong.clear()
        try:
            yield page
            self._judge(page, expected)
        except BaseException:
            # What a failed test left open is nothing to the next one.
            page.context.close()
            self._open = None
            raise
        page.unroute_all(behavior="ignoreErrors")
        if expected:
            # What this one has still to complain of is nothing to the next test.
            page.goto("about:blank")

    @contextmanager
    def stranger(self, token: str = "", *, expected: str = "") -> Generator[Page]:
        """Yield a page of a browser of its own, signed in by a token or not at all."""
        context = self.context(token)
        page = self._watched(context)
        self._wrong.clear()
        try:
            yield page
            self._judge(page, expected)
        finally:
            context.close()

    def context(self, token: str = "") -> BrowserContext:
        """Open a browser that shares nothing with others."""
        context = self._browser.new_context(
            base_url=self.theatre.address,
            viewport={"width": 1280, "height": 800},
            timezone_id=ZONE,
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(WITHIN * 1000)
        if token:
            answer = context.request.post(
                "/api/session",
                data={"token": token, "name": "ada"},
                headers={"Origin": self.theatre.address},
            )
            assert answer.ok
        return context

    def _watched(self, context: BrowserContext) -> Page:
        page, wrong = context.new_page(), self._wrong
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda line: (
                wrong.append(f"{line.text} {line.location['url']}")
                if line.type in {"error", "warning"}
                else None
            ),
        )
        page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((self.theatre.address, "about:"))
                else wrong.append(f"request {request.url}")
            ),
        )
        return page

    def _judge(self, page: Page, expected: str) -> None:
        assert page.evaluate("window.pwned") is None
        wrong = [line for line in self._wrong if not (expected and re.search(expected, line))]
        assert not wrong, wrong


def opened_visits() -> Iterator[Visits]:
    """Start a browser and a stage."""
    with opened_browser() as browser, Theatre(HOSTILE) as theatre:
        yield Visits(browser, theatre)


def button(page: Page | Locator, name: str) -> Locator:
    """Find a button by its whole name."""
    return page.get_by_role("button", name=name, exact=True)


def settled(page: Page, path: str, title: str) -> None:
    """Go to a page, without loading anew where one is open already, and wait until all of it is there."""
    if page.url.startswith("http"):
        page.evaluate(
            "(to) => { history.pushState(null, '', to); dispatchEvent(new PopStateEvent('popstate')); }", path
        )
    else:
        page.goto(path)
    page.locator("h1", has_text=title).first.wait_for(state="attached")
    until(page, "!/Loading…|Looking…/.test(document.querySelector('main').innerText)")


def until(page: Page, condition: str, arg: object = None) -> None:
    """Wait until something holds; the browser's own way to wait would need a page that may evaluate text."""
    deadline = time.monotonic() + WITHIN
    while not page.evaluate(f"(arg) => {condition}", arg):
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come to hold: {condition}")
        page.wait_for_timeout(40)


def confirmed(page: Page, verb: str, told: str, reason: str = "") -> None:
    """Carry out what the open dialog asks."""
    dialog = page.get_by_role("dialog")
    if reason:
        dialog.get_by_label("Reason, for the audit").fill(reason)
    button(dialog, verb).click()
    page.locator(".toast", has_text=told).wait_for()


def followed(page: Page, verb: str, reason: str = "", end: str = "completed:") -> None:
    """Carry out a change of many jobs, and wait for its end."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("will be changed").wait_for()
    dialog.get_by_label("Reason, for the audit").fill(reason)
    dialog.get_by_label("Undo window, in seconds").fill("0")
    button(dialog, verb).click()
    if end.startswith("cancelled"):
        button(dialog, "Cancel it").click()
    dialog.get_by_text(end).wait_for()
    button(dialog, "Close").click()
    dialog.wait_for(state="detached")


def violations(page: Page, *, within: str = "", contrast: bool = True) -> list[str]:
    """Return what axe finds wrong with a page or what is `within` an element of it; its rule of contrast takes most of its time."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: make setup says why")
    if not page.evaluate("!!window.axe"):
        page.evaluate(f"() => {{ {AXE.read_text()} }}")
    found = page.evaluate(
        """async ([within, contrast]) => {
            const rules = { "color-contrast": { enabled: contrast } };
            const found = await axe.run(within || document, { resultTypes: ["violations"], preload: false, rules });
            return found.violations.map((each) => `${each.id}: ${each.nodes[0].html.slice(0, 200)}`);
        }""",
        [within, contrast],
    )
    return [*found]


def faint(page: Page) -> list[str]:
    """Return the texts of a page whose contrast is below 4.5, or 3 where they are large: WCAG's, from the computed colours.

    What axe says as well, without a look at what lies over what, in a hundredth of the time.
    """
    found = page.evaluate(
        """() => {
            const parsed = (text) => {
                const [r, g, b, a = 1] = text.match(/[\\d.]+(e-?\\d+)?/g).map(Number);
                return text.startsWith("color") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
            };
            const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
            const ground = (element) => {
                if (!element) return [255, 255, 255];
                const own = parsed(getComputedStyle(element).backgroundColor);
                return own[3] === 1 ? own : over(own, ground(element.parentElement));
            };
            const light = (colour) => colour.slice(0, 3)
                .map((each) => (each <= 10.31475 ? each / 3294.6 : ((each / 255 + 0.055) / 1.055) ** 2.4))
                .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
            const ratio = (one, other) => {
                const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
                return (high + 0.05) / (low + 0.05);
            };
            return [...document.querySelectorAll("body *")].flatMap((each) => {
                const texts = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
                if (!texts || !(each instanceof HTMLElement) || each.closest(":disabled") || !each.checkVisibility()) return [];
                const style = getComputedStyle(each);
                const size = parseFloat(style.fontSize);
                const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
                const below = ground(each);
                const found = ratio(over(parsed(style.color), below), below);
                return found < least ? [`${found.toFixed(2)}: ${each.outerHTML.slice(0, 200)}`] : [];
            });
        }"""
    )
    return [*found]
