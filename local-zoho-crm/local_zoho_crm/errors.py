"""Zoho's errors: code, HTTP status, details and body."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

_STATUS = {
    "AUTHENTICATION_FAILURE": 401,
    "CURRENCIES_NOT_ENABLED": 403,
    "INTERNAL_ERROR": 500,
    "INVALID_TOKEN": 401,
    "INVALID_URL_PATTERN": 404,
    "MEDIA_TYPE_NOT_SUPPORTED": 415,
    "NO_PERMISSION": 403,
    "OAUTH_SCOPE_MISMATCH": 401,
    "RESOURCE_NOT_FOUND": 404,
    "TOO_MANY_REQUESTS": 429,
}

_MESSAGES = {
    "AUTHENTICATION_FAILURE": "Authentication failed",
    "INVALID_MODULE": "The module name given seems to be invalid",
    "INVALID_REQUEST_METHOD": "The http request method type is not a valid one",
    "INVALID_TOKEN": "invalid oauth token",
    "INVALID_URL_PATTERN": "Please check if the URL trying to access is a correct one",
    "MEDIA_TYPE_NOT_SUPPORTED": "Media type is not supported.",
    "NO_PERMISSION": "permission denied",
    "OAUTH_SCOPE_MISMATCH": "invalid oauth scope to access this URL",
    "RESOURCE_NOT_FOUND": "The requested resource doesn't exist.",
    "TOO_MANY_REQUESTS": "You have made too many requests. Please try again after some time.",
}

# The OpenAPI file describes these inside {"data": [...]}, and all others at the top level.
_INSIDE_DATA = frozenset(
    {
        "COMPARATOR_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        "CRITERIA_LIMIT_EXCEEDED",
        "CRITERIA_NOT_SUPPORTED",
        "FIELD_AND_COMPARATOR_IN_CRITERIA_NOT_COMPATIBLE",
        "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        "FIELD_IN_CRITERIA_NOT_AVAILABLE",
        "FIELD_NOT_AVAILABLE",
        "FIELD_NOT_SUPPORTED",
        "JOIN_LIMIT_EXCEEDED",
        "MODULE_NOT_AVAILABLE",
        "PAGE_NOT_SUPPORTED",
        "QUERY_NOT_SUPPORTED",
        "REQUEST_BODY_IS_EMPTY",
        "REQUEST_BODY_NOT_READABLE",
        "VALUE_IN_CRITERIA_NOT_SUPPORTED",
        "VALUE_LIMIT_EXCEEDED_IN_CRITERIA",
    }
)


class ZohoError(Exception):
    """A request that Zoho refuses."""

    def __init__(
        self, code: str, message: str | None = None, *, status: int | None = None, **details: Any
    ) -> None:
        message = message or _MESSAGES.get(code) or code.replace("_", " ").capitalize()
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 400)
        self.details = details

    @property
    def body(self) -> dict[str, Any]:
        """Return the response's JSON, in the shape that Zoho documents for this code."""
        error = {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "status": "error",
        }
        return {"data": [error]} if self.code in _INSIDE_DATA else error

    def response(self) -> JSONResponse:
        """Return the response."""
        return JSONResponse(self.body, self.status)
