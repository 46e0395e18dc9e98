"""The console command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import requests


def test_it_runs_by_hand(tmp_path: Path) -> None:
    config_file = tmp_path / "config.json"
    command = [sys.executable, "-m", "local_zoho_crm", "--size", "Leads=3", "--only", "Leads"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [*command, "--write-config", str(config_file)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert "Zoho CRM is at" in process.stderr.readline()
        config = json.loads(config_file.read_text())
        form = {key: config[key] for key in ("client_id", "client_secret", "refresh_token")}
        url = f"{config['accounts_url']}/oauth/v2/token"
        answer = requests.post(url, data={"grant_type": "refresh_token", **form}, timeout=10)
        assert "access_token" in answer.json()
        process.terminate()
        out, log = process.communicate(timeout=10)
    assert process.returncode == 0
    assert json.loads(out) == config
    assert log.splitlines()[0] == "POST /oauth/v2/token 200"
