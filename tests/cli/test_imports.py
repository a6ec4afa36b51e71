"""Garbage is collected again after the imports, whatever happened in them."""

import gc

import pytest

from agentstead.cli.imports import quick_imports


def test_collection_rests_inside_and_goes_on_afterwards() -> None:
    try:
        with quick_imports():
            assert not gc.isenabled()
        assert gc.isenabled()
        with pytest.raises(ImportError), quick_imports():
            raise ImportError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
