"""This process's place on the tests' cluster, kept from one file of tests to the next."""

from __future__ import annotations

from contextlib import ExitStack

import pytest


class Joining:
    """On the cluster, with workers that outlast commands: to start one takes seconds, so that files
    which follow one another share them."""

    def __init__(self) -> None:
        """Joined to none."""
        self._to_undo = ExitStack()
        self._joined: str | None = None
        self._files: frozenset[str] = frozenset()

    def note(self, items: list[pytest.Item]) -> None:
        """Which files share it: those with a test that asks for `joined_here`."""
        own = (item for item in items if "joined_here" in getattr(item, "fixturenames", ()))
        self._files = frozenset(str(item.path) for item in own)

    def is_shared_by(self, item: pytest.Item) -> bool:
        """Whether the file of a test shares it."""
        return str(item.path) in self._files

    def join(self, address: str) -> None:
        """Join, where this process has not."""
        if self._joined:
            return
        import ray  # not before the environment is set

        from jobs.pipeline.cluster.kept_workers import workers_kept

        ray.init(address, logging_level="ERROR")
        self._to_undo.callback(ray.shutdown)
        self._to_undo.enter_context(workers_kept())
        self._joined = address

    def make_room(self) -> None:
        """End the workers that wait, for another process on the cluster, or for larger ones."""
        from jobs.pipeline.cluster.kept_workers import kept_workers

        workers = kept_workers()
        assert workers is not None, "make_room() is for who has joined"
        workers.end()

    def leave(self) -> None:
        """End the workers and leave: others have room then, and this process may join another."""
        self._joined = None
        self._to_undo.close()


joining = Joining()
