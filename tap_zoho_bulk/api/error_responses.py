"""Responses: which of Zoho's are errors, and how a caller recovers from each.

Source: https://www.zoho.com/crm/developer/docs/api/v8/status-codes.html
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.transport import TransientError, retry_after_seconds
from tap_zoho_bulk.crm.scopes import grant_advice
from tap_zoho_bulk.exceptions import MissingScopeError, Problem, ZohoRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_zoho_bulk.api.request import ApiRequest

NO_ADVICE = "Look up the code in Zoho's documentation; retrying the same request would not help."

_TOKEN_CODES = {"INVALID_TOKEN", "INVALID_OAUTHTOKEN", "AUTHENTICATION_FAILURE"}
"""Zoho documents them with several statuses."""
_SERVER_ERROR_CODES = {"INTERNAL_ERROR", "INTERNAL_SERVER_ERROR"}
_NO_PERMISSION = "Grant this permission to the profile of the user who {signed_in}."
_MODULE_GONE = (
    "The module is gone from Zoho, or the user who {signed_in} may not read it now. Discover the "
    "catalog again, or deselect the module."
)
_FIELD_GONE = "The field is gone from Zoho: discover the catalog again."
_ADVICE = {
    "CVID_NOT_SUPPORTED": (
        "Choose another custom view in `module_options`: Zoho does not export this one. It exports "
        "none of Co-owner, Shared by me and Shared to me."
    ),
    "INVALID_MODULE": _MODULE_GONE,
    "MODULE_NOT_AVAILABLE": _MODULE_GONE,
    "FIELD_NOT_AVAILABLE": _FIELD_GONE,
    "FIELD_IN_CRITERIA_NOT_AVAILABLE": (
        "The field is gone from Zoho: correct `criteria` in `module_options`, or, if it is the "
        "replication key, discover the catalog again."
    ),
    "INVALID_HOST": "Set `data_center` to the account's data center.",
    "NO_PERMISSION": _NO_PERMISSION,
    "AUTHORIZATION_FAILED": _NO_PERMISSION,
}
_MAX_CODE_CHARACTERS = 100
_MAX_MESSAGE_CHARACTERS = 300
_MAX_DETAILS_CHARACTERS = 1000


class TokenRejectedError(Exception):
    """The API host does not accept the access token."""


def raise_for_problem(  # noqa: PLR0913 - a response, and the account
    request: ApiRequest,
    status: int,
    headers: Mapping[str, str],
    body: dict[str, Any],
    redact: Callable[[str], str],
    *,
    soid: str | None = None,
) -> None:
    """Raise if a response is an error.

    Args:
        request: What was requested.
        status: HTTP status of the response.
        headers: Of the response.
        body: Its JSON object; empty if it has none.
        redact: Removes the account's secrets from a text.
        soid: The setting of this name; None if the tap signs in with a refresh token.

    Raises:
        MissingScopeError: When the token lacks the scope.
        TokenRejectedError: When Zoho does not accept the access token.
        TransientError: When another attempt may succeed.
        ZohoRefusedError: When Zoho refuses the request.
    """
    error = _error(body)
    code = redact(str(error.get("code") or f"HTTP_{status}"))[:_MAX_CODE_CHARACTERS]
    if code in _TOKEN_CODES:
        raise TokenRejectedError
    if code == "OAUTH_SCOPE_MISMATCH":
        raise MissingScopeError(
            request.what,
            Problem(status, code),
            advice=grant_advice(request.scope, soid=soid),
        )
    raise_if_transient(status, code, headers, f"{code} (HTTP {status})")
    if status == HTTPStatus.UNAUTHORIZED:
        raise TokenRejectedError
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise ZohoRefusedError(
            request.what,
            Problem(status, code),
            advice="Redirects are not followed. Check `api_url` and the proxy, if one is set.",
        )
    if error or status >= HTTPStatus.MULTIPLE_CHOICES:
        message = redact(str(error.get("message") or ""))[:_MAX_MESSAGE_CHARACTERS]
        raise ZohoRefusedError(
            request.what,
            Problem(status, code, message, _details(error, redact)),
            advice=_ADVICE.get(code, NO_ADVICE).format(
                signed_in="created the refresh token" if soid is None else "owns the client"
            ),
        )


def raise_if_transient(status: int, code: str, headers: Mapping[str, str], reason: str) -> None:
    """Raise if another attempt may succeed.

    Args:
        status: HTTP status of the response.
        code: Zoho's code.
        headers: Of the response.
        reason: What happened, in words, without secrets.

    Raises:
        TransientError: When the status or the code says so.
    """
    refused = status == HTTPStatus.TOO_MANY_REQUESTS or code == "TOO_MANY_REQUESTS"
    server_error = status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _SERVER_ERROR_CODES
    if refused or server_error or status == HTTPStatus.REQUEST_TIMEOUT:
        raise TransientError(
            reason, retry_after=retry_after_seconds(headers), not_processed=refused
        )


def _error(body: dict[str, Any]) -> dict[str, Any]:
    """Return Zoho's error object, at the top or as the first of `data`; {} if there is none."""
    data = body.get("data")
    first = data[0] if isinstance(data, list) and data else None
    for candidate in (body, first):
        if isinstance(candidate, dict) and (
            candidate.get("status") == "error"
            or ("code" in candidate and "message" in candidate and "status" not in candidate)
        ):
            return candidate
    return {}


def _details(error: dict[str, Any], redact: Callable[[str], str]) -> dict[str, Any]:
    """Return an error's details without secrets; {} if they are too long."""
    text = json.dumps(error.get("details"))
    details = json.loads(redact(text)) if len(text) < _MAX_DETAILS_CHARACTERS else None
    return details if isinstance(details, dict) else {}
