"""The words of the pages: filters, hidden fields, numbers, times, spans, orders."""

import json
from typing import Any

import pytest

from taskflow.dashboard.answer import Refused
from taskflow.dashboard.code_view import write_payload, write_traceback
from taskflow.dashboard.drawing import Line, chart, spark
from taskflow.dashboard.hiding import Hiding
from taskflow.dashboard.sorting import Sort, sorted_page
from taskflow.dashboard.terms import Moment, payload_at, read_filter
from taskflow.dashboard.writing import write_moment, write_number, write_percent, write_span

NAMES = ("queue", "age", "attempt", "sent", "payload.")
NOW = 1_795_783_732.0  # 2026-11-27T12:48:52Z


@pytest.mark.parametrize(
    ("text", "value", "kept"),
    [
        ("queue:mail", "mail", True),
        ("queue:mail", "MAIL", True),
        ("queue:mail", "mail-2", False),
        ("queue:mail*", "mail-2", True),
        ("queue:audit,mail", "mail", True),
        ("-queue:mail", "mail", False),
        ("-queue:mail", "audit", True),
        ('queue:"a b"', "a b", True),
        ("queue:mail", ["x", "mail"], True),
        ("queue:mail", None, False),
        ("age:>5m", 301.0, True),
        ("age:>5m", 300.0, False),
        ("age:>=5m", 300.0, True),
        ("age:<1h", 10, True),
        ("attempt:2..4", 4, True),
        ("attempt:2..4", 5, False),
        ("attempt:3", 3, True),
        ("sent:2d", Moment(NOW - 86400), True),
        ("sent:2d", Moment(NOW - 3 * 86400), False),
        ("sent:>2026-11-27T12:00", Moment(NOW), True),
        ("sent:2026-11-26", Moment(NOW), False),
        ("sent:2026-11-27", Moment(NOW), True),
    ],
)
def test_one_term(text: str, value: object, kept: bool) -> None:
    (term,) = read_filter(text, NAMES, NOW).terms
    assert term.admits(value, NOW) == kept


def test_all_must_hold_and_each_chip_is_a_link_without_it() -> None:
    found = read_filter('queue:mail* -age:<5m "no such user" refused', NAMES, NOW)
    assert found.words == ["no such user", "refused"]
    chips = [(one.name, one.value) for one in found.chips()]
    assert chips == [
        ("queue", "mail*"),
        ("not age", "below 5m"),
        ("words", "no such user"),
        ("words", "refused"),
    ]
    assert found.chips()[0].rest == '-age:<5m "no such user" "refused"'
    values: dict[str, Any] = {"queue": lambda: "mail-1", "age": lambda: 400.0}
    assert found.keeps(values, lambda: "Refused: No such user", NOW)
    assert not found.keeps(values, lambda: "Refused", NOW)


@pytest.mark.parametrize("text", ["nobody:x", "payloads.x:1", "age:>soon", "age:1..x", "a:1 " * 40])
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(Refused):
        read_filter(text, NAMES, NOW)


def test_a_path_into_a_payload() -> None:
    payload = {"items": [{"sku": 1}, {"sku": [2, True]}], "none": None, "a": {"b": "c"}}
    assert payload_at(payload, "payload.items.sku") == ["1", "2", "true"]
    assert payload_at(payload, "payload.none") == ["null"]
    assert payload_at(payload, "payload.a") == payload_at("text", "payload.x") == []


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("card", True),
        ("card_number", True),
        ("cardNumber", True),
        ("X-Api-Key", True),
        ("accessToken", True),
        ("PASSWORD", True),
        ("discard", False),
        ("cardinality", False),
        ("last4", False),
        ("eMail", True),
        ("mailing", False),
    ],
)
def test_names_that_are_hidden(name: str, hidden: bool) -> None:
    assert Hiding(["mail", "e-mail"]).hides(name) == hidden


def test_hidden_values_are_found_where_they_are_quoted() -> None:
    hiding = Hiding()
    body = {"a": [{"token": {"x": "abcd1234"}}], "pin": 1, "password": 12}
    assert hiding.values(body).taken_out("abcd1234 1 12 x") == "…hidden… 1 12 x"
    text = "Bad: abcd1234 token=ab.c, Authorization: Bearer xyz; 'password': 'it\\'s' user=me"
    shown = hiding.quoted(text, hiding.values(body))
    for secret in ("abcd1234", "ab.c", "xyz", "it\\'s"):
        assert secret not in shown
    assert "user=me" in shown
    deep: Any = "x"
    for _ in range(3000):
        deep = [deep]
    assert hiding.shown(deep)
    code = write_payload('{"token": "<x>", "n": [1, null, {}], "t": "<b>\\u202e"}', hiding)
    assert code.hidden == 1
    assert "&lt;b&gt;" in code.html
    assert "\u202e" not in code.html
    assert write_payload(json.dumps(["x" * 100] * 1000), hiding).cut
    assert write_payload('{"a": "' + "y" * 90_000 + '"}', hiding).cut
    assert write_payload("[" * 100_000, hiding).html


def test_a_traceback_marks_what_is_ones_own() -> None:
    text = (
        'Traceback (most recent call last):\n  File "/x/taskflow/worker/execute.py", line 1, in f\n'
        '    run()\n  File "/srv/a.py", line 2, in g\n    <b>\n'
        '  File "/usr/lib/python3.11/json.py", line 3, in h\n    x\nValueError: <no>'
    )
    html = write_traceback(text)
    assert '<span class="own">/srv/a.py:2  in g</span>' in html
    assert 'class="lib"' in html
    assert "execute.py" not in html
    assert "&lt;no&gt;" in html


@pytest.mark.parametrize(
    ("number", "text"),
    [(1840, "1,840"), (118.4, "118"), (24.81, "24.8"), (0.05, "0.05"), (0, "0"), (None, "–")],
)
def test_numbers(number: float | None, text: str) -> None:
    assert write_number(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.009, "9 ms"),
        (0.0016, "1.6 ms"),
        (5.02, "5.02 s"),
        (41.0, "41 s"),
        (372, "6 min 12 s"),
        (8940, "2 h 29 min"),
        (248400, "2 d 21 h"),
        (259200 + 7200, "3 d"),
        (0, "0 s"),
        (None, "–"),
    ],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert write_span(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW - 60, ">12:47:52<"),
        (NOW - 86400, ">26 Nov 12:48<"),
        (NOW - 400 * 86400, ">23 Oct 2025<"),
        (-5.0, "-5.0"),
        (1e300, "1e+300"),
        (None, "–"),
    ],
)
def test_moments(moment: float | None, text: str) -> None:
    assert text in str(write_moment(moment, NOW)).replace("\N{NO-BREAK SPACE}", " ")


def test_shares() -> None:
    assert [write_percent(1, 0), write_percent(0, 5), write_percent(5, 5)] == [
        "–",
        "0\N{NO-BREAK SPACE}%",
        "100\N{NO-BREAK SPACE}%",
    ]


def test_pages_do_not_slip_when_rows_come_and_go() -> None:
    rows = {f"q{i}": float(i % 5) for i in range(20)}
    for sort in (Sort("x", True), Sort("x", False)):
        seen: list[str] = []
        after = ""
        here = dict(rows)
        while True:
            page, _, after = sorted_page(
                list(here.items()), sort, lambda row: row[1], lambda row: row[0], after, 3
            )
            seen += [name for name, _ in page]
            if not after:
                break
            here.pop(page[-1][0])  # the row that the page ended with goes
            here[f"new{len(seen)}"] = 9.0 if sort.down else -9.0  # and one comes before it
        assert sorted(seen) == sorted(rows)


def test_a_chart_has_gaps_and_says_what_it_shows() -> None:
    line = Line("in", "sent", [1.0, 2.0, None, 3.0, 4.0])
    html = chart([line], ["a", "b", "c", "d", "<e>"], 'says "it"')
    assert html.count('<path class="in"') == 2
    assert "says &#34;it&#34;" in html
    assert "<e>" not in html
    assert " style=" not in html
    assert not chart([Line("in", "sent", [None, 1.0])], ["a", "b"], "x")
    assert not spark([0.0, 0.0])
    assert 'class="spark bad"' in spark([0.0, 3.0], True)
