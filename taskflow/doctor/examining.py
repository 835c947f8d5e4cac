"""All rules, on what was found."""

from collections.abc import Collection, Sequence

from taskflow.doctor.facts import Facts
from taskflow.doctor.machine_rules import check_machine
from taskflow.doctor.rule import SEVERITIES, Finding
from taskflow.doctor.rules import RULES
from taskflow.doctor.running_rules import check_running
from taskflow.doctor.time_rules import check_times
from taskflow.doctor.wiring_rules import check_wiring
from taskflow.errors import ConfigError


def examine(facts: Facts, ignored: Collection[str] = ()) -> Sequence[Finding]:
    """What will go wrong, the worst first, then by number. `ignored` are numbers, or a number and
    what it is about (`TF305:queue audit-dlq`). Raises ConfigError for a number that no rule has."""
    for one in ignored:
        if one.partition(":")[0] not in RULES:
            raise ConfigError(
                f"no rule has the number {one!r}; `taskflow doctor --rules` lists them"
            )
    found = [
        one
        for check in (check_times, check_wiring, check_running, check_machine)
        for one in check(facts)
        if one.number not in ignored and f"{one.number}:{one.about}" not in ignored
    ]
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.number, one.about))
