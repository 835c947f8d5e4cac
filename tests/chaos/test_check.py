"""The checker finds what it should: histories made by hand, each with one thing wrong."""

from pathlib import Path
from typing import Any

import pytest

from taskflow import Registry, open_broker
from taskflow.message import Message
from taskflow.topology import declare
from tests.chaos.check import Verdict, check, check_run
from tests.chaos.final import Final
from tests.chaos.handlers import subscribe_all
from tests.chaos.history import History
from tests.chaos.plan import contract
from tests.chaos.traces import CRASH, Fact, trace


class Story:
    """Facts in the order they are told, a second apart; one worker `w`, one publisher `p`."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.final = Final()
        for kind in contract():
            self.tell("kind", "c", visibility=1.5, **kind)

    def tell(self, fact: str, who: str, **more: Any) -> "Story":
        self.facts.append({"fact": fact, "who": who, "at": float(len(self.facts)), **more})
        return self

    def publish(
        self,
        id: str = "m1",
        kind: str = "plain",
        answer: str = "published",
        group: str | None = None,
    ) -> "Story":
        more = {"numbers": [int(id[1:])], "groups": [group]}
        self.tell("publishing", "p", kind=kind, ids=[id], **more)
        return self.tell(answer, "p", ids=[id]) if answer else self

    def work(self, *facts: str, attempt: int = 1, who: str = "w", **more: Any) -> "Story":
        for fact in facts:
            held = {"held": float(len(self.facts))} if fact == "start" else {}
            what = {"id": "m1", "queue": "work", "attempt": attempt}
            self.tell(fact, who, **{**what, **held, **more})
        return self

    def finish(self, id: str = "m1") -> "Story":
        self.final.finished.add(("work", id))
        return self

    def bury(self, id: str = "m1", **record: Any) -> "Story":
        at = float(len(self.facts))
        letter = {"reason": "failed 3 times", "attempts": 3, "failed_at": at, **record}
        self.final.letters["work", id] = letter
        return self

    def check(self) -> Verdict:
        return check(trace(self.facts), self.final)

    def expect(self, *beginnings: str) -> Verdict:
        verdict = self.check()
        assert [text.partition(":")[0] for text in verdict.violations] == list(beginnings)
        return verdict


def handled() -> Story:
    return Story().publish().work("start", "end", "acked").finish()


def test_a_message_handled_once_is_as_promised() -> None:
    verdict = handled().expect()
    assert verdict.table["handled"] == verdict.table["publishes accepted"] == 1


def test_a_lost_message_is_found() -> None:
    verdict = Story().publish().expect("lost")
    assert verdict.table["lost"] == 1


def test_a_message_acknowledged_without_being_handled_is_lost() -> None:
    Story().publish().finish().expect("lost")


def test_a_message_lost_in_one_of_two_queues_is_found() -> None:
    Story().publish(kind="both").work("start", "end", "acked").finish().expect("lost")


def test_a_start_after_the_ack_is_found_whatever_was_killed() -> None:
    story = handled().tell("killed", "c", process="w")
    story.work("start", "end", "acked", attempt=2, who="v").expect("after the ack")


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_start_after_the_ack_in_a_worker_that_stood_still_with_the_message(attempt: int) -> None:
    story = Story().publish()
    held = float(len(story.facts))
    story.tell("stop", "c", process="v")
    story.work("start", "end", "acked", attempt=attempt).tell("continued", "c", process="v")
    story.finish().work("start", "end", "stale", who="v", held=held)
    assert story.expect().table["started again without having failed"] == "1 (stopped 1)"


@pytest.mark.parametrize("trouble", ["killed later", "slow before", "stood still before"])
def test_a_late_start_in_a_worker_that_did_not_stand_still_then_is_found(trouble: str) -> None:
    story = Story().publish()
    if trouble == "stood still before":
        story.tell("stop", "c", process="v").tell("continued", "c", process="v")
    held = float(len(story.facts))
    if trouble == "slow before":
        story.tell("slow", "v", since=held, verb="receive")
    story.work("start", "end", "acked").finish()
    story.work("start", "end", "stale", who="v", held=held)
    if trouble == "killed later":
        story.tell("killed", "c", process="v")
    story.expect("without a cause")


def crashed(*between: str, how: str = CRASH) -> Story:
    """A message handled and acknowledged, other facts, and what is done to the disk."""
    story = Story().tell("begin", "c", disk=how).publish().work("start", "end", "acked").finish()
    for fact in between:
        story.tell(fact, "x")
    return story.tell("disk-full", "c").tell("disk-free", "c")


@pytest.mark.parametrize("attempt", [1, 2])
def test_what_a_server_was_told_just_before_its_crash_may_come_again(attempt: int) -> None:
    verdict = crashed().work("start", "end", "acked", attempt=attempt, who="v").expect()
    assert CRASH in verdict.table["handled to the end twice"]


def test_what_it_was_told_long_before_may_not() -> None:
    again = crashed("ready", "ready").work("start", "end", "acked", who="v")
    again.expect("one attempt twice", "after the ack")


def test_nor_may_what_a_file_was_told_before_its_disk_was_full() -> None:
    again = crashed(how="a full disk").work("start", "end", "acked", who="v")
    again.expect("one attempt twice", "after the ack")


def test_a_start_after_the_ack_of_a_later_attempt_is_found() -> None:
    story = handled().tell("killed", "c", process="v")
    story.facts[-4:-1] = [{**fact, "attempt": 2} for fact in story.facts[-4:-1]]
    story.work("start", attempt=1, who="v").expect("after the ack", "without a cause")


def test_a_failure_whose_worker_died_before_it_was_settled_is_not_counted() -> None:
    story = Story().publish(kind="flaky").work("start").work("failed", error="ConnectionError")
    story.tell("exited", "c", process="w", code=66)
    story.work("start", who="v").work("failed", error="ConnectionError", who="v")
    story.work("start", "end", "acked", attempt=2, who="v").finish().expect()


def test_a_failure_that_was_settled_is_counted() -> None:
    story = Story().publish(kind="flaky").work("start").work("failed", error="ConnectionError")
    story.work("start", who="v").work("failed", error="ConnectionError", who="v")
    story.work("start", "end", "acked", attempt=2, who="v").finish().expect("one attempt twice")


def test_a_worker_asked_to_stop_before_it_could_obey_may_end_by_the_signal() -> None:
    handled().tell("exited", "c", process="x", code=-15).expect()
    handled().tell("exited", "c", process="w", code=-15).expect("w ended with code -15")
    handled().tell("ready", "x").tell("exited", "c", process="x", code=-15).expect(
        "x ended with code -15"
    )


def test_a_second_run_without_a_cause_is_found() -> None:
    story = Story().publish().work("start", "end")
    story.work("start", "end", "acked", attempt=2, who="v").finish().expect("without a cause")


@pytest.mark.parametrize(
    ("fact", "more", "cause"),
    [
        ("killed", {"process": "w"}, "killed"),
        ("exited", {"process": "w", "code": 66}, "died"),
        ("continued", {"process": "w"}, "stopped"),
        ("stall", {"since": 0.0}, "not scheduled"),
        ("refused", {"since": 0.0, "verb": "delete", "error": "full"}, "broker slow"),
    ],
)
def test_a_second_run_is_allowed_with_a_cause(fact: str, more: dict[str, Any], cause: str) -> None:
    story = Story().publish().work("start", "end")
    story.tell(fact, "c" if "process" in more else "w", **more)
    verdict = story.work("start", "end", "acked", attempt=2, who="v").finish().expect()
    assert verdict.table["handled to the end twice"] == f"1 ({cause} 1)"


def test_the_kill_of_another_process_is_no_cause() -> None:
    story = Story().publish().work("start", "end").tell("killed", "c", process="other")
    story.work("start", "end", "acked", attempt=2, who="v").finish().expect("without a cause")


def test_a_kill_before_the_start_is_no_cause() -> None:
    story = Story().publish().tell("killed", "c", process="w").work("start", "end")
    story.work("start", "end", "acked", attempt=2, who="v").finish().expect("without a cause")


def test_a_slow_call_is_named_after_its_phase() -> None:
    story = Story().publish().tell("locked", "l").work("start")
    story.tell("slow", "w", since=float(len(story.facts) - 1), verb="delete").tell("unlocked", "l")
    verdict = story.work("start", "end", "acked", attempt=2, who="v").finish().expect()
    assert verdict.table["started again without having failed"] == "1 (locked 1)"


def test_the_ack_of_a_repeated_publish_is_not_that_of_an_earlier_attempt() -> None:
    """A publisher that was killed unanswered repeats its publish after the first copy is done: a
    worker that failed the first copy's attempt 1 deletes the second, as attempt 1, unrun."""
    story = Story().publish(answer="").work("start", "failed", error="ConnectionError")
    story.work("start", "end", "acked", attempt=2, who="v")
    story.publish().work("acked").finish().expect()


def test_too_high_an_attempt_is_found() -> None:
    story = Story().publish()
    for attempt in range(1, 8):  # retries=5
        story.work("start", "failed", attempt=attempt, error="ConnectionError")
    story.bury(attempts=6).expect("too many attempts")


def test_a_start_among_others_that_was_killed_is_forgiven_twice() -> None:
    story = Story().publish()
    for who in ("w", "v"):
        story.work("start", who=who).tell("killed", "c", process=who)
    story.work("start", "end", "acked", who="u").finish().expect()


def test_one_attempt_started_again_and_again_is_found() -> None:
    story = Story().publish()
    for who in ("w", "v", "t"):
        story.work("start", who=who).tell("killed", "c", process=who)
    story.work("start", "end", "acked", who="u").finish().expect("one attempt twice")


def test_an_attempt_given_back_may_start_again_under_its_number() -> None:
    story = Story().publish().work("start", "given-back")
    story.work("start", "end", "acked", who="v").finish().expect()


def test_a_toxic_message_ends_in_the_dead_letters() -> None:
    story = Story().publish(kind="raises")
    for attempt in (1, 2, 3):
        story.work("start", "failed", attempt=attempt, error="RuntimeError")
    story.bury().expect()


def test_a_toxic_message_that_was_handled_is_found() -> None:
    Story().publish(kind="kills").work("start", "end", "acked").finish().expect("handled")


def test_a_dead_letter_says_why_and_how_often() -> None:
    story = Story().publish(kind="raises").work("start", "failed", error="RuntimeError")
    story.bury(reason="").expect("no reason")
    story.bury(attempts=4).expect("wrong record")
    story.bury(attempts=0).expect("wrong record")


def test_a_good_message_among_the_dead_needs_a_cause() -> None:
    story = Story().publish().work("start")
    story.bury(attempts=1).expect("dead without a cause")
    story.tell("killed", "c", process="w").bury(attempts=6).expect()


def test_a_good_message_that_failed_for_no_reason_is_found() -> None:
    story = Story().publish().work("start", "failed", error="DecodeError")
    story.bury(attempts=1).expect("failed without reason")


def test_a_message_both_dead_and_finished_is_found() -> None:
    story = Story().publish().work("start", "end").tell("killed", "c", process="w")
    story.publish("m2").work("start", "end", "acked", id="m2").finish("m2")
    story.bury(attempts=1).finish().expect("dead and finished")


def test_a_refused_publish_stores_nothing() -> None:
    Story().publish(answer="publish-refused").expect()
    story = Story().publish(answer="publish-refused").work("start", "end", "acked").finish()
    story.expect("refused and stored")


def test_an_unanswered_publish_may_be_stored_or_not() -> None:
    Story().publish(answer="").expect()
    Story().publish(answer="").work("start", "end", "acked").finish().expect()


def test_a_message_from_nowhere_is_found() -> None:
    Story().work("start", "end", "acked").expect("from nowhere")


class Lined(Story):
    """m1, m2 and m3 of one group of a FIFO queue; `work` and the rest are for that queue."""

    def __init__(self, *answers: str) -> None:
        super().__init__()
        for number, answer in enumerate(answers or ["published"] * 3, 1):
            self.publish(f"m{number}", "lined", answer, group="g1")

    def handle(self, id: str, attempt: int = 1, who: str = "w") -> "Lined":
        where: dict[str, Any] = {"id": id, "queue": "lined.fifo", "attempt": attempt, "who": who}
        self.work("start", "end", "acked", **where)
        self.final.finished.add(("lined.fifo", id))
        return self

    def interrupt(self, *facts: str, id: str) -> "Lined":
        self.work(*facts, id=id, queue="lined.fifo")
        self.tell("killed", "c", process="w")
        return self


def test_a_group_in_order_is_as_promised() -> None:
    Lined().handle("m1").handle("m2").handle("m3").expect()


@pytest.mark.parametrize("order", ["m2 m1 m3", "m1 m3 m2"])
def test_a_message_started_before_an_earlier_one_is_found(order: str) -> None:
    story = Lined()
    for id in order.split():
        story.handle(id)
    story.expect("out of order")


def test_a_message_started_while_an_earlier_one_runs_is_found() -> None:
    story = Lined().interrupt("start", id="m1")
    story.handle("m2").handle("m1", attempt=2, who="v").handle("m3").expect("out of order")


def test_an_interrupted_message_may_run_again_after_a_later_one() -> None:
    """m1 was handled to its end, and its worker killed before that was recorded."""
    story = Lined().interrupt("start", "end", id="m1")
    story.handle("m2", who="v").handle("m1", attempt=2, who="v").handle("m3", who="v").expect()


def test_a_dead_letter_keeps_nobody_waiting_from_then_on() -> None:
    def dead(at: float) -> Lined:
        story = Lined().interrupt("start", id="m1")
        story.handle("m2", who="v").handle("m3", who="v")
        letter = {"reason": "never finished", "attempts": 6, "failed_at": at}
        story.final.letters["lined.fifo", "m1"] = letter
        return story

    end = float(len(dead(0).facts))
    dead(end - 6).expect()
    dead(end - 5).expect("out of order")


def test_what_was_never_stored_keeps_nobody_waiting() -> None:
    Lined("publish-refused", "published", "published").handle("m2").handle("m3").expect()
    Lined("", "published", "published").handle("m2").handle("m3").expect()


def test_groups_do_not_wait_for_each_other() -> None:
    story = Lined()
    story.publish("m0", "lined", group="g2")
    story.handle("m1").handle("m2").handle("m3").handle("m0").expect()


def test_a_queue_held_up_by_a_killer_is_found() -> None:
    story = Story().publish(kind="kills").work("start")
    for number in range(6):
        story.publish(f"n{number}")
    story.work("start", attempt=2, who="v").bury().tell("killed", "c", process="w")
    for number in range(6):
        story.work("start", "end", "acked", id=f"n{number}").finish(f"n{number}")
    story.expect("held up")


def test_what_is_left_broken_or_stuck_at_the_end_is_found() -> None:
    story = handled()
    story.final.held["work"] = 1
    story.expect("not at rest")
    story.final.held["work"] = 0
    story.final.integrity = "row 3 missing from index"
    story.expect("integrity_check")
    story.final.integrity = "ok"
    story.tell("exited", "c", process="w", code=-7).expect("w ended with code -7")
    handled().tell("would-not-stop", "c", process="w").expect("1 processes did not stop when asked")


def test_histories_without_acknowledgements_show_nothing() -> None:
    verdict = Story().publish().work("start", "end").finish().check()
    assert "no acknowledgement was ever noted" in verdict.violations[0]


def test_a_line_cut_short_is_no_fact_and_the_file_is_read_with_the_broker(tmp_path: Path) -> None:
    """A real file and real histories: one message accepted and never stored, one that waits."""
    address = f"sqlite:///{tmp_path}/broker.db"
    broker = open_broker(address)
    declare(broker, subscribe_all(Registry()))
    broker.publish("chaos.plain", [Message("waits", "{}")])
    broker.close()
    folder = tmp_path / "history"
    folder.mkdir()
    history = History(folder, "maker-0-1")
    for kind in contract():
        history.note("kind", visibility=1.5, **kind)
    for id in ("waits", "gone"):
        history.note("publishing", kind="plain", ids=[id], numbers=[1], groups=[None])
        history.note("published", ids=[id], numbers=[1])
    history.close()
    with (folder / "maker-0-1.jsonl").open("a") as file:
        file.write('{"fact":"published","ids":["cut"')
    assert [text.partition(":")[0] for text in check_run(folder, address).violations] == [
        "lost",
        "lost",
        "not at rest",
    ]
