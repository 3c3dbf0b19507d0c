"""What the site has beside docs/: pages of other folders, and every command's --help."""

from __future__ import annotations

import io
import posixpath
import re
import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

from mkdocs.structure.files import File

from jobs.__main__ import find_commands

ROOT = Path(__file__).parents[1]

ELSEWHERE = {
    "conf/README.md": "recipes.md",
    "launch/README.md": "launch.md",
    "launch/SCALING.md": "scaling.md",
    "jobs/README.md": "map.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages that lie where they are needed, by what they are called in the site."""

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def on_files(files, config):
    """Add the pages that are not in docs/."""
    for path, name in ELSEWHERE.items():
        page = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=linked(page, posixpath.dirname(path))))
    files.append(File.generated(config, "commands.md", content=commands_page()))
    return files


def on_page_markdown(markdown, **_):
    """Let links to those pages lead to them."""
    return linked(markdown)


def linked(page: str, folder: str = "docs") -> str:
    """The page with its links to other folders as the site has them.

    Args:
        folder: where the page lies in the repository; "" is its root.
    """

    def in_site(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, found[1]))
        return f"]({ELSEWHERE.get(path, path.removeprefix('docs/'))}"

    return LINK.sub(in_site, page)


def commands_page(names: list[str] | None = None) -> str:
    """Each command's --help, as it prints it."""
    names = list(find_commands()) if names is None else names
    return "# Every command\n\n" + "\n".join(map(help_of, names))


def help_of(name: str) -> str:
    """One command's part of the page."""
    printed, words = io.StringIO(), sys.argv
    sys.argv = [f"masc-eval {name}", "--help"]
    try:
        with redirect_stdout(printed):
            import_module(f"jobs.{name}").main()
    finally:
        sys.argv = words
    return f"## {name}\n\n```text\n{printed.getvalue().strip()}\n```\n"
