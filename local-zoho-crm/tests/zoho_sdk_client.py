"""Zoho's own Python SDK, used as its users would: a program that carries out an order.

It runs in a separate process and directory, because the SDK has global state and writes tokens, a
log and metadata to files. It must not write elsewhere or connect to any host but the server; every
attempt is reported as a stray.

The order is JSON on stdin, the report is JSON on stdout, and files are in the directory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.bulk_read import (
    APIException,
    BodyWrapper,
    BulkReadOperations,
    CallBack,
    Criteria,
    Query,
)
from zohocrmsdk.src.com.zoho.crm.api.bulk_write import BulkWriteOperations
from zohocrmsdk.src.com.zoho.crm.api.custom_views import (
    CustomViewsOperations,
    GetCustomViewsParam,
)
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.fields import (
    FieldsOperations,
    GetFieldsParam,
    MinifiedField,
)
from zohocrmsdk.src.com.zoho.crm.api.modules import MinifiedModule, ModulesOperations
from zohocrmsdk.src.com.zoho.crm.api.org import OrgOperations
from zohocrmsdk.src.com.zoho.crm.api.profiles import ProfilesOperations
from zohocrmsdk.src.com.zoho.crm.api.record import GetDeletedRecordsParam, RecordOperations
from zohocrmsdk.src.com.zoho.crm.api.roles import RolesOperations
from zohocrmsdk.src.com.zoho.crm.api.users import GetUsersParam, UsersOperations
from zohocrmsdk.src.com.zoho.crm.api.util import Choice

Json = dict[str, Any]

PATIENCE_SECONDS = 30


class LocalDataCenter(DataCenter):  # type: ignore[misc]  # the SDK has no types
    """A data center of the SDK at the URL of the local Zoho CRM."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get_iam_url(self) -> str:
        """Return the URL of token requests."""
        return f"{self._url}/oauth/v2/token"

    def get_file_upload_url(self) -> str:
        """Return the URL of uploads."""
        return self._url

    def production(self) -> DataCenter.Environment:
        """Return the production environment."""
        return DataCenter.Environment(self._url, self.get_iam_url(), self.get_file_upload_url())


class Fence:
    """Records attempts to connect to other hosts or to write elsewhere."""

    def __init__(self, url: str, directory: Path) -> None:
        self.strays: list[str] = []
        self._address = (urlsplit(url).hostname, urlsplit(url).port)
        self._directory = directory
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and arguments[1] != self._address:
            self.strays.append(f"connected to {arguments[1]}")
        elif event == "socket.getaddrinfo" and arguments[:2] != self._address:
            self.strays.append(f"looked up {arguments[0]}")
        elif event == "open" and isinstance(arguments[0], str):
            path, _, flags = arguments
            written = Path(path).absolute()
            if flags & (os.O_WRONLY | os.O_RDWR) and not self._is_ours(written):
                self.strays.append(f"wrote {written}")

    def _is_ours(self, path: Path) -> bool:
        # Python writes compiled files beside their sources.
        return path.is_relative_to(self._directory) or path.parent.name == "__pycache__"


def main() -> None:
    """Carry out the order on stdin."""
    order, directory = json.load(sys.stdin), Path.cwd()
    fence = Fence(order["url"], directory)
    Initializer.initialize(
        LocalDataCenter(order["url"]).production(),
        OAuthToken(**order["client"]),
        store=FileStore(str(directory / "tokens.csv")),
        resource_path=str(directory),
        logger=Logger.get_instance(Logger.Levels.INFO, str(directory / "sdk.log")),
    )
    report = {
        "exports": [_export(each) for each in order.get("exports", ())],
        "write_results": [_write_result(each) for each in order.get("write_jobs", ())],
        "metadata": _metadata(order["metadata_of"]) if "metadata_of" in order else None,
        "strays": fence.strays,
    }
    json.dump(report, sys.stdout)


def _export(asked: Json) -> Json:
    """Return all pages of a query with the SDK's view of each job, or its view of the error."""
    pages: list[Json] = []
    query = _query(asked)
    while True:
        body = BodyWrapper()
        body.set_query(query)
        if not pages and "file_type" in asked:
            body.set_file_type(asked["file_type"])
        if "callback" in asked:
            body.set_callback(_callback(asked["callback"]))
        answer = BulkReadOperations().create_bulk_read_job(body)
        created = answer.get_object()
        if not isinstance(created, APIException):
            # Some errors are inside `data`, others replace it.
            (created,) = created.get_data()
        if isinstance(created, APIException):
            return {"pages": pages, "error": _error(answer.get_status_code(), created)}
        pages.append(_page(int(created.get_details()["id"])))
        if not pages[-1]["more_records"]:
            return {"pages": pages, "error": None}
        query = Query()
        query.set_page_token(pages[-1]["token"])


def _page(job_id: int) -> Json:
    """Wait for a job, download its file, and return both."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    states: list[str] = []
    while not states or states[-1] != "COMPLETED":
        if time.monotonic() > deadline:
            raise TimeoutError(f"Job {job_id} went through {states}")
        answer = BulkReadOperations().get_bulk_read_job_details(job_id)
        (job,) = answer.get_object().get_data()
        states.append(job.get_state().get_value())
    result = job.get_result()
    download = BulkReadOperations().download_result(job_id)
    return {
        "job_id": job.get_id(),
        "states": states,
        "module": job.get_query().get_module().get_api_name(),
        "created_by": job.get_created_by().get_name(),
        "created_time": job.get_created_time().isoformat(),
        "page": result.get_page(),
        "count": result.get_count(),
        "more_records": result.get_more_records(),
        "token": result.get_next_page_token(),
        "file": _keep(download.get_object().get_file()),
    }


def _write_result(job_id: str) -> Json:
    """Return a bulk write job's details and result file."""
    job = BulkWriteOperations().get_bulk_write_job_details(job_id).get_object()
    url = job.get_result().get_download_url()
    (resource,) = job.get_resource()
    download = BulkWriteOperations().download_bulk_write_result(url)
    return {
        "status": job.get_status(),
        "operation": job.get_operation(),
        "module": resource.get_module().get_api_name(),
        "added": resource.get_file().get_added_count(),
        "skipped": resource.get_file().get_skipped_count(),
        "file": _keep(download.get_object().get_file()),
    }


def _metadata(module: str) -> Json:
    """Return what the SDK reads of an organisation and one of its modules."""

    def asked(parameter: Any, value: str) -> ParameterMap:
        parameters = ParameterMap()
        parameters.add(parameter, value)
        return parameters

    headers, records = HeaderMap(), RecordOperations(module)
    modules = ModulesOperations().get_modules(ParameterMap(), headers)
    fields = FieldsOperations().get_fields(asked(GetFieldsParam.module, module))
    views = CustomViewsOperations().get_custom_views(asked(GetCustomViewsParam.module, module))
    users = UsersOperations().get_users(asked(GetUsersParam.type, "AllUsers"), headers)
    deleted = records.get_deleted_records(asked(GetDeletedRecordsParam.type, "all"), headers)
    (org,) = OrgOperations().get_organization().get_object().get_org()
    roles, profiles = RolesOperations().get_roles(), ProfilesOperations().get_profiles()
    return {
        "modules": [each.get_api_name() for each in modules.get_object().get_modules()],
        "fields": {
            each.get_api_name(): each.get_data_type() for each in fields.get_object().get_fields()
        },
        "custom_views": [each.get_name() for each in views.get_object().get_custom_views()],
        "users": [each.get_email() for each in users.get_object().get_users()],
        "roles": [each.get_name() for each in roles.get_object().get_roles()],
        "profiles": [each.get_name() for each in profiles.get_object().get_profiles()],
        "zgid": org.get_zgid(),
        "deleted": {each.get_id(): each.get_type() for each in deleted.get_object().get_data()},
        "count": records.record_count(ParameterMap()).get_object().get_count(),
    }


def _keep(file: Any) -> str:
    """Write a downloaded file under the name that the SDK read from the response."""
    name = str(file.get_name())
    Path(name).write_bytes(b"".join(file.get_stream()))
    return name


def _error(status: int, error: APIException) -> Json:
    return {"status": status, "code": error.get_code().get_value(), "details": error.get_details()}


def _query(asked: Json) -> Query:
    query, module = Query(), MinifiedModule()
    module.set_api_name(asked["module"])
    query.set_module(module)
    for key in ("fields", "cvid", "page"):
        if key in asked:
            getattr(query, f"set_{key}")(asked[key])
    if "criteria" in asked:
        query.set_criteria(_criteria(asked["criteria"]))
    return query


def _criteria(asked: Json) -> Criteria:
    criteria = Criteria()
    if "group" in asked:
        criteria.set_group_operator(Choice(asked["group_operator"]))
        criteria.set_group([_criteria(member) for member in asked["group"]])
        return criteria
    field, value = MinifiedField(), asked["value"]
    field.set_api_name(asked["field"])
    criteria.set_field(field)
    criteria.set_comparator(Choice(asked["comparator"]))
    # JSON has no date-times, unlike the SDK.
    is_instant = isinstance(value, dict)
    criteria.set_value(datetime.fromisoformat(value["instant"]) if is_instant else value)
    return criteria


def _callback(url: str) -> CallBack:
    callback = CallBack()
    callback.set_url(url)
    callback.set_method(Choice("post"))
    return callback


if __name__ == "__main__":
    main()
