"""Each rule finds what it is about, with its values, and nothing in what is sound."""

from pathlib import Path

import pytest

from taskflow.doctor.broker_files import filesystem_of, unread_variables
from taskflow.doctor.examining import examine
from taskflow.doctor.rules import RULES
from taskflow.errors import ConfigError
from tests.taskflow.doctor.cases import CASES, LETTERS, aws, code, facts, known, queues


@pytest.mark.parametrize("number", RULES)
def test_a_rule_finds_what_breaks_it_and_nothing_else(number: str) -> None:
    case = CASES[number]
    found = [one for one in examine(case.broken()) if one.number == number]
    assert found, f"{number} finds nothing"
    assert case.value in found[0].what
    assert (found[0].severity, bool(found[0].advice)) == (RULES[number].severity, True)
    assert number not in [one.number for one in examine(case.sound())]


@pytest.mark.parametrize("sound", [facts, aws, code])
def test_what_is_sound_has_no_findings(sound: object) -> None:
    assert callable(sound)
    assert examine(sound()) == []


def test_the_worst_comes_first_and_numbers_or_single_things_are_left_out() -> None:
    found = queues(
        work=known(expired=1, in_flight=1, oldest_age_seconds=340_000.0),
        dlq=known(LETTERS, visible=1),
    )
    assert [one.number for one in examine(found)] == ["TF303", "TF304", "TF305"]
    left = examine(found, ["TF304", "TF305:queue work-dlq", "TF303:queue other"])
    assert [one.number for one in left] == ["TF303"]
    with pytest.raises(ConfigError, match="no rule has the number 'TF999'"):
        examine(found, ["TF999"])


def test_the_file_system_of_a_path_is_that_of_the_longest_mount() -> None:
    mounts = (
        "overlay / overlay rw 0 0\nsrv:/x /mnt/team\\040share nfs4 rw 0 0\n"
        "tmpfs /mnt tmpfs rw 0 0\nbroken\next4 /mnt ext4 rw 0 0\n"
    )
    kinds = {
        path: filesystem_of(Path(path), mounts)
        for path in ("/var/b.db", "/mnt/b.db", "/mnt/team share/b.db", "/mnt2/b.db")
    }
    assert list(kinds.values()) == ["overlay", "ext4", "nfs4", "overlay"]
    assert filesystem_of(Path("/b.db"), "") == ""


def test_variables_that_are_no_settings_are_found() -> None:
    given = ["PATH", "TASKFLOW_BROKER", "TASKFLOW_BROKR", "_TASKFLOW_COMPLETE"]
    assert unread_variables(given) == ["TASKFLOW_BROKR"]
