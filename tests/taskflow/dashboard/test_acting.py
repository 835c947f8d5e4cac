"""Forms: who may send them, once, from here; and what each of them does."""

import json

import pytest

from taskflow import Registry
from taskflow.broker import Broker
from taskflow.broker.action import ActionQuery
from taskflow.dashboard import action_fields
from taskflow.dashboard.redrives import Redrive, run_redrive
from taskflow.dashboard.visitor_rights import READ
from taskflow.message import Message
from taskflow.scheduling.schedules import schedules
from taskflow.testing import ManualClock
from taskflow.worker.orders import told_to
from tests.taskflow.dashboard.conftest import CARD, bury, report
from tests.taskflow.dashboard.site_client import Client, hidden_fields, words


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[Redrive]:
    """Redrives wait until a test runs them."""
    found: list[Redrive] = []

    def start(broker: Broker, redrive: Redrive) -> None:
        redrive.save(broker)
        found.append(redrive)

    monkeypatch.setattr(action_fields, "start_redrive", start)
    return found


class TestTokens:
    def test_a_form_that_is_sent_again_does_nothing_and_says_what_the_first_did(
        self, client: Client, shop: Broker
    ) -> None:
        shop.send("work", [Message("m1", "{}")])
        page = client.press("/queues/work", "purge-queue")
        fields = {**hidden_fields(page.body.decode()), "n": "1"}
        assert "Deleted 1 message of work." in client.follow(client.post("/act", fields))
        shop.send("work", [Message("m2", "{}")])
        again = client.post("/act", fields)
        assert again.status == 409
        text = words(again.body.decode())
        assert "Nothing was done twice" in text
        assert "Deleted 1 message of work." in text
        assert shop.counts("work").visible == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"token": ""},
            {"token": "a.b.c"},
            {"queue": "other"},
            {"count": "9"},
            {"before": "9999999999.0"},
        ],
    )
    def test_a_form_that_was_changed_does_nothing(
        self, client: Client, shop: Broker, change: dict[str, str]
    ) -> None:
        for queue in ("work", "other"):
            shop.send(queue, [Message("m1", "{}")])
        page = client.press("/queues/work", "purge-queue")
        fields = {**hidden_fields(page.body.decode()), "n": "1", **change}
        assert client.post("/act", fields).status == 403
        assert shop.counts("work").visible == shop.counts("other").visible == 1

    def test_it_is_good_for_who_was_shown_it_and_for_half_a_day(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        shop.send("work", [Message("m1", "{}")])
        page = client.press("/queues/work", "purge-queue")
        fields = {**hidden_fields(page.body.decode()), "n": "1"}
        assert Client(shop, who="support").post("/act", fields).status == 403
        assert Client(shop, READ, "operator").post("/act", fields).status == 403
        taskflow_clock.advance(13 * 3600)
        assert client.post("/act", fields).status == 403
        assert shop.counts("work").visible == 1

    def test_another_process_knows_it(self, client: Client, shop: Broker) -> None:
        shop.send("work", [Message("m1", "{}")])
        page = client.press("/queues/work", "purge-queue")
        assert Client(shop).confirm(page, n="1").status == 303
        assert client.confirm(page, n="1").status == 409

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec_fetch_site": "cross-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"referer": "https://evil.example/x"},
        ],
    )
    def test_another_site_cannot(
        self, client: Client, shop: Broker, headers: dict[str, str]
    ) -> None:
        shop.pause("work")
        fields = {**hidden_fields(client.html("/queues/work")), "do": "resume-queue"}
        assert client.post("/act", fields, **headers).status == 403
        assert shop.counts("work").paused
        assert client.post("/act", fields, origin="http://localhost").status == 303


class TestWhatTheyDo:
    def test_pause_and_resume_and_the_record(self, client: Client, shop: Broker) -> None:
        done = client.press("/queues/work", "pause-queue", why="printer")
        assert "work is paused: what is sent waits" in client.follow(done)
        assert shop.counts("work").paused
        assert "work is resumed." in client.follow(client.press("/queues/work", "resume-queue"))
        text = client.text("/record")
        assert "operator dashboard, 127.0.0.1 pause" in text
        assert "printer" in text
        assert "pause" not in client.text("/record", q="did:resume").partition("To what")[2]

    def test_the_number_is_typed_and_later_arrivals_stay(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        shop.send("work", [Message(f"m{i}", "{}") for i in range(3)])
        taskflow_clock.advance(1)
        page = client.press("/queues/work", "purge-queue")
        taskflow_clock.advance(1)
        shop.send("work", [Message("late", "{}")])
        wrong = client.confirm(page, n="4")
        assert wrong.status == 422
        assert "You typed 4; it is 3. Nothing was done." in words(wrong.body.decode())
        assert client.confirm(page, n="3").status == 303
        assert [one.id for one in shop.peek("work")] == ["late"]

    def test_a_cause_is_redriven_and_progress_is_shown(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock, at_once: list[Redrive]
    ) -> None:
        bury(shop, 30)
        bury(shop, 5, "KeyError")
        taskflow_clock.advance(1)
        cause = shop.causes()[0]
        page = client.press(f"/dead?open={cause.id}", "redrive-cause", first="12", rate="5")
        assert "Redrive 12 dead letters?" in words(page.body.decode())
        assert "12 of work-dlq" in client.follow(client.confirm(page))
        (redrive,) = at_once
        assert redrive.step(shop)
        assert "5 of 12 back" in client.text("/dead")
        assert redrive.step(shop)
        assert not redrive.step(shop)
        assert shop.counts("work").visible == 12
        assert "of 12 back" not in client.text("/dead")
        assert {one.error: one.count for one in shop.causes()} == {
            "shop.mail.Refused": 18,
            "KeyError": 5,
        }

    def test_a_redrive_stops_when_they_die_again_or_somebody_says_so(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock, at_once: list[Redrive]
    ) -> None:
        bury(shop, 40)
        taskflow_clock.advance(1)
        cause = shop.causes()[0]
        page = client.press(f"/dead?open={cause.id}", "redrive-cause-all", rate="10")
        client.confirm(page)
        taskflow_clock.advance(1)
        assert at_once[0].step(shop)
        found = shop.receive("work", limit=10)
        taskflow_clock.advance(1)
        assert all(shop.dead_letter([(one, "{}") for one in found[:8]]))
        assert not at_once[0].step(shop)
        assert at_once[0].why == "more than half of them died again"
        ended = shop.list_actions(ActionQuery(did="redrive ended")).actions[0]
        assert (ended.queue, ended.count, ended.result) == ("work-dlq", 10, at_once[0].why)
        assert "more than half of them died again" in client.text("/record")

        page = client.press(f"/dead?open={cause.id}", "redrive-cause", first="9", rate="1")
        client.confirm(page)
        button = f"stop-redrive {at_once[1].id}"
        assert "Stopped after 0 of 9." in client.follow(client.press("/dead", button))
        run_redrive(shop, at_once[1])
        assert at_once[1].done == 0

    def test_ticked_letters_are_redriven_moved_and_deleted(
        self, client: Client, shop: Broker
    ) -> None:
        bury(shop, 6)
        path = f"/dead?open={shop.causes()[0].id}"
        done = client.confirm(client.press(path, "redrive-ids", id=["d0", "d1"]))
        assert "Redrove 2 of 2 dead letters." in client.follow(done)
        page = client.press(path, "move-ids", id=["d2", "d3"])
        assert client.confirm(page, to="nowhere").status == 404
        page = client.press(path, "move-ids", id=["d2", "d3"])
        assert "Moved 2 messages to other." in client.follow(client.confirm(page, to="other"))
        page = client.press(path, "delete-ids", id=["d4"])
        assert "Deleted 1 message" in client.follow(client.confirm(page, n="1"))
        assert [one.id for one in shop.peek("work-dlq")] == ["d5"]
        none = client.press(path, "delete-ids")
        assert none.status == 400
        assert "Nothing is ticked." in words(none.body.decode())

    def test_all_of_a_cause_is_deleted(self, client: Client, shop: Broker) -> None:
        bury(shop, 3)
        bury(shop, 1, "KeyError")
        path = f"/dead?open={shop.causes()[0].id}"
        shop.clock.advance(1)  # type: ignore[attr-defined]
        page = client.press(path, "delete-cause")
        assert "Deleted 3 dead letters." in client.follow(client.confirm(page, n="3"))
        assert [one.error for one in shop.causes()] == ["KeyError"]

    def test_a_letter_is_edited_and_sent_anew(self, client: Client, shop: Broker) -> None:
        bury(shop, 1)
        path = "/messages/d0/resend?queue=work-dlq"
        html = client.html(path)
        assert CARD not in html
        body = {"order": "ord_2", "payment": {"card_number": "…hidden…"}, "note": "x"}
        fields = {**hidden_fields(html), "payload": json.dumps(body), "why": "typo"}
        assert client.post("/act", {**fields, "payload": "{"}).status == 422
        review = client.post("/act", fields)
        text = words(review.body.decode())
        assert CARD not in text
        assert '- "order": "ord_1"' in text
        assert '+ "order": "ord_2"' in text
        assert "changed" not in text
        assert "nobody checked whether it fits" in text
        assert shop.counts("work").visible == 0
        fields["sure"] = "yes"
        assert "Resent 1 message to work as" in client.follow(client.post("/act", fields))
        (sent,) = shop.peek("work")
        body["payment"] = {"card_number": CARD}
        assert json.loads(sent.body) == body
        assert sent.attributes["taskflow.caused_by"] == "d0"
        assert shop.counts("work-dlq").visible == 0
        assert client.post("/act", fields).status == 409
        assert CARD not in client.text("/record")

    def test_an_edited_letter_is_checked_by_the_types_that_are_here(
        self, shop: Broker, taskflow_registry: Registry
    ) -> None:
        @taskflow_registry.subscribe("made", queue="work", raw=True)
        def take(payload: dict[str, int]) -> None:
            """Takes numbers alone."""

        bury(shop, 1)
        client = Client(shop, registry=taskflow_registry)
        fields = hidden_fields(client.html("/messages/d0/resend?queue=work-dlq"))
        fields["payload"] = json.dumps({"order": "ord_2", "card": "new-1"})
        text = words(client.post("/act", fields).body.decode())
        assert "No handler takes it as it is: " in text
        assert "Expected `int`, got `str`" in text
        assert "Resend it all the same" in text
        assert '"card": "…hidden, changed…"' in text
        fields["payload"] = json.dumps({"order": 2})
        assert "Its handler takes it." in words(client.post("/act", fields).body.decode())

    def test_hidden_fields_are_shown_once_and_that_is_noted(
        self, client: Client, shop: Broker
    ) -> None:
        bury(shop, 1)
        path = "/messages/d0?queue=work-dlq"
        assert CARD not in client.html(path)
        fields = {**hidden_fields(client.html(path), "show-hidden"), "do": "show-hidden"}
        shown = client.post("/act", fields)
        assert shown.status == 200
        assert CARD in shown.body.decode()
        assert "data-every" not in shown.body.decode()
        assert client.post("/act", fields).status == 409
        assert "show hidden 1 work-dlq d0" in client.text("/record")
        assert CARD not in client.html(path)
        assert CARD not in client.text("/record")
        reader = Client(shop, frozenset({"read", "act"}))
        assert "show-hidden" not in reader.html(path)
        fields = {**hidden_fields(reader.html(path)), "do": "show-hidden"}
        refused = reader.post("/act", fields)
        assert refused.status == 403
        assert CARD not in refused.body.decode()

    def test_what_somebody_may_not_is_noted_and_a_flood_is_bounded(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        reader = Client(shop, READ, who="support")
        for _ in range(5):
            assert reader.post("/act", {"do": "purge-queue", "queue": "work"}).status == 403
        assert reader.post("/act", {"do": "<b>"}).status == 403
        assert client.post("/act", {"do": "x"}, origin="https://evil.example").status == 403
        found = shop.list_actions(ActionQuery()).actions
        assert sorted((one.who, one.did) for one in found) == [
            ("operator", "act"),
            ("support", "act"),
            ("support", "purge queue"),
        ]
        assert all((one.result or "").startswith("refused: ") for one in found)
        for number in range(100):
            Client.post(reader, "/act", {"do": f"purge-{'x' * (number % 30)}"})
            taskflow_clock.advance(1)
        assert (
            len(shop.list_actions(ActionQuery(limit=500)).actions) <= 60 + 1
        )  # one of another dashboard

    def test_a_worker_is_paused_resumed_and_drained(self, client: Client, shop: Broker) -> None:
        report(shop, "work")
        text = client.text("/workers")
        assert "Running now" in text
        assert "send_mail m-7 work mail-1 3988 12 s" in text
        assert "2 s" in client.text("/queues/work")
        done = client.press("/workers", "pause-worker w1")
        assert "mail-1:3988 takes nothing new within 10 s" in client.follow(done)
        assert told_to(shop, "w1") == "pause"
        report(shop, "work", does="paused")
        shop.clock.advance(2)  # type: ignore[attr-defined]
        client.press("/workers", "resume-worker w1")
        assert told_to(shop, "w1") == ""
        report(shop, "work")
        shop.clock.advance(2)  # type: ignore[attr-defined]
        page = client.press("/workers", "drain-worker w1")
        assert "Drain mail-1:3988?" in words(page.body.decode())
        assert "drains, and ends" in client.follow(client.confirm(page))
        assert told_to(shop, "w1") == "drain"
        assert "drain worker" in client.text("/record")

    def test_a_redrive_whose_process_has_ended_says_so(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        bury(shop, 3)
        left = Redrive(
            id="r1", who="operator", queue="work-dlq", total=3, before=1.0, started_at=1.0, rate=1
        )
        left.save(shop)
        taskflow_clock.advance(61)
        assert "stands still since" in client.text("/dead")
        assert "Stopped after 0 of 3." in client.follow(client.press("/dead", "stop-redrive r1"))
        assert "stands still" not in client.text("/dead")

    def test_schedules_run_pause_and_resume(self, client: Client, shop: Broker) -> None:
        schedules.put("sweep", every="1h", publish=("made", {}), broker=shop)
        page = client.press("/schedules", "run-now sweep")
        assert "sweep was started once." in client.follow(client.confirm(page))
        assert shop.counts("work").visible == 1
        assert "is paused" in client.follow(client.press("/schedules", "pause-schedule sweep"))
        found = schedules.get("sweep", broker=shop)
        assert found is not None
        assert found.state == "paused"
        client.press("/schedules", "resume-schedule sweep")
        found = schedules.get("sweep", broker=shop)
        assert found is not None
        assert found.state == "active"

    def test_a_message_is_sent(self, client: Client, shop: Broker) -> None:
        fields = hidden_fields(client.html("/send"))
        answer = client.post("/send", {**fields, "to": "queue:work", "body": "hello"})
        assert "Sent message" in client.follow(answer)
        assert [one.body for one in shop.peek("work")] == ["hello"]
        bad = client.post(
            "/send", {**hidden_fields(client.html("/send")), "to": "x", "body": "kept"}
        )
        assert bad.status == 400
        assert "kept" in bad.body.decode()

    def test_what_is_not_known(self, client: Client) -> None:
        fields = {**hidden_fields(client.html("/queues/work")), "do": "explode"}
        assert client.post("/act", fields).status == 400
        assert client.post("/nowhere", {}).status == 404
