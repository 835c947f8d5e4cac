"""Makes a picture that plays what `make demo` printed: `make recording`.

    python -m services.demo | python docs/site/recording.py docs/images/demo.svg

Every line is one of a real run, at the time that it says. Left out are the JSON of `GET /stats` and
the e-mail; long ids and paths are shortened, a wait of over a second is one of a second. An SVG
with a style sheet and no script: it follows the reader's dark or light and plays once; where motion
is not wanted, or styles are not known, it is the last screen.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

ROWS, COLUMNS = 26, 112
HEIGHT, WIDTH, EDGE = 19, 7.85, 16  # of a row, a character, the margin, in pixels
LONGEST_WAIT, END = 1.0, 1.0  # seconds
LEFT_OUT = {"GET /stats": "cli.py queues", "the e-mail": "cli.py audit verify"}
SAID = re.compile(r" *(\d+\.\d+)s  (.{14})  (.*)")
SHORTENED = [
    (re.compile(r"\b((?:ord|pay)_[0-9a-f]{6})[0-9a-f]{18}"), r"\1…"),
    (re.compile(r"sqlite:///\S*/"), "sqlite:///…/"),
    (re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b"), r"\1…"),
]
TROUBLE = re.compile(r"retry|451|402|declined|SIGKILL")
STYLE = """
svg { color-scheme: light dark; }
.paper { fill: #fbfaf7; stroke: #d8d4ca; }
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #2b2a27;
  white-space: pre; }
.time { fill: #8a867c; } .who { fill: #1f5fa8; } .demo { fill: #7a3fa0; font-weight: 600; }
.good { fill: #1c7a3d; } .bad { fill: #b3401f; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #16181c; stroke: #34383f; } text { fill: #dcd9d2; }
  .time { fill: #7d828b; } .who { fill: #7db4f0; } .demo { fill: #cf9cf0; }
  .good { fill: #6fce8e; } .bad { fill: #f08c66; }
}
@media (prefers-reduced-motion: no-preference) {
  text { animation: shown 1ms both; } @keyframes shown { from { visibility: hidden; } }
  .screen { animation: scroll DURATIONs step-end both; } @keyframes scroll { SCROLL }
}
"""


def shown(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a run that the picture has."""
    until = ""
    for line in map(str.rstrip, lines):
        if until and line != until:
            continue
        until = LEFT_OUT.get(line, "")
        if not until:
            for pattern, short in SHORTENED:
                line = pattern.sub(short, line)
            yield line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…"


def timed(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    """When each is shown: at the time that it says, or with the line before it."""
    before = at = 0.0
    for line in lines:
        if said := SAID.match(line):
            at += min(max(float(said[1]) - before, 0.0), LONGEST_WAIT)
            before = float(said[1])
        yield at, line


def parts(line: str) -> str:
    """A line as text with classes."""
    if said := SAID.match(line):
        who = "demo" if said[2].startswith("demo") else "who"
        what = ' class="bad"' if TROUBLE.search(said[3]) else ""
        return (
            f'<tspan class="time">{said[1]:>7}s  </tspan><tspan class="{who}">{said[2]}  </tspan>'
            f"<tspan{what}>{escape(said[3])}</tspan>"
        )
    good = ' class="good"' if line.lstrip().startswith("✓") else ""
    return f"<tspan{good}>{escape(line)}</tspan>"


def picture(lines: Iterable[str]) -> str:
    """The SVG."""
    played = list(timed(shown(lines)))
    lasts = played[-1][0] + END
    texts, scroll, top = [], {}, 0
    for row, (at, line) in enumerate(played):
        y = EDGE + HEIGHT * (row + 0.75)
        if line:
            texts.append(
                f'<text x="{EDGE}" y="{y:g}" style="animation-delay:{at:.2f}s" '
                f'xml:space="preserve">{parts(line)}</text>'
            )
        top = max(0, row + 1 - ROWS) * HEIGHT
        scroll[f"{100 * at / lasts:.2f}%"] = top
    scroll["100%"] = top
    frames = " ".join(f"{at}{{transform:translateY({-y}px)}}" for at, y in scroll.items())
    style = STYLE.replace("DURATION", f"{lasts:.2f}").replace("SCROLL", frames)
    width, height = int(COLUMNS * WIDTH + 2 * EDGE), ROWS * HEIGHT + 2 * EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="What make demo prints"><style>{style}</style>'
        f'<rect class="paper" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>'
        f'<svg y="{EDGE}" width="{width - EDGE}" height="{ROWS * HEIGHT}"><g transform='
        f'"translate(0 {-EDGE})"><g class="screen" transform="translate(0 {-top})">\n'
        + "\n".join(texts)
        + "\n</g></g></svg></svg>\n"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(sys.stdin))
