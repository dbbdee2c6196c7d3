"""Workspaces with scores, and pages run without a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from eval.store.workspace import Workspace
from tests.dashboard.results.filled_workspace import fill
from tests.dashboard.results.voted_workspace import declare, vote

PageRun = Callable[..., AppTest]

_SCRIPT = """
from pathlib import Path

from dashboard.results.{page} import show
from eval.store.workspace import Workspace

show(Workspace(Path({root!r})))
"""


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture(scope="session")
def filled_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a workspace of three systems and twelve cases; tests only read it."""
    root = tmp_path_factory.mktemp("filled") / "ws"
    fill(root).database.close()
    return root


@pytest.fixture(scope="session")
def voted_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a filled workspace with a campaign of scripted votes; tests only read it."""
    root = tmp_path_factory.mktemp("voted") / "ws"
    with fill(root) as workspace:
        vote(workspace, declare(workspace), comment="the left one blinks")
    return root


@pytest.fixture
def filled(filled_root: Path) -> Iterator[Workspace]:
    """The same workspace, open."""
    with Workspace(filled_root) as workspace:
        yield workspace


@pytest.fixture
def run_page() -> PageRun:
    """Run a page of results over a workspace's folder, with an address's query."""

    def run(page: str, root: Path, **query: str | list[str]) -> AppTest:
        test = AppTest.from_string(_SCRIPT.format(page=page, root=str(root)), default_timeout=60)
        for name, value in query.items():
            test.query_params[name] = value
        test.run()
        assert not test.exception, [entry.value for entry in test.exception]
        return test

    return run
