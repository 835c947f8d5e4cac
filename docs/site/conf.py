"""The site that `make docs` builds, out of the pages as they lie in the repository.

The pages are plain Markdown with relative links, as code hosts show them; nothing in them is for
Sphinx alone. What is left to say is said here: which files are pages, that the sidebar is what
docs/index.md links to, and where links to files that are no pages lead.
"""

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
INDEX = "docs/index"
FILES = os.environ.get("DOCS_FILES", "")
"""Where files that are no pages can be seen, `https://HOST/OWNER/PROJECT/blob/main/`; without it
they are downloads, and folders are names."""

project = "taskflow"
extensions = ["myst_parser"]
root_doc = INDEX
include_patterns = [
    "*.md",
    "docs/**.md",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "tests/clients/README.md",
]
WITH_PAGES = {pattern.split("/")[0] for pattern in include_patterns}
exclude_patterns = [
    *(one.name for one in ROOT.iterdir() if one.is_dir() and one.name not in WITH_PAGES),
    "tests/clients/node/node_modules",
]
myst_heading_anchors = 4
nitpicky = True
html_theme = "furo"
html_title = "taskflow"
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
templates_path = ["."]
html_additional_pages = {"index": "front.html"}  # whoever opens the site's folder gets to INDEX

HEADING = re.compile(r"^## (.+)$")
LINK = re.compile(r"\]\(([^)#:\s]+\.md)(?:#[^)]*)?\)")


def sidebar(index: str, pages: set[str]) -> str:
    """A table of contents for each heading of the index, of the pages that it links to, each where
    it stands first. A guide or a decision that the index does not name goes to the last one, as
    guides.md and decisions/index.md would have it; any other is an orphan, and Sphinx says so."""
    parts: dict[str, list[str]] = {}
    seen, caption = {INDEX}, ""
    for line in index.splitlines():
        if heading := HEADING.match(line):
            caption = heading[1]
        for link in LINK.findall(line):
            page = os.path.normpath(f"docs/{link}").removesuffix(".md")
            if page not in seen and caption:
                seen.add(page)
                parts.setdefault(caption, []).append(page)
    unnamed = {page for page in pages - seen if page.startswith("docs/guides/")}
    if unnamed:
        parts["More guides"] = sorted(unnamed)
    parts["Decisions"] = sorted(page for page in pages if page.startswith("docs/decisions/0"))
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n"
        + "\n".join(f"/{page}" for page in listed)
        + "\n```\n"
        for caption, listed in parts.items()
    )


def add_sidebar(app: Sphinx, page: str, source: list[str]) -> None:
    if page == INDEX:
        source[0] += sidebar(source[0], app.env.found_docs)


def lead_links(app: Sphinx, tree: nodes.document) -> None:
    """Links to files and folders that are no pages lead to where FILES says. One to what is not
    there stays as it is: Sphinx warns of it."""
    found = [*tree.findall(addnodes.download_reference), *tree.findall(addnodes.pending_xref)]
    for link in found:
        if link.get("refdomain"):
            continue
        target = Path(app.env.relfn2path(link["reftarget"], app.env.docname)[1])
        if FILES and target.exists():
            place = FILES + str(target.resolve().relative_to(ROOT))
            link.replace_self(nodes.reference("", "", *link.children, refuri=place))
        elif target.is_dir():
            link.replace_self(nodes.inline("", "", *link.children))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_lexer("mermaid", TextLexer)  # code hosts draw it; beside it stands the same as text
    app.connect("source-read", add_sidebar)
    app.connect("doctree-read", lead_links, priority=400)  # before downloads are collected
    return {"parallel_read_safe": True, "parallel_write_safe": True}
