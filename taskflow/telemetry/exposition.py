"""Families of metrics as the text that Prometheus reads, and those of several processes as one.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from taskflow.telemetry.family import Family, Sample

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def write_families(families: Iterable[Family]) -> bytes:
    """The text format 0.0.4. A family without samples is left out."""
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        lines += [
            f"# HELP {family.name} {family.help}",
            f"# TYPE {family.name} {family.kind}",
        ]
        lines += [_line(family.name + one.suffix, one) for one in family.samples]
    return ("\n".join(lines) + "\n").encode()


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{key}="{escape_label(value)}"' for key, value in sample.labels.items())
    return (
        f"{name}{{{labels}}} {number(sample.value)}" if labels else f"{name} {number(sample.value)}"
    )


def number(value: float) -> str:
    """A sample's value, or a bucket's bound."""
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return "+Inf" if value == float("inf") else repr(value)


def escape_label(text: str) -> str:
    """A label's value as it stands between quotes."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def merge(processes: Mapping[str, Sequence[Family]]) -> list[Family]:
    """The families of several processes, each once. Samples have the process as a label, but for
    what is shared, of which the first process that says it is heard."""
    found: dict[str, Family] = {}
    for process, families in processes.items():
        for family in families:
            before = found.get(family.name)
            if family.shared:
                if before is None or not before.samples:
                    found[family.name] = family
                continue
            samples = [
                Sample({"process": process, **one.labels}, one.value, one.suffix)
                for one in family.samples
            ]
            known = () if before is None else before.samples
            found[family.name] = msgspec.structs.replace(family, samples=[*known, *samples])
    return list(found.values())
