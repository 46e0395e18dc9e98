"""Meetings as an ICS file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import icalendar

from zoho_client import code, leads

if TYPE_CHECKING:
    from local_zoho_crm import Organisation
    from zoho_client import Client


def test_meetings_as_ics(client: Client, organisation: Organisation) -> None:
    query = {"module": {"api_name": "Events"}}
    job_id = client.start({"query": query, "file_type": "ics"})
    assert client.details(job_id)["file_type"] == "ics"
    text = client.text(job_id)
    assert text.count("BEGIN:VEVENT") == len(organisation.module("Events").records) == 12
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "RRULE:" in text
    keys = re.findall(r"UID:(.*)\r\n(RECURRENCE-ID[:;].*\r\n)?", text)
    assert len(set(keys)) == 12
    assert len({uid for uid, _ in keys}) < 12
    read = [
        (str(event["UID"]), str(event.get("SUMMARY", "")))
        for event in icalendar.Calendar.from_ical(text).walk("VEVENT")
    ]
    truth = organisation.calendar_truth().values()
    assert sorted(read) == sorted((each["uid"], each["summary"] or "") for each in truth)
    zones = set(re.findall(r"TZID=([^:]+):", text))
    assert zones
    assert zones == set(re.findall(r"\r\nTZID:(.+)\r\n", text))
    with_fields = client.post({"query": {**query, "fields": ["Venue"]}, "file_type": "ics"})
    assert code(with_fields) == "QUERY_NOT_SUPPORTED"
    refused = client.post({**leads(), "file_type": "ics"})
    assert (refused.status_code, code(refused)) == (400, "MODULE_NOT_SUPPORTED")
