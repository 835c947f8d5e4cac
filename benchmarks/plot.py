"""The figures as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.catalog import BY_NAME
from benchmarks.results import Results

PANELS = (
    ("a", "rate", "(a) drain, messages/s"),
    ("a", "cpu_per_1000", "(a) CPU s per 1,000 messages"),
    ("b", "one_rate", "(b) enqueue one by one, messages/s"),
    ("b", "batches_rate", "(b) enqueue in batches, messages/s"),
    ("d", "p50_ms", "(d) hand-over, median in ms"),
    ("h", "rss_mb", "(h) memory of a worker, MB"),
    ("j", "rate", "(j) tasks with results kept, tasks/s"),
    ("k", "p50_ms", "(k) send, run, get: median in ms"),
    ("m", "rate", "(m) chord, members/s"),
)
TITLES = {name: peer.title for name, peer in BY_NAME.items()}


def draw(
    results: Results,
    path: Path,
    panels: Sequence[tuple[str, str, str]] = PANELS,
    titles: Mapping[str, str] = TITLES,
) -> bool:
    """Write an SVG; False when matplotlib is not there or nothing was measured.

    `panels` are (workload, metric, title), `titles` what the peers are called.
    """
    try:
        import matplotlib
    except ImportError:
        return False
    panels = [panel for panel in panels if results.peers(panel[0])]
    if not panels:
        return False
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "taskflow", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        (len(panels) + 1) // 2, 2, figsize=(13, 3.2 * ((len(panels) + 1) // 2)), squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (workload, metric, title) in zip(axes.flat, panels, strict=False):
        found = {
            name: spread
            for name in reversed(results.peers(workload))
            if (spread := results.find(workload, name, metric))
        }
        middles = [spread.median for spread in found.values()]
        below = [spread.median - spread.low for spread in found.values()]
        above = [spread.high - spread.median for spread in found.values()]
        colors = ["#2a6f97" if name.startswith("taskflow") else "#b0b7bd" for name in found]
        names = [titles[name] for name in found]
        axis.barh(names, middles, xerr=[below, above], color=colors, ecolor="#555555")
        axis.set_title(title, fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True
