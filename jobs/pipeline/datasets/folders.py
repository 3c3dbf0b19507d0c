"""Folders as data sets have them: what lies in them, by name."""

from __future__ import annotations

from pathlib import Path

from jobs.pipeline.errors import CallError


def require_folders(source: str, kind: str, *within: str) -> Path:
    """The directory of a data set that is of a kind's layout.

    Args:
        source: as the call gives it.
        within: folders that it has to have.

    Raises:
        CallError: it is not there, or has not all of them.
    """
    folder = Path(source).expanduser()
    try:
        if not folder.is_dir():
            raise CallError(f"source={source}: no such directory")
        lacking = [f"{name}/" for name in within if not (folder / name).is_dir()]
    except OSError as error:
        raise CallError(f"source={source}: {error.strerror}: {error.filename}") from error
    if lacking:
        there = names_in(folder)
        raise CallError(
            f"source={source}: not of the layout of kind={kind}: it has no {', '.join(lacking)}"
            f" (there are: {', '.join(there[:9]) or 'no files'}{', ...' * (len(there) > 9)})"
        )
    return folder


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, in name order, but for what begins with a dot; nothing where there is
    no such folder.

    Raises:
        CallError: it cannot be listed.
    """
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CallError(f"{folder}: {error.strerror}") from error


def text_in(path: Path) -> str | None:
    """What a text file says; None where there is none, or no text in it.

    Raises:
        CallError: it is there and cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig").strip() or None
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise CallError(f"{path}: {error.strerror}") from error
