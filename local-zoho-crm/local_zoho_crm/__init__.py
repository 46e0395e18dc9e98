"""A local Zoho CRM server that follows Zoho's documentation strictly, for tests and demos."""

from local_zoho_crm.bulk_write import BulkWriteJob
from local_zoho_crm.export import CsvStyle
from local_zoho_crm.faults import (
    Fault,
    RandomFaults,
    html_error,
    invalid_token,
    too_many_requests,
)
from local_zoho_crm.organisation import Organisation
from local_zoho_crm.request_log import LoggedRequest
from local_zoho_crm.schema import CustomView, DeletedRecord, Field, Module
from local_zoho_crm.server import ZohoServer

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
