"""The page of the wire server in a real Chromium: how it looks and how it is worked with."""

import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import uvicorn
from playwright.sync_api import (
    Browser,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from taskflow import Broker, Event, Registry, Reject, Worker, publish
from taskflow.broker import QueueSettings
from taskflow.broker.settings import TopicSubscription
from taskflow.config import open_broker
from taskflow.dashboard.pages import pages
from taskflow.message import Message
from taskflow.server.backend import Backend
from taskflow.server.waiting import Waiting
from taskflow.testing import ManualClock
from taskflow.topology import declare
from tests.taskflow.server.wire import make_app

pytestmark = pytest.mark.e2e

LONG_QUEUE = "a-queue-whose-name-is-as-long-as-they-may-be-" + "x" * 35
LONG_URL = "https://example.com/" + "a-path-without-an-end" * 8
HOSTILE = "<script>document.title = 'mine'</script><img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Shop:
    """A served broker that has a bit of everything."""

    url: str
    broker: Broker
    clock: ManualClock


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    clock = ManualClock()
    broker = open_broker(f"sqlite:///{tmp_path}/broker.db", clock=clock, random=Random(1))
    fill(broker, clock)
    with ThreadPoolExecutor(4) as threads, socket.create_server(("127.0.0.1", 0)) as listening:
        backend = Backend(broker, Waiting(broker), threads, "000000000000", "us-east-1")
        app = make_app({}, clock=clock, pages=pages(backend, lambda *_: None, allow_reset=False))
        # The browser keeps its connections open; the end of the test does not wait for them.
        config = uvicorn.Config(
            app, http="httptools", ws="none", log_config=None, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        yield Shop(f"http://127.0.0.1:{listening.getsockname()[1]}", broker, clock)
        server.should_exit = True
        serving.join()
    broker.close()


def fill(broker: Broker, clock: ManualClock) -> None:
    """Queues with work, a dead letter with its failure, FIFO, names and texts without end."""
    registry = Registry()

    @registry.subscribe("order.created", queue="audit", retries=0)
    def record(event: Event[dict[str, str]]) -> None:
        if event.payload["order_id"] == "refused":
            raise Reject("no such customer")
        raise ValueError(f"order {event.payload['order_id']} is not known: {'long' * 100}")

    declare(broker, registry)
    for order in ("ord_1", "refused"):
        publish("order.created", {"order_id": order, "note": HOSTILE}, id=order, broker=broker)
    Worker(broker, registry=registry).drain()
    broker.create_queue(LONG_QUEUE)
    broker.create_queue("steps.fifo", QueueSettings(content_based_deduplication=True))
    broker.create_topic("prices.fifo")
    broker.send(LONG_QUEUE, [Message(f"m{i}", HOSTILE + "no end " * 500) for i in range(3)])
    broker.put_subscription(
        TopicSubscription("s1", "order.created", "https", LONG_URL, pending=True)
    )
    clock.advance(4000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        found = found or playwright.chromium.executable_path  # `make browser` puts one there
        if not Path(found).exists():
            pytest.fail("these tests need Chromium: make browser")
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without JavaScript, whose console must stay silent."""
    complaints: list[str] = []
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        yield page
    refused = "Failed to load resource: the server responded with a status of 400 (Bad Request)"
    assert [text for text in complaints if text != refused] == []


# Texts with less contrast than WCAG AA asks for: 4.5 to 1.
FAINT = """() => {
  const numbers = (color) => (color.match(/[\\d.]+/g) || []).map(Number)
  const part = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const back = numbers(getComputedStyle(one).backgroundColor)
      if (back[3] !== 0) return back
    }
  }
  const faint = []
  for (const one of document.body.querySelectorAll("*")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    if (!own || one.matches(":disabled, optgroup, option")) continue
    const [high, low] = [light(numbers(getComputedStyle(one).color)), light(behind(one))]
      .sort((a, b) => b - a)
    const ratio = (high + 0.05) / (low + 0.05)
    if (ratio < 4.5) faint.push(`${one.tagName} ${one.textContent.trim()} ${ratio}`)
  }
  return faint
}"""
OVERFLOW = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
PAGES = {
    "start": "/",
    "queues": "/queues?q=",
    "queue": f"/queues/{LONG_QUEUE}",
    "letters": "/queues/audit?q=state:dead",
    "dead": "/dead",
    "message": "/messages/ord_1?queue=audit-dlq",
    "resend": "/messages/ord_1/resend?queue=audit-dlq",
    "schedules": "/schedules",
    "workers": "/workers",
    "workflows": "/workflows",
    "search": "/search?q=ord_1",
    "record": "/record",
    "send": "/send?to=queue:audit",
    "refused": "/queues/nowhere",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_fits_its_window(
    shop: Shop, browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    size: ViewportSize = {"width": width, "height": 800}
    backgrounds = set()
    with browser.new_context(viewport=size) as context:
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for name, path in PAGES.items():
            page.goto(shop.url + path)
            for details in page.locator("details").all():
                details.evaluate("one => one.open = true")
            page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png", full_page=True)
            assert page.evaluate(OVERFLOW) == 0, name
            assert page.evaluate(FAINT) == [], name
            assert page.title().endswith("· taskflow")  # no script of a message has run
            backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds == {"rgb(13, 15, 19)" if scheme == "dark" else "rgb(245, 246, 248)"}


def test_it_looks_again_by_itself_and_leaves_alone_what_is_used(
    shop: Shop, browser: Browser
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{shop.url}/queues?q=")
        shop.broker.create_queue("new")
        shop.clock.advance(2)
        # No click: the script does it after five seconds.
        expect(page.get_by_role("link", name="new", exact=True)).to_be_visible(timeout=30_000)
        page.get_by_role("link", name="stop").click()
        expect(page.locator("body[data-every]")).to_have_count(0)


def test_a_dead_letter_is_found_by_its_cause_and_redriven(shop: Shop, page: Page) -> None:
    page.goto(shop.url)
    page.get_by_role("link", name="1 × ValueError in audit").click()
    expect(page.get_by_text("order ord_1 is not known").first).to_be_visible()
    page.get_by_role("checkbox", name="Tick ord_1").check()
    page.get_by_role("button", name="Redrive…").last.click()
    expect(page.get_by_role("heading", name="Redrive 1 dead letter?")).to_be_visible()
    page.get_by_role("button", name="Redrive 1").click()
    expect(page.get_by_role("status")).to_contain_text("Redrove 1 of 1 dead letter.")
    assert [one.id for one in shop.broker.peek("audit")] == ["ord_1"]
    page.get_by_role("link", name="In the record").click()
    expect(page.get_by_role("row").filter(has_text="redrive")).to_have_count(1)


def test_a_letter_is_edited_and_sent_anew(shop: Shop, page: Page) -> None:
    page.goto(f"{shop.url}/messages/ord_1?queue=audit-dlq")
    expect(page.get_by_text(HOSTILE).first).to_be_visible()
    page.get_by_role("link", name="Edit and resend").click()
    body = page.get_by_label("Body")
    body.fill(body.input_value().replace("ord_1", "ord_2"))
    page.get_by_role("button", name="See what changes…").click()
    expect(page.get_by_text('"ord_2"').first).to_be_visible()
    page.get_by_role("button", name="Resend 1 message").click()
    expect(page.get_by_role("status")).to_contain_text("Resent 1 message to audit")
    (sent,) = shop.broker.peek("audit")
    assert '"ord_2"' in sent.body


def test_a_message_is_sent_to_a_queue(shop: Shop, page: Page) -> None:
    page.goto(f"{shop.url}/queues/audit")
    page.get_by_role("link", name="Send a message").click()
    page.get_by_label("Body").fill("two\nlines " + HOSTILE)
    page.get_by_label("Attributes").fill("color=red\nsize:Number=7")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Sent message ")
    (sent,) = shop.broker.peek("audit")
    assert sent.body == "two\nlines " + HOSTILE
    assert list(sent.attributes) == ["color", "size"]


def test_what_the_broker_refuses_is_said_and_what_was_written_stays(shop: Shop, page: Page) -> None:
    page.goto(f"{shop.url}/send")
    page.get_by_label("To").select_option("topic:prices.fifo")
    page.get_by_label("Body").fill("\n  {}")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is FIFO: a message needs a group")
    expect(page.get_by_label("To")).to_have_value("topic:prices.fifo")
    expect(page.get_by_label("Body")).to_have_value("\n  {}")
    page.get_by_label("Message group").fill("g1")
    page.get_by_label("Deduplication id").fill("d1")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("the topic has no subscriptions")


def test_a_form_on_another_site_does_nothing(shop: Shop, browser: Browser) -> None:
    form = f"""<form method="post" action="{shop.url}/act">
      <input name="queue" value="audit"><button name="do" value="resume-queue">Win</button>
      </form>"""
    shop.broker.pause("audit")
    with browser.new_context() as context:
        page = context.new_page()
        page.route(
            "https://example.com/", lambda route: route.fulfill(body=form, content_type="text/html")
        )
        page.goto("https://example.com/")
        page.get_by_role("button", name="Win").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Another site")
    assert shop.broker.counts("audit").paused
