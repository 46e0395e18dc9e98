"""The target's command line, and what it starts."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import target_duckdb

from batch_loader.files import LoadError
from target_duckdb_batch import deletes, numbers, strict
from target_duckdb_batch.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Iterable


def run(lines: Iterable[str]) -> None:
    """Load the tap's messages into the database that the config file states.

    Args:
        lines: The messages.
    """
    parser = argparse.ArgumentParser(description="Load Singer messages into DuckDB.")
    parser.add_argument("-c", "--config", type=Path, required=True, help="Config file")
    file = parser.parse_args().config
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    # With several streams, the target would hand on a state ahead of rows that wait in memory.
    config.setdefault("flush_all_streams", True)
    strict.apply()
    deletes.apply()
    # It gets messages that are parsed.
    target_duckdb.json = SimpleNamespace(
        loads=lambda message: message, dumps=json.dumps, decoder=json.decoder
    )
    try:
        parse_float = numbers.apply(config.get("number_type", "double"))
        connection = strict.StrictConnection(config)
        messages = Messages(lines, connection, config, parse_float=parse_float)
        target_duckdb.persist_lines(connection, config, messages)
        messages.finish()
    except LoadError as error:
        sys.exit(str(error))
    connection.close()
