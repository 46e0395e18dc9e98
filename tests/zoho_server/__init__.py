"""A local Zoho CRM, faithful to Zoho's documentation and strict: what tests and demos run on."""

from tests.zoho_server.bulk_write import BulkWriteJob
from tests.zoho_server.export import CsvStyle
from tests.zoho_server.faults import (
    Fault,
    RandomFaults,
    html_error,
    invalid_token,
    too_many_requests,
)
from tests.zoho_server.organisation import Organisation
from tests.zoho_server.request_log import LoggedRequest
from tests.zoho_server.schema import CustomView, DeletedRecord, Field, Module
from tests.zoho_server.server import ZohoServer

__all__ = [
    "BulkWriteJob",
    "CsvStyle",
    "CustomView",
    "DeletedRecord",
    "Fault",
    "Field",
    "LoggedRequest",
    "Module",
    "Organisation",
    "RandomFaults",
    "ZohoServer",
    "html_error",
    "invalid_token",
    "too_many_requests",
]
