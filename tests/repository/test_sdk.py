"""The tap does not need what the next versions of the Singer SDK change or drop."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support.singer import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STREAMS = [*ROOT.glob("tap_zoho_bulk/streams/*.py"), ROOT / "tap_zoho_bulk/sdk_overrides.py"]
PACKAGE = [*ROOT.glob("tap_zoho_bulk/**/*.py")]


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_no_event_is_logged_with_a_streams_own_logger(file: Path) -> None:
    """From 0.55 on, below Python 3.13, it drops `extra`, and so the event."""
    tree = ast.parse(file.read_text(encoding="utf-8"))

    assert list(events_of_own_logger(tree)) == []


def test_an_event_with_a_streams_own_logger_is_found() -> None:
    tree = ast.parse("class A:\n    def b(self):\n        self.logger.info('c', extra={})")

    assert list(events_of_own_logger(tree)) == [3]


def test_nothing_imports_the_batch_classes_that_the_sdk_drops() -> None:
    """0.56 drops the encodings by format."""
    dropped = {"JSONLinesEncoding", "ParquetEncoding"}
    imported = {
        alias.name
        for file in PACKAGE
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert "BatchConfig" in imported
    assert not dropped & imported


def events_of_own_logger(tree: ast.AST) -> Iterator[int]:
    """Yield the line of each call such as `self.logger.info("…", extra=…)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(value=ast.Name("self"), attr="logger")),
                keywords=keywords,
            ) if any(keyword.arg == "extra" for keyword in keywords):
                yield node.lineno
