"""A loader for tests: appends records to a file, and prints the newest state at the end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

with Path(sys.argv[sys.argv.index("--config") + 1]).open() as file:
    config = json.load(file)
state = None
with Path(config["file"]).open("a") as rows:
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "RECORD":
            rows.write(json.dumps([message["stream"], message["record"]]) + "\n")
            rows.flush()
        elif message["type"] == "STATE":
            state = message["value"]
if "error" in config:
    sys.exit(config["error"])
print(json.dumps(state))
