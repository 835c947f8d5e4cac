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
from taskflow.broker import Finish, QueueSettings
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
    "home": "/?notice=Sent",
    "queue": f"/queue?name={LONG_QUEUE}",
    "dead-letters": "/dead-letters?queue=audit",
    "send": "/send?to=queue:audit",
    "refused": "/queue?name=nowhere",
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
    assert backgrounds == {"rgb(18, 22, 27)" if scheme == "dark" else "rgb(244, 246, 248)"}


def test_wide_tables_scroll_in_their_own_frame(shop: Shop, browser: Browser) -> None:
    with browser.new_context(viewport={"width": 360, "height": 800}) as context:
        page = context.new_page()
        page.goto(shop.url)
        frame = page.get_by_role("region", name="Queues")
        assert frame.evaluate("one => one.scrollWidth > one.clientWidth")
        frame.evaluate("one => one.addEventListener('scroll', () => one.dataset.moved = 'yes')")
        frame.focus()
        page.keyboard.press("ArrowRight")
        expect(frame).to_have_attribute("data-moved", "yes")


def test_the_home_page_counts_and_rates_its_queues(shop: Shop, page: Page) -> None:
    page.goto(shop.url)
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=LONG_QUEUE))
    numbers = row.get_by_role("cell")
    assert numbers.all_inner_texts() == [
        "3", "0", "0", "1 h 6 min", "0", "–", "no DLQ"
    ]  # fmt: skip
    broker = shop.broker
    broker.delete([Finish(one) for one in broker.receive(LONG_QUEUE, limit=2)])
    shop.clock.advance(4)
    page.reload()
    assert numbers.all_inner_texts()[:1] == ["1"]
    assert numbers.all_inner_texts()[4:6] == ["2", "0.5"]


def test_the_home_page_looks_again_by_itself_until_it_is_stopped(shop: Shop, page: Page) -> None:
    page.goto(f"{shop.url}/?notice=Sent")
    shop.broker.create_queue("new")
    # No click: the browser does it after five seconds, and the notice has had its time.
    expect(page.get_by_role("link", name="new")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("status")).to_have_count(0)
    page.get_by_role("link", name="Stop").click()
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
    page.get_by_role("link", name="Look again every 5 seconds").click()
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(1)


def test_a_dead_letter_shows_why_it_failed(shop: Shop, page: Page) -> None:
    page.goto(shop.url)
    page.get_by_role("link", name="2 in audit-dlq").click()
    letters = page.get_by_role("article")
    expect(letters).to_have_count(2)
    failed = letters.filter(has_text="ord_1")
    expect(failed.locator("dt").first).to_have_text("Reason")
    expect(failed).to_contain_text("ValueError")
    expect(failed).to_contain_text("order ord_1 is not known")
    traceback = failed.get_by_text("Traceback (most recent call last)")
    expect(traceback).to_be_hidden()
    failed.get_by_text("Traceback", exact=True).click()
    expect(traceback).to_be_visible()
    failed.get_by_text("Body, ").click()
    expect(failed.get_by_text(HOSTILE)).to_be_visible()
    expect(letters.filter(has_text="no such customer")).to_have_count(1)


def test_selected_dead_letters_go_back(shop: Shop, page: Page) -> None:
    page.goto(f"{shop.url}/dead-letters?queue=audit")
    page.get_by_label("ord_1").check()
    page.get_by_role("button", name="Redrive selected").click()
    expect(page.get_by_role("status")).to_have_text("Redrove 1.")
    expect(page.get_by_role("article")).to_have_count(1)
    assert [one.id for one in shop.broker.peek("audit")] == ["ord_1"]


def test_all_dead_letters_go_back(shop: Shop, page: Page) -> None:
    page.goto(f"{shop.url}/dead-letters?queue=audit-dlq")
    page.get_by_role("button", name="Redrive all 2").click()
    expect(page.get_by_role("status")).to_have_text("Redrove 2.")
    expect(page.get_by_text("There are no dead letters here.")).to_be_visible()
    assert [one.id for one in shop.broker.peek("audit")] == ["ord_1", "refused"]


def test_a_message_is_sent_to_a_queue(shop: Shop, page: Page) -> None:
    page.goto(f"{shop.url}/queue?name=audit")
    page.get_by_role("link", name="Send a message").last.click()
    page.get_by_label("Body").fill("two\nlines " + HOSTILE)
    page.get_by_label("Attributes").fill("color=red\nsize:Number=7")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("Sent message ")
    expect(page.get_by_role("heading", name="audit", exact=True)).to_be_visible()
    (sent,) = shop.broker.peek("audit")
    assert sent.body == "two\nlines " + HOSTILE
    assert list(sent.attributes) == ["color", "size"]


def test_what_the_broker_refuses_is_said_and_what_was_written_stays(shop: Shop, page: Page) -> None:
    page.goto(f"{shop.url}/send")
    page.get_by_label("To").select_option("topic:prices.fifo")
    page.get_by_label("Body").fill("\n  {}")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("is FIFO: a message needs a group")
    expect(page.get_by_label("To")).to_have_value("topic:prices.fifo")
    expect(page.get_by_label("Body")).to_have_value("\n  {}")
    page.get_by_label("Message group").fill("g1")
    page.get_by_label("Deduplication id").fill("d1")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("the topic has no subscriptions")


def test_a_form_on_another_site_does_nothing(shop: Shop, browser: Browser) -> None:
    form = f"""<form method="post" action="{shop.url}/redrive">
      <input name="queue" value="audit-dlq"><button name="which" value="all">Win</button></form>"""
    with browser.new_context() as context:
        page = context.new_page()
        page.route(
            "https://example.com/", lambda route: route.fulfill(body=form, content_type="text/html")
        )
        page.goto("https://example.com/")
        page.get_by_role("button", name="Win").click()
        expect(page.get_by_role("alert")).to_contain_text("Another site")
    assert shop.broker.counts("audit-dlq").visible == 2
