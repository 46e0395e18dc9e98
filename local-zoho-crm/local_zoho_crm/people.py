"""The people of an organisation: users, roles, profiles, and the company itself."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from local_zoho_crm.schema import Field, Module

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_zoho_crm.organisation import Organisation

_SINCE = datetime(2021, 3, 14, 9, 26, 53, tzinfo=timezone.utc)

_USERS = (
    ("Patricia", "Boyle", None),
    ("Jürgen", "Müller-Lüdenscheidt", "Europe/Berlin"),
    ("Asha", "O'Neil, Jr.", "Asia/Kolkata"),
    ("", "蓝", "Asia/Shanghai"),
    ("Left", "Long Ago", "UTC"),
)


# Only the first user has filled these in.
_DETAILS = {
    "alias": "Pat",
    "fax": "+1 555 0199",
    "website": "https://example.com/pat",
    "dob": "1980-02-29",
    "street": "4141 Hacienda Drive",
    "city": "Pleasanton",
    "state": "California",
    "zip": "94588",
    "country_locale": "en_US",
    "date_format": "MMM d, yyyy",
    "time_format": "hh:mm a",
    "decimal_separator": "Period",
    "number_separator": "Comma",
    "name_format__s": "Salutation,First Name,Last Name",
    "sort_order_preference__s": "First Name,Last Name",
    "status_reason__s": "license_exhausted",
    "category": "regular_user",
    "Currency": "USD",
    "microsoft": False,
    "sandboxDeveloper": True,
    "Isonline": True,
    "signature": None,
    "theme": {"type": "default", "background": "#F3F0EB", "screen": "fixed"},
    "$current_shift": None,
}


def roles(new_id: Callable[[], str]) -> list[dict[str, Any]]:
    """Return the roles as the roles call lists them."""
    chief = {
        "id": new_id(),
        "name": "CEO",
        "display_label": "CEO",
        "description": None,
        "reporting_to": None,
        "forecast_manager": None,
        "admin_user": True,
        "share_with_peers": True,
        "created_by__s": None,
        "modified_by__s": None,
        "created_time__s": None,
        "modified_time__s": None,
    }
    manager = {
        "id": new_id(),
        "name": "Manager",
        "display_label": "Manager",
        "description": "Sales, EMEA",
        "reporting_to": {"name": chief["name"], "id": chief["id"]},
        "forecast_manager": {"name": "Jürgen Müller-Lüdenscheidt", "id": "554023000000691003"},
        "admin_user": False,
        "share_with_peers": False,
        "created_by__s": {"name": "Patricia Boyle", "id": "554023000000235011"},
        "modified_by__s": {"name": "Asha O'Neil, Jr.", "id": "554023000000691004"},
        "created_time__s": "2021-11-07T01:30:00-08:00",
        "modified_time__s": "2022-03-27T03:00:00+02:00",
    }
    return [chief, manager]


def profiles(new_id: Callable[[], str]) -> list[dict[str, Any]]:
    """Return the profiles as the profiles call lists them."""
    return [
        {
            "id": new_id(),
            "name": name,
            "display_label": name,
            "description": f"{name} profile",
            "type": "normal_profile",
            "permission_type": "normal_profile",
            "custom": custom,
            "default": False,
            "category": custom,
            "_default_view": {"name": "Home", "id": "554023000000000001", "type": "home"},
            # A boolean in Zoho's OpenAPI file, but Zoho's SDK accepts only an object.
            "_delete": {"permanent": custom},
            # Built-in profiles have no creator and no time of creation.
            "created_time": "2023-05-01T08:00:00-07:00" if custom else None,
            "modified_time": "2023-06-01T08:00:00-07:00" if custom else None,
            "created_by": _author() if custom else None,
            "modified_by": _author() if custom else None,
        }
        for name, custom in (("Administrator", False), ("Standard", False), ("Interns", True))
    ]


def _author() -> dict[str, str]:
    return {"name": "Patricia Boyle", "id": "554023000000235011", "email": "user0@example.com"}


def users_module(organisation: Organisation) -> Module:
    """Return the users as a module, so that queries reach them through owner fields."""
    names = [
        *("first_name", "last_name", "full_name", "email", "phone", "mobile", "status"),
        *("time_zone", "country", "language", "locale", "zuid"),
    ]
    module = Module.of(
        "users",
        *(Field(name, "text") for name in names),
        Field("created_time", "datetime"),
        Field("Modified_Time", "datetime"),
        display_field="full_name",
    )
    for number, (first, last, zone) in enumerate(_USERS):
        user_id = organisation.new_id()
        module.records[user_id] = {
            "id": user_id,
            "first_name": first or None,
            "last_name": last,
            "full_name": f"{first} {last}".strip(),
            "email": f"user{number}@example.com",
            "phone": "+1 555 0110" if number == 1 else None,
            "mobile": f"+1 555 010{number}",
            "status": "disabled" if number == len(_USERS) - 1 else "active",
            "time_zone": zone or organisation.time_zone,
            "country": "US",
            "language": "en_US",
            "locale": "en_US",
            "zuid": str(694579000 + number),
            "created_time": _SINCE,
            "Modified_Time": _SINCE,
            "role": number % 2,
            "profile": number % 3,
        }
    return module


def user_json(organisation: Organisation, user: dict[str, Any]) -> dict[str, Any]:
    """Return a user as the users call lists it."""
    role, profile = organisation.roles[user["role"]], organisation.profiles[user["profile"]]
    author = organisation.user_reference(str(organisation.current_user["id"]))
    is_first = user["id"] == author["id"]
    return {
        **user,
        **(_DETAILS if is_first else dict.fromkeys(_DETAILS)),
        "role": {"name": role["name"], "id": role["id"]},
        "profile": {"name": profile["name"], "id": profile["id"]},
        "created_time": organisation.timestamp(user["created_time"]),
        "Modified_Time": organisation.timestamp(user["Modified_Time"]),
        "created_by": author,
        "Modified_By": author,
        "Reporting_To": None if is_first else author,
        "confirm": True,
        "personal_account": False,
        "offset": int(
            organisation.local(organisation.now()).utcoffset().total_seconds() * 1000  # type: ignore[union-attr]
        ),
    }


def company(organisation: Organisation) -> dict[str, Any]:
    """Return the organisation as the org call describes it."""
    return {
        "id": organisation.new_id(),
        "zgid": "694574900",
        "company_name": "Zylker & Söhne",
        "ezgid": "bc0e4bd8b2f51d8b",
        "alias": "Zylker",
        "description": "Widgets, and what goes with them",
        "phone": "+1 925 924 9500",
        "mobile": "+1 555 0123",
        "fax": "+1 925 924 9600",
        "website": "https://zylker.example",
        "street": "4141 Hacienda Drive",
        "zip": "94588",
        "state": "California",
        "country": "US",
        "country_code": "US",
        "city": "Pleasanton",
        "photo_id": None,
        "currency": "US Dollar - USD",
        "currency_symbol": "$",
        "currency_locale": "en_US",
        "iso_code": "USD",
        "time_zone": organisation.time_zone,
        "primary_email": "user0@example.com",
        "primary_zuid": "694579000",
        "domain_name": "org694574900",
        "employee_count": "12",
        "type": "Production",
        "privacy_settings": False,
        "hipaa_compliance_enabled": False,
        "mc_status": False,
        "gapps_enabled": False,
        "translation_enabled": True,
        "lite_users_enabled": False,
        "max_per_page": 200,
        "hierarchy_preferences": {"type": "Reporting_To_Hierarchy", "strictly_reporting": False},
        "license_details": {
            "paid": True,
            "paid_type": "enterprise",
            "paid_expiry": "2030-07-01T05:30:00+05:30",
            "trial_type": "ultimate",
            "trial_action": "upgrade",
            "trial_expiry": "2021-04-13",
            "users_license_purchased": 5,
        },
        "created_time": organisation.timestamp(_SINCE),
    }
