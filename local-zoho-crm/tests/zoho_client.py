"""A client that follows Zoho's documentation, and functions that build its requests."""

from __future__ import annotations

import csv
import io
import zipfile
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import requests

from local_zoho_crm import ZohoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_zoho_crm import Organisation

NOON = datetime(2025, 6, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)


SECOND = timedelta(seconds=1)


NOT_TEXT: list[Any] = [[], {}, ["x"], {"x": 1}, None, 7, True]


class Client:
    """Sends requests as Zoho documents them."""

    def __init__(self, server: ZohoServer, refresh_token: str | None = None) -> None:
        self.server = server
        self.session = requests.Session()
        answer = self.token(**({"refresh_token": refresh_token} if refresh_token else {}))
        self.access_token = answer.json()["access_token"]
        self.session.headers["Authorization"] = f"Zoho-oauthtoken {self.access_token}"

    def token(self, **form: str) -> requests.Response:
        """Request an access token."""
        config = self.server.tap_config()
        keys = ("client_id", "client_secret", "refresh_token")
        content = {"grant_type": "refresh_token", **{key: config[key] for key in keys}, **form}
        return self.session.post(f"{self.server.url}/oauth/v2/token", data=content)

    def get(self, path: str, **headers: str) -> requests.Response:
        """GET a path."""
        return self.session.get(self.server.url + path, headers=headers)

    def post(self, body: Any, version: str = "v8") -> requests.Response:
        """POST a bulk read request."""
        return self.session.post(f"{self.server.url}/crm/bulk/{version}/read", json=body)

    def start(self, body: Any, version: str = "v8") -> str:
        """Create a job and return its id."""
        answer = self.post(body, version)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"][0]["details"]["id"])

    def details(self, job_id: str, version: str = "v8") -> dict[str, Any]:
        """Return a job's details."""
        answer = self.get(f"/crm/bulk/{version}/read/{job_id}")
        assert answer.status_code == 200, answer.text
        (details,) = answer.json()["data"]
        return dict(details)

    def download(self, job_id: str, version: str = "v8") -> requests.Response:
        """GET a job's result file."""
        return self.get(f"/crm/bulk/{version}/read/{job_id}/result")

    def text(self, job_id: str) -> str:
        """Return the text in a job's result file."""
        with zipfile.ZipFile(io.BytesIO(self.download(job_id).content)) as archive:
            (name,) = archive.namelist()
            assert name.partition(".")[0] == job_id
            return archive.read(name).decode()

    def rows(self, job_id: str) -> list[dict[str, str]]:
        """Return the rows in a job's CSV."""
        csv.field_size_limit(max(csv.field_size_limit(), 1_000_000))
        return list(csv.DictReader(io.StringIO(self.text(job_id), newline="")))

    def export(self, query: dict[str, Any], version: str = "v8") -> list[dict[str, str]]:
        """Return the rows of all pages, requested by page token or number as the version has it."""
        rows: list[dict[str, str]] = []
        ask = query
        while True:
            job_id = self.start({"query": ask}, version)
            result = self.details(job_id, version)["result"]
            page = self.rows(job_id)
            assert len(page) == result["count"]
            rows += page
            if not result["more_records"]:
                return rows
            token = result.get("next_page_token")
            ask = {"page_token": token} if token else {**query, "page": result["page"] + 1}


@contextmanager
def serving(organisation: Organisation, **options: Any) -> Iterator[Client]:
    with ZohoServer(organisation, **options) as server:
        client = Client(server)
        with client.session:
            yield client


def leads(**query: Any) -> dict[str, Any]:
    return {"query": {"module": {"api_name": "Leads"}, **query}}


def where(field: str, comparator: str, value: Any) -> dict[str, Any]:
    """Return a criterion."""
    return {"field": {"api_name": field}, "comparator": comparator, "value": value}


def code(answer: requests.Response) -> str:
    content = answer.json()
    return str(content["data"][0]["code"] if "data" in content else content["code"])
