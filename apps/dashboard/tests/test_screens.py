"""Every screen in a real browser: whole, accessible, quick, live, by keyboard, with hostile text wherever text is free."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.browser import ADMIN, OPERATOR, VIEWER
from tests.support.stage import CHARGE, SEND, Order
from tests.support.visits import HOSTILE, VISITING, Visits, button, faint, settled, until, violations

from jobs_producer import Flow

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Page, Route

SCREENS = {
    "/": "Home",
    "/queues": "Queues",
    "/queues/orders": "orders",
    "/queues/newsletter": "newsletter",
    "/jobs?queue=orders&q=state%3Afailed": "Jobs",
    "/queues/orders/jobs/declined": "declined",
    "/queues/exports/jobs/building": "building",
    "/queues/orders/jobs/shown.0": "shown.0",
    "/schedules": "Schedules",
    "/schedules/orders/nightly": "nightly",
    "/workers": "Workers",
    "/dead-letters": "Dead letters",
    "/flows": "Flows",
    "/flows/shown": "nightly-export",
    "/bulk": "Bulk actions",
    "/alerts": "Alerts",
    "/audit": "Audit",
    "/nowhere": "No such page",
}
# Screens that are there already, with other things on them.
MORE = {
    "/jobs": "Jobs",
    "/queues/orders/jobs/later-0": "later-0",
    "/flows/shown?view=list": "nightly-export",
}
DELAYED = "document.querySelectorAll('.figure')[2].innerText === String(arg)"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
pytestmark = VISITING


def show_flow(visits: Visits) -> None:
    """Let there be a flow, once."""
    theatre = visits.theatre
    if all(each.id != "shown" for each in theatre.run(theatre.admin.flows()).flows):
        theatre.run(theatre.stage.begin_flow("shown"))


def dress(page: Page, width: int, *, dark: bool) -> None:
    """Give a page a width and a theme."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light")


def look_at(page: Page, path: str, width: int, *, dark: bool) -> None:
    """Show a screen, and expect it to fit."""
    dress(page, width, dark=dark)
    settled(page, path, {**SCREENS, **MORE}[path])
    # What is drawn becomes narrower a moment after its page.
    until(page, f"{TOO_WIDE} <= 0", f"{path} at {width} px")


def test_every_screen_is_whole_and_accessible(visits: Visits) -> None:
    """At a desk in light and on a phone in the dark: make chaos looks at more widths, and has axe judge contrast, too."""
    show_flow(visits)
    with visits.admin(expected="404") as page:
        try:
            for path, title in SCREENS.items():
                look_at(page, path, 1280, dark=False)
                if path == "/":
                    page.locator(".u-over").wait_for()
                named = "shown" if path.startswith("/flows/") else title.split(" ", maxsplit=1)[0]
                until(page, "document.title.includes(arg)", named)
                # What stands around every page is looked at once.
                first = path == "/"
                assert violations(page, within="" if first else "main", contrast=first) == [], path
                assert faint(page) == [], path
                dress(page, 320, dark=True)
                until(page, f"{TOO_WIDE} <= 0")
                assert faint(page) == [], f"{path} in the dark"
        finally:
            dress(page, 1280, dark=False)


@pytest.mark.chaos
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 600, 860, 1024, 1920])
def test_every_screen_is_whole_at_every_width(visits: Visits, width: int, *, dark: bool) -> None:
    show_flow(visits)
    with visits.admin(expected="404") as page:
        try:
            for path in (*SCREENS, *MORE):
                look_at(page, path, width, dark=dark)
                assert violations(page) == [], path
        finally:
            dress(page, 1280, dark=False)


@pytest.mark.chaos
def test_the_first_paint_comes_at_once(visits: Visits) -> None:
    """Within 300 ms; where the machine is busy with other things, soon after a page that is nothing but a table."""
    with visits.stranger(ADMIN) as page:

        def paint(path: str) -> float:
            page.goto("about:blank")
            page.goto(path)
            until(page, "performance.getEntriesByName('first-contentful-paint').length")
            return page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")

        paint("/")
        plain = min(paint("/plain") for _ in range(5))
        whole = min(paint("/") for _ in range(5))
        sys.stdout.write(f"first paint: {whole:.0f} ms, of a plain table {plain:.0f} ms\n")
        assert whole < max(300, 3 * plain), (whole, plain)


@pytest.mark.chaos
def test_a_flow_of_ten_thousand_jobs_is_shown_at_once(visits: Visits) -> None:
    theatre = visits.theatre

    async def begin() -> str:
        order = Order(customer="x")
        flow = Flow(SEND, order, children=[SEND.call(order) for _ in range(9_999)], name="big")
        return (await flow.submit(theatre.stage.producer)).id

    path = f"/flows/{theatre.run(begin())}"
    with visits.admin() as page:
        settled(page, "/flows", "Flows")
        page.evaluate(
            """() => { window.longest = 0; new PerformanceObserver((list) => {
                for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);
            }).observe({ type: "longtask" }); }"""
        )
        settled(page, path, "big")
        many = page.locator(".spot.many")
        many.wait_for()
        assert page.locator(".spot").count() == 2
        many.click()
        page.locator(".spot").nth(199).wait_for()
        assert page.locator(".spot").count() == 200
        button(page, "Next page").click()
        page.get_by_text("Numbers 200 to 399 of 10,000").wait_for()
        assert page.evaluate("longest") < 500


@pytest.mark.chaos
def test_nothing_moves_while_a_page_is_loaded(visits: Visits) -> None:
    with visits.stranger(ADMIN) as page:
        page.add_init_script(
            """window.moved = 0;
            new PerformanceObserver((list) => { for (const each of list.getEntries()) window.moved += each.value; })
                .observe({ type: "layout-shift", buffered: true });"""
        )
        for path in ("/", "/queues", "/queues/orders", "/jobs?queue=orders"):
            page.goto("about:blank")
            settled(page, path, SCREENS.get(path, "Jobs"))
            assert page.evaluate("window.moved") < 0.1, path


def test_home_answers_its_questions_without_scrolling(visits: Visits) -> None:
    alert = {
        "queue": "orders",
        "active": True,
        "message": "queue orders: a long way to say it (above 100). " * 2,
    }
    alerts = [{**alert, "alert": f"kind-{number}"} for number in range(4)]
    with visits.admin() as page:
        # Its longest verdict, and more things than it has room for.
        page.route("**/api/alerts?active=true", lambda route: route.fulfill(json=alerts))
        settled(page, "/", "Home")
        page.locator(".u-over").wait_for()
        page.locator(".verdict").get_by_text("a long way to say it").nth(1).wait_for()
        until(page, "document.documentElement.scrollHeight <= 800")
        page.locator(".verdict").get_by_text("unserved: no worker serves it, 1 job waits").wait_for()
        # What is paused waits, and is not late, also where that is one name of the queue's alone.
        page.locator(".verdict button").click()
        page.locator(".verdict").get_by_text("unserved: paused in part, 1 job waits").wait_for()
        page.locator(".panel", has_text="Late").locator("li", has_text="unserved").get_by_text(
            "paused in part"
        ).wait_for()
        # The legend tells the minute under the mouse; to drag does no harm, and nothing else.
        chart, told = page.locator(".u-over"), page.locator(".legend .muted")
        last = told.inner_text()
        chart.hover(position={"x": 40, "y": 40})
        until(page, "document.querySelector('.legend .muted').innerText !== arg", last)
        first = told.inner_text()
        page.mouse.down()
        chart.hover(position={"x": 120, "y": 60})
        page.mouse.up()
        until(page, "document.querySelector('.legend .muted').innerText !== arg", first)
        failing = page.locator(".panel", has_text="Failing, last hour")
        until(
            page, "document.querySelector('main').innerText.includes(arg)", "CardDeclined in support/stage.py"
        )
        failing.get_by_role("link", name="CardDeclined").click()
        page.locator("h1", has_text="declined").wait_for()


def test_charts_mark_when_a_version_began_to_work(visits: Visits) -> None:
    with visits.admin() as page:
        settled(page, "/", "Home")
        page.evaluate(
            """() => {
                const seen = window.drawn = [], as = CanvasRenderingContext2D.prototype, draw = as.fillText;
                as.fillText = function (text, ...at) { seen.push(text); draw.call(this, text, ...at); };
            }"""
        )
        settled(page, "/queues/orders", "orders")
        until(page, "drawn.includes('0.1.0')")


def test_text_is_shown_as_it_is(visits: Visits) -> None:
    with visits.admin() as page:
        settled(page, "/queues/orders/jobs/declined", "declined")
        until(page, "document.querySelector('main').innerText.includes(arg)", HOSTILE)
        page.get_by_role("img", name="State failed; it went").wait_for()
        page.locator(".attempts > li").nth(2).wait_for()
        page.get_by_text("Stack of attempt 1").click()
        page.get_by_label("Stack of attempt 1").get_by_text("Traceback").wait_for()
        assert page.locator("main img, main script, main iframe").count() == 0


def test_who_is_unknown_signs_in(visits: Visits) -> None:
    with visits.stranger(expected="401") as page:
        page.goto("/queues/orders")
        page.get_by_label("Token").fill("wrong")
        button(page, "Sign in").click()
        page.get_by_role("alert").get_by_text("no token of this dashboard").wait_for()
        page.get_by_label("Token").fill(OPERATOR)
        page.get_by_label("Your name").fill("grace")
        page.get_by_label("Token").press("Enter")
        page.locator("h1", has_text="orders").wait_for()
        page.locator(".side").get_by_text("grace (operator token)").wait_for()
        assert button(page, "Obliterate").count() == 0
        button(page, "Sign out").click()
        # Who only looks is shown no changes.
        page.get_by_label("Token").fill(VIEWER)
        page.get_by_label("Token").press("Enter")
        page.get_by_label("Token").wait_for(state="detached")
        changes = re.compile("Pause|Drain|Clean|Retry|Replay|Cancel|Remove|Change|Run now|Quiet|Stop|Enqueue")
        for path in (
            "/queues/orders",
            "/queues/orders/jobs/declined",
            "/schedules",
            "/dead-letters",
            "/jobs",
        ):
            settled(page, path, {**SCREENS, **MORE}[path])
            assert page.locator("main button", has_text=changes).count() == 0, path
        button(page, "Sign out").click()
        # An address with a token signs in.
        page.get_by_label("Token").wait_for()
        page.goto("about:blank")
        page.goto(f"/queues#token={ADMIN}")
        page.locator("h1", has_text="Queues").wait_for()
        page.wait_for_url(f"{visits.theatre.address}/queues")
        page.locator(".side").get_by_text("admin token").wait_for()


def test_what_happens_is_shown_as_it_happens(visits: Visits) -> None:
    theatre = visits.theatre
    with visits.admin() as page:
        settled(page, "/queues/orders", "orders")
        page.locator(".live", has_text="Live").wait_for()
        tile = page.locator(".tile", has_text="Delayed").locator(".figure")
        before = theatre.run(theatre.admin.stats("orders")).delayed
        until(page, DELAYED, before)
        theatre.run(theatre.stage.producer.enqueue(CHARGE, Order(customer="x"), delay=999))
        until(page, DELAYED, before + 1)
        page.keyboard.press("f")
        page.get_by_text("Frozen at").wait_for()
        theatre.run(theatre.stage.producer.enqueue(CHARGE, Order(customer="x"), delay=999))
        slider = page.get_by_label("Minute", exact=True)
        slider.press("ArrowLeft")
        page.locator(".tiles").get_by_text("in this minute").first.wait_for()
        assert int(tile.inner_text()) == before + 1
        page.keyboard.press("Escape")
        button(page, "Go on").click()
        until(page, DELAYED, before + 2)


def test_counts_that_come_late_take_the_place_of_no_newer_ones(visits: Visits) -> None:
    theatre = visits.theatre
    held: list[tuple[Route, APIResponse]] = []
    with visits.stranger(ADMIN) as page:
        page.route("**/api/overview", lambda route: held.append((route, route.fetch())))
        settled(page, "/queues/orders", "orders")
        before = theatre.run(theatre.admin.stats("orders")).delayed
        until(page, DELAYED, before)
        theatre.run(theatre.stage.producer.enqueue(CHARGE, Order(customer="x"), delay=999))
        until(page, DELAYED, before + 1)
        route, answer = held[0]
        with page.expect_event("requestfinished", lambda request: request.url.endswith("/api/overview")):
            route.fulfill(response=answer)
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        assert page.evaluate(f"(arg) => {DELAYED}", before + 1)


def test_all_is_reached_by_keyboard(visits: Visits) -> None:
    with visits.admin(fresh=True) as page:
        settled(page, "/", "Home")
        page.keyboard.press("Tab")
        until(page, "document.activeElement.innerText === 'Skip to content'")
        page.keyboard.press("Enter")
        until(page, "document.activeElement.id === 'main'")
        page.keyboard.press("g")
        page.keyboard.press("q")
        page.locator("h1", has_text="Queues").wait_for()
        until(page, "document.activeElement.tagName === 'H1'")
        page.keyboard.press("/")
        until(page, "document.activeElement.type === 'search'")
        page.keyboard.type("news")
        page.keyboard.press("Tab")
        help_button = page.get_by_role("button", name="Shortcuts")
        help_button.focus()
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Shortcuts")
        dialog.wait_for()
        for _ in range(5):
            page.keyboard.press("Tab")
            assert page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")
        until(page, "document.activeElement.ariaLabel === 'Shortcuts'")
        for theme in ("light", "dark", None):
            page.keyboard.press("t")
            until(page, "(document.documentElement.dataset.theme ?? null) === arg", theme)


def test_a_failed_request_says_so_and_is_tried_again(visits: Visits) -> None:
    with visits.admin(expected="ERR_FAILED|Failed to load") as page:
        settled(page, "/queues", "Queues")
        page.route("**/api/schedules*", lambda route: route.abort())
        settled(page, "/schedules", "Schedules")
        trouble = page.get_by_role("alert")
        trouble.get_by_text("does not answer").wait_for()
        page.unroute("**/api/schedules*")
        button(trouble, "Try again").click()
        page.get_by_role("link", name="often").wait_for()
        trouble.wait_for(state="detached")
