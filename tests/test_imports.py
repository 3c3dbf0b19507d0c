"""What may import what, and what a file may be; read from the source, and nothing of it is run."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = (
    {"masc_core"},
    {"jobs.pipeline.errors", "jobs.pipeline.networks", "jobs.pipeline.threads"},
    {"jobs.pipeline.storage"},
    {"jobs.pipeline.command"},
    {"jobs.pipeline.shards"},
    {"jobs.pipeline.run"},
    {
        "jobs.pipeline.cluster",
        "jobs.pipeline.scoring",
        "jobs.pipeline.segmenting",
        "jobs.pipeline.results",
        "jobs.pipeline.datasets",
    },
    {"jobs.pipeline.nights"},
    {"jobs.pipeline"},
    {"jobs.pipeline.paper"},
    {"jobs.pages"},
    {"jobs.demo"},
    {"jobs"},
    {"jobs.__main__"},
)
"""The rooms from the ground up: each imports only what lies below it, and none beside it.

A room is a package or a module; its name also stands for what lies in it and in no room of its own,
so `jobs.pipeline` is the top floor of the pipeline, and `jobs` are the commands.
"""

COMMANDS = "jobs"

OUTSIDE_THE_METRIC = {"ray", "webdataset", "fsspec", "omegaconf", "pyarrow", "jobs"}

MOST_LINES = 400

# fmt: off
WEAK_NAMES = {
    "Claim", "Hand", "Taken", "_rouse", "_stands", "album", "beats", "further_metrics", "glance",
    "hands", "homes", "lay_out", "may_pass", "put_down", "reliably", "without_credentials",
}
"""That a stranger of the field would not guess; each has a better one."""
# fmt: on


CODE_IN_A_TEXT = r"""["'].*?\b(?:from|import) ((?:jobs|masc_core)\b[\w.]*)"""


class When(Enum):
    """When an import is carried out."""

    AT_ONCE = auto()
    IN_A_CALL = auto()
    NEVER = auto()
    """Under TYPE_CHECKING."""


@dataclass(frozen=True)
class Import:
    """One module that another names."""

    importer: str
    line: int
    imported: str
    when: When

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name of a module, or of the package whose `__init__` it is."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Of the project, by dotted name."""
    return {name_of(path): path for path in python_files("jobs", "masc_core")}


@cache
def imports() -> list[Import]:
    """All of the project, of its own modules and of others."""
    return [
        found
        for name, path in modules().items()
        for found in in_node(ast.parse(path.read_text()), name, When.AT_ONCE, set(modules()))
    ]


def in_node(node: ast.AST, importer: str, when: When, known: set[str]) -> Iterator[Import]:
    """The imports in a part of a module; `known` tells a module in a package from another name."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(importer, node.lineno, alias.name, when)
    elif isinstance(node, ast.ImportFrom):
        assert node.module, f"{importer}:{node.lineno}: a relative import"
        assert node.level == 0, f"{importer}:{node.lineno}: a relative import"
        for alias in node.names:
            module = f"{node.module}.{alias.name}"
            yield Import(importer, node.lineno, module if module in known else node.module, when)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for child in node.body:
            yield from in_node(child, importer, When.NEVER, known)
        for child in node.orelse:
            yield from in_node(child, importer, when, known)
    else:
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        inside = When.IN_A_CALL if is_function and when is When.AT_ONCE else when
        for child in ast.iter_child_nodes(node):
            yield from in_node(child, importer, inside, known)


def room_of(module: str) -> str | None:
    """The innermost room that a module lies in; None for what is not the project's."""
    if module.endswith(".__main__") and module != "jobs.__main__":
        return COMMANDS
    while module:
        if any(module in floor for floor in FLOORS):
            return module
        module = module.rpartition(".")[0]
    return None


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def goes_up(found: Import) -> bool:
    """Whether it leaves its room for another that is not below it."""
    importer, imported = room_of(found.importer), room_of(found.imported)
    if importer is None or imported is None or importer == imported:
        return False
    return floor_of(imported) >= floor_of(importer)


def assert_none(found: Iterable[object]) -> None:
    """Nothing is found; what is, stands in the message line by line."""
    lines = sorted(map(str, found))
    assert not lines, "\n".join(["", *lines])


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports():
        if found.when is When.AT_ONCE and found.imported in graph:
            graph[found.importer].add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_metric_knows_nothing_of_ray_tar_files_or_storage() -> None:
    assert_none(
        found
        for found in imports()
        if room_of(found.importer) == "masc_core"
        and found.imported.partition(".")[0] in OUTSIDE_THE_METRIC
    )


def test_what_runs_shard_jobs_knows_no_metric() -> None:
    assert_none(
        found
        for found in imports()
        if room_of(found.importer) == "jobs.pipeline.cluster"
        and room_of(found.imported) in ("masc_core", "jobs.pipeline.scoring")
    )


def test_no_command_imports_another() -> None:
    assert_none(
        found
        for found in imports()
        if room_of(found.importer) == room_of(found.imported) == COMMANDS
    )


def test_a_room_imports_only_rooms_below_it() -> None:
    assert_none(found for found in imports() if goes_up(found))


def test_every_folder_of_the_pipeline_is_a_room() -> None:
    folders = {path.parent.name for path in (ROOT / "jobs" / "pipeline").glob("*/__init__.py")}
    assert folders <= {room.rpartition(".")[2] for floor in FLOORS for room in floor}


def test_directly_among_the_jobs_lie_commands_and_nothing_else() -> None:
    jobs = ROOT / "jobs"
    commands = [path for path in jobs.glob("*.py") if not path.stem.startswith("__")]
    commands += [path.with_name("__init__.py") for path in jobs.glob("*/__main__.py")]
    assert_none(path.relative_to(ROOT) for path in commands if not has_main(path))


def has_main(path: Path) -> bool:
    return any(
        isinstance(node, ast.FunctionDef) and node.name == "main"
        for node in ast.parse(path.read_text()).body
    )


def test_no_file_has_more_lines_than_one_subject_needs() -> None:
    lengths = {
        path.relative_to(ROOT): len(path.read_text().splitlines())
        for path in python_files("jobs", "masc_core", "tests")
    }
    assert_none(f"{path}: {n} lines" for path, n in lengths.items() if n > MOST_LINES)


def test_no_name_is_one_that_a_stranger_would_not_guess() -> None:
    found = set()
    for path in python_files("jobs", "masc_core", "tests"):
        with path.open("rb") as file:
            found |= {
                f"{path.relative_to(ROOT)}: {token.string}"
                for token in tokenize.tokenize(file.readline)
                if token.type == tokenize.NAME and token.string in WEAK_NAMES
            }
    assert_none(found)


def test_code_within_texts_imports_modules_that_are_there() -> None:
    """Tests hand it to other processes; when a module moves, no tool renames it there."""
    assert_none(
        f"{path.relative_to(ROOT)}: {module}"
        for path in python_files("tests")
        for module in re.findall(CODE_IN_A_TEXT, path.read_text())
        if module not in modules()
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import house.a", ("house.a", When.AT_ONCE)),
        ("from house import a", ("house.a", When.AT_ONCE)),
        ("from house.a import name", ("house.a", When.AT_ONCE)),
        ("try:\n    import ray.util\nexcept ImportError: pass", ("ray.util", When.AT_ONCE)),
        ("class A:\n    import ray", ("ray", When.AT_ONCE)),
        ("def f():\n    if True:\n        import ray", ("ray", When.IN_A_CALL)),
        ("if TYPE_CHECKING:\n    import ray", ("ray", When.NEVER)),
        ("if typing.TYPE_CHECKING: pass\nelse:\n    import ray", ("ray", When.AT_ONCE)),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, expected: tuple[str, When]) -> None:
    [found] = in_node(ast.parse(source), "house.b", When.AT_ONCE, {"house", "house.a", "house.b"})
    assert (found.imported, found.when) == expected


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("jobs.pipeline.run.lease", "jobs.pipeline.storage.retry", False),
        ("jobs.pipeline.run.lease", "jobs.pipeline.run.directory", False),
        ("jobs.pipeline.run.lease", "jobs.pipeline.cluster.driver", True),
        ("jobs.pipeline.cluster.driver", "jobs.pipeline.results.summary", True),
        ("jobs.pipeline.run.lease", "jobs.pipeline.evaluation", True),
        ("jobs.pipeline.evaluation", "jobs.pipeline.run.lease", False),
        ("jobs.evaluate", "jobs.pipeline.evaluation", False),
        ("jobs.pipeline.evaluation", "jobs.evaluate", True),
        ("jobs.demo.__main__", "jobs.demo", False),
        ("masc_core.metric", "jobs.pipeline.errors", True),
        ("masc_core.metric", "torch", False),
    ],
)
def test_the_way_of_an_import_is_told_by_its_rooms(
    importer: str, imported: str, expected: bool
) -> None:
    assert goes_up(Import(importer, 1, imported, When.AT_ONCE)) == expected
