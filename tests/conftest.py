"""What tests share: small real checkpoints, and the photos where they are there."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from jobs.demo.world.checkpoint import write_random_checkpoint
from masc_core.torchvision_compat import make_torchvision_importable
from tests.commands import SUBMITTED, Run, here_asking
from tests.guard.sitecustomize import REFUSALS
from tests.joining import joining
from tests.photos import WHY_NOT, Photo, are_there, by_subject

# Ray asks for a token; from the environment every process of every cluster here has the same.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

# Ray starts workers before anybody asks for one, and most are never asked: a good part of the time
# of many small clusters and jobs. Those that are started here, or by a command, read it.
os.environ.setdefault("RAY_enable_worker_prestart", "0")
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")

# Where stderr is no terminal log lines are documents, which are a test of their own.
os.environ.setdefault("LOG_FORMAT", "text")

# A busy machine is no failure, and the same commit gives the same answer each time. The search for
# examples that nobody has tried is `make soak`'s.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same-each-time", patient, derandomize=True)
settings.register_profile("search", patient, derandomize=False, max_examples=3000)
settings.load_profile("same-each-time")

# The authors' package imports transformers by itself, so torchvision has to be importable first.
make_torchvision_importable()


GUARD = Path(__file__).parent / "guard"

LONG = ("services", "slow")
"""Marks of tests that take long, the longest first."""

refusals = pytest.StashKey[Path]()
"""The file in which an item's are noted."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who uses the shared cluster need not say that it starts one; and long files come first.

    Where several processes share the files, none should begin a long one at the end.
    """
    for item in items:
        if "cluster_address" in getattr(item, "fixturenames", ()):
            item.add_marker("services")
        if item.get_closest_marker("comparators") and "MASC_COMPARATORS" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="takes long; `make comparators` runs it"))
    joining.note(items)
    marked = {mark: {item.path for item in items if item.get_closest_marker(mark)} for mark in LONG}
    items.sort(
        key=lambda item: (
            item.path not in marked["services"],
            # Next to one another they share a worker.
            joining.is_shared_by(item),
            item.path not in marked["slow"],
        )
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What is not marked `services` is guarded, and so are the processes that it starts."""
    if not joining.is_shared_by(item):
        joining.leave()
    if item.get_closest_marker("services"):
        return (yield)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        item.stash[refusals] = Path(folder) / "refusals"
        patch.setenv(REFUSALS, str(item.stash[refusals]))
        patch.setenv("PYTHONPATH", str(GUARD), prepend=os.pathsep)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A refusal fails the test, also in a process of which the test saw only that it failed."""
    result = yield
    noted = item.stash.get(refusals, None)
    if noted and noted.exists():
        pytest.fail(f"a test that is not marked `services` {noted.read_text().strip()}")
    return result


@pytest.fixture(scope="session")
def photos() -> dict[str, list[Photo]]:
    """Photos by subject, each subject's own in order."""
    if not are_there():
        pytest.skip(WHY_NOT)
    return by_subject()


@pytest.fixture(scope="session")
def naflex_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SigLIP2 NaFlex checkpoint. The oracle tells NaFlex by the name, so it has it."""
    path = tmp_path_factory.mktemp("checkpoints") / "tiny-naflex"
    write_random_checkpoint(path, naflex=True, hidden_size=64, layers=3, heads=4)
    return path


@pytest.fixture(scope="session")
def fixed_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small fixed-size SigLIP checkpoint."""
    path = tmp_path_factory.mktemp("checkpoints") / "tiny-fixed"
    write_random_checkpoint(path, naflex=False, image_size=160, hidden_size=48, layers=2, heads=3)
    return path


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards and `run`, of two models and with a second mask. Not to be changed."""
    from tests.pages.scored import score, write_shards  # which take seconds to import

    folder = write_shards(tmp_path_factory.mktemp("scored"))
    score(folder, folder / "run", "metric.masks=[given,erode:6]", "metric.extra=[cp.leak]")
    return folder


@pytest.fixture(scope="session")
def cluster_address() -> Iterator[str]:
    """A Ray cluster of one node with two cores, which the tests share.

    Commands join it as submitted jobs do, whose code is there: to bring ours takes each of them
    seconds.
    """
    from ray.cluster_utils import Cluster  # not before the environment is set

    os.environ[SUBMITTED] = "{}"

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(scope="module")
def on_cluster(cluster_address: str) -> Iterator[None]:
    """This process is on the cluster: a command that is called here need not join it."""
    import ray

    ray.init(cluster_address, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def left_at_the_end(cluster_address: str) -> Iterator[str]:
    """The address of the cluster, which this process leaves before it ends."""
    yield cluster_address
    joining.leave()


@pytest.fixture(scope="module")
def joined_here(left_at_the_end: str) -> None:
    """The same, with workers that outlast a command, and this file where the next asks for them: to
    start one takes seconds. Where one has a core, one of another process has room beside it."""
    joining.join(left_at_the_end)


@pytest.fixture
def evaluate(joined_here: None, naflex_checkpoint: Path, tmp_path: Path) -> Callable[..., Run]:
    """`jobs.evaluate` with the small encoder, on `tmp_path`'s shards, into `tmp_path/run`.

    Another cluster is asked for as by a process that has joined none.
    """

    def call(*words: str) -> Run:
        return here_asking(
            "evaluate",
            f"samples={tmp_path}/generations-*.tar",
            f"references={tmp_path}/references-*.tar",
            f"run={tmp_path}/run",
            f"encoder.name_or_path={naflex_checkpoint}",
            *("encoder.max_num_patches=64", "workers.cpus=1", *words),
        )

    return call
