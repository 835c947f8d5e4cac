"""The notes of runs, read while they are being written."""

from pathlib import Path

from benchmarks import probe


def test_a_run_counted_while_it_was_noted_has_its_number_in_the_end(tmp_path: Path) -> None:
    """A read may see the end of a record that is being written, and not yet its beginning."""
    file = tmp_path / "1"
    runs = [probe.Record(number, 1.0, 2.0, 3.0) for number in (7, 8)]
    torn = runs[1]._replace(number=0)
    file.write_bytes(b"".join(probe._LAYOUT.pack(*run) for run in (runs[0], torn)) + bytes(64))
    records = probe.Records(tmp_path)
    assert records.count() == 2
    with file.open("r+b") as written:
        written.write(b"".join(probe._LAYOUT.pack(*run) for run in runs))
    assert records.all() == runs
