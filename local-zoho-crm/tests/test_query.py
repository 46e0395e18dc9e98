"""Bulk read requests that the server refuses, and those of version 2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from zoho_client import NOT_TEXT, code, leads, where

if TYPE_CHECKING:
    from zoho_client import Client

NOT_IDS: list[Any] = [[], {}, True, 1.5]


NOT_NUMBERS: list[Any] = [[], {}, True, 1.5, "1"]


NOT_URLS: list[Any] = [*NOT_TEXT, "", "x", "http://[", "http://"]


def callback(given: Any) -> dict[str, Any]:
    """Return a request with a callback."""
    return {**leads(), "callback": given}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "QUERY_NOT_SUPPORTED"),
        (leads(colour="red"), "QUERY_NOT_SUPPORTED"),
        ({**leads(), "extra": 1}, "REQUEST_BODY_NOT_SUPPORTED"),
        ({"query": {"module": "Leads"}}, "QUERY_NOT_SUPPORTED"),
        ({"query": {"module": {"api_name": "Nothing"}}}, "MODULE_NOT_AVAILABLE"),
        ({"query": {"module": {"api_name": "Notes"}}}, "MODULE_NOT_SUPPORTED"),
        ({"query": {"module": {"api_name": "Contact_Projects"}}}, "MODULE_NOT_SUPPORTED"),
        *(({"query": {"module": {"api_name": name}}}, "QUERY_NOT_SUPPORTED") for name in NOT_TEXT),
        *((leads(fields=[name]), "QUERY_NOT_SUPPORTED") for name in NOT_TEXT),
        *((leads(cvid=view), "CVID_NOT_SUPPORTED") for view in NOT_IDS),
        *((leads(page=page), "PAGE_NOT_SUPPORTED") for page in NOT_NUMBERS),
        *(({"query": {"page_token": token}}, "QUERY_NOT_SUPPORTED") for token in NOT_TEXT),
        *(({**leads(), "file_type": kind}, "REQUEST_BODY_NOT_SUPPORTED") for kind in NOT_TEXT),
        *((callback({"url": url, "method": "post"}), "INVALID_CALLBACK_URL") for url in NOT_URLS),
        *(
            (callback({"url": "https://x", "method": method}), "INVALID_CALLBACK_METHOD")
            for method in NOT_TEXT
        ),
        (leads(fields=["Nothing"]), "FIELD_NOT_AVAILABLE"),
        (leads(fields=["Id"]), "FIELD_NOT_AVAILABLE"),
        (leads(fields=["Owner.Nothing"]), "FIELD_NOT_AVAILABLE"),
        (leads(fields=["Company.Phone"]), "FIELD_NOT_AVAILABLE"),
        (leads(fields=["Mailing_Address"]), "FIELD_NOT_SUPPORTED"),
        (leads(fields=["Contract"]), "FIELD_NOT_SUPPORTED"),
        (leads(cvid="1"), "CVID_NOT_SUPPORTED"),
        (leads(page=0), "PAGE_NOT_SUPPORTED"),
        (leads(page=501), "PAGE_RANGE_EXCEEDED"),
        (leads(page=2), "PAGE_NOT_SUPPORTED"),
        ({**leads(), "callback": {"url": "ftp://x", "method": "post"}}, "INVALID_CALLBACK_URL"),
        ({**leads(), "callback": {"url": "https://x", "method": "get"}}, "INVALID_CALLBACK_METHOD"),
        ({**leads(), "file_type": "pdf"}, "REQUEST_BODY_NOT_SUPPORTED"),
        ({"query": {"page_token": "no such"}}, "INVALID_REQUEST"),
    ],
)
def test_requests_that_are_refused(client: Client, body: dict[str, Any], expected: str) -> None:
    answer = client.post(body)
    assert (answer.status_code, code(answer)) == (400, expected)
    assert client.server.jobs == []


def test_a_refused_field_is_named(client: Client) -> None:
    answer = client.post(
        {"query": {"module": {"api_name": "Custom_Projects"}, "fields": ["Address"]}}
    )
    assert answer.json()["data"][0]["details"]["api_name"] == "Address"


def test_a_page_beyond_the_last_is_refused_with_the_limit(client: Client) -> None:
    assert client.post(leads(page=501), "v4").json()["details"] == {"max_limit": 500}


def test_a_module_without_permission(client: Client) -> None:
    answer = client.post({"query": {"module": {"api_name": "Secret_Payroll"}}})
    assert (answer.status_code, code(answer)) == (403, "NO_PERMISSION")


@pytest.mark.parametrize(
    ("content", "media_type", "status", "expected"),
    [
        (json.dumps(leads()), "text/plain", 415, "MEDIA_TYPE_NOT_SUPPORTED"),
        ("", "application/json", 400, "REQUEST_BODY_IS_EMPTY"),
        ("{", "application/json; charset=utf-8", 400, "REQUEST_BODY_NOT_READABLE"),
        (b'{"\xff": 1}', "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
        ('{"query": NaN}', "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
        ('{"query": 1e999}', "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
        ('{"query": "\\ud800"}', "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
        ("[" * 100_000, "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
    ],
)
def test_bodies_that_are_refused(
    client: Client, content: str | bytes, media_type: str, status: int, expected: str
) -> None:
    answer = client.session.post(
        f"{client.server.url}/crm/bulk/v8/read",
        data=content,
        headers={"Content-Type": media_type},
    )
    assert (answer.status_code, code(answer)) == (status, expected)


def test_version_2_names_modules_and_fields_directly(client: Client) -> None:
    criteria = {"api_name": "Last_Name", "comparator": "not_equal", "value": "${EMPTY}"}
    query = {"module": "Leads", "criteria": criteria}
    assert len(client.export(query, "v2")) == 45
    for wrong in (
        leads(),
        {"query": {"module": "Leads", "criteria": where("Last_Name", "equal", "x")}},
    ):
        assert client.post(wrong, "v2").status_code == 400
    assert client.post(leads(criteria=criteria)).status_code == 400
