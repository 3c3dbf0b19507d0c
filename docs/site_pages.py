"""What the site has beside docs/: pages of other folders, and every command's --help."""

from __future__ import annotations

import io
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


def on_files(files, config):
    """Add the pages that are not in docs/."""
    for path, name in ELSEWHERE.items():
        page = (ROOT / path).read_text(encoding="utf-8")
        content = linked(page, Path(path).parent)
        files.append(File.generated(config, name, content=content))
    files.append(File.generated(config, "commands.md", content=commands_page()))
    return files


def on_page_markdown(markdown, **_):
    """Let links to those pages lead to them."""
    return linked(markdown)


def linked(page: str, folder: Path = Path("docs")) -> str:
    """A page of a folder with its links to others as the site has them."""
    for path, name in ELSEWHERE.items():
        # Beside it a page goes by its name alone.
        beside = f"|{re.escape(Path(path).name)}" if Path(path).parent == folder else ""
        page = re.sub(rf"\]\((?:(?:\.\./)*{re.escape(path)}{beside})(?=[)#])", f"]({name}", page)
    return re.sub(r"\]\((?:\.\./)*docs/", "](", page)


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
