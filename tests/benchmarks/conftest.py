"""Puppet suites of these tests are written into a temporary cache, not into the user's."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def suite_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache as it is, also from commands in processes of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOYSTREAMER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
