"""The flowchart: every node is declared once, every edge joins two of them."""

import re

from taskflow import Registry
from taskflow.export import export
from tests.taskflow.export.conftest import QUEUES, TOPICS

NODE = re.compile(r'    (\w+)(\(\[|\[\(|\[\[)"(.*)"(\]\)|\)\]|\]\])')
EDGE = re.compile(r'    (\w+) (?:-->(?:\|"[^"]*"\|)?|-\. "[^"]*" \.->) (\w+)')


def test_it_is_a_graph_of_everything(registry: Registry) -> None:
    head, *lines = export(registry, "mermaid").splitlines()
    assert head == "flowchart LR"
    nodes = {found[1]: found[3] for found in map(NODE.fullmatch, lines) if found}
    edges = [found.groups() for found in map(EDGE.fullmatch, lines) if found]
    assert len(nodes) + len(edges) == len(lines), "a line is neither"
    assert set(nodes.values()) >= {*TOPICS, *QUEUES, *QUEUES.values()}
    assert {end for edge in edges for end in edge} == set(nodes)
    named = {(nodes[one], nodes[other].rpartition(".")[2]) for one, other in edges}
    assert {("order.created", "audit"), ("audit", "audit-dlq"), ("audit", "record")} <= named
    assert ("order.created", "files") not in named
    assert lines.count('    queue_audit -. "after 6 attempts" .-> dlq_audit') == 1


def test_a_filter_stands_on_its_arrow_without_ending_the_text(registry: Registry) -> None:
    (line,) = [one for one in export(registry, "mermaid").splitlines() if "shop" in one]
    assert line.count('"') == 2
    assert "#quot;shop#quot;" in line
