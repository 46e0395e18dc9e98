"""The people of an organisation: users, roles, profiles, and the company itself."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.zoho_server.schema import Field, Module

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.zoho_server.organisation import Organisation

_SINCE = datetime(2021, 3, 14, 9, 26, 53, tzinfo=timezone.utc)

_USERS = (
    ("Patricia", "Boyle", None),
    ("Jürgen", "Müller-Lüdenscheidt", "Europe/Berlin"),
    ("Asha", "O'Neil, Jr.", "Asia/Kolkata"),
    ("", "蓝", "Asia/Shanghai"),
    ("Left", "Long Ago", "UTC"),
)


def roles(new_id: Callable[[], str]) -> list[dict[str, Any]]:
    """The roles, as their call lists them."""
    chief = {
        "id": new_id(),
        "name": "CEO",
        "display_label": "CEO",
        "description": None,
        "reporting_to": None,
        "forecast_manager": None,
        "admin_user": True,
        "share_with_peers": True,
    }
    manager = {
        "id": new_id(),
        "name": "Manager",
        "display_label": "Manager",
        "description": "Sales, EMEA",
        "reporting_to": {"name": chief["name"], "id": chief["id"]},
        "forecast_manager": None,
        "admin_user": False,
        "share_with_peers": False,
    }
    return [chief, manager]


def profiles(new_id: Callable[[], str]) -> list[dict[str, Any]]:
    """The profiles, as their call lists them."""
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
            "created_time": None,
            "modified_time": None,
            "created_by": None,
            "modified_by": None,
        }
        for name, custom in (("Administrator", False), ("Standard", False), ("Interns", True))
    ]


def users_module(organisation: Organisation) -> Module:
    """Users as a module, so that queries reach them through owner fields."""
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
            "phone": None,
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
    """A user, as the users call lists one."""
    role, profile = organisation.roles[user["role"]], organisation.profiles[user["profile"]]
    author = organisation.user_reference(str(organisation.current_user["id"]))
    return {
        **user,
        "role": {"name": role["name"], "id": role["id"]},
        "profile": {"name": profile["name"], "id": profile["id"]},
        "created_time": organisation.timestamp(user["created_time"]),
        "Modified_Time": organisation.timestamp(user["Modified_Time"]),
        "created_by": author,
        "Modified_By": author,
        "confirm": True,
        "personal_account": False,
        "offset": int(
            organisation.local(organisation.now()).utcoffset().total_seconds() * 1000  # type: ignore[union-attr]
        ),
    }


def company(organisation: Organisation) -> dict[str, Any]:
    """The organisation, as its call describes it."""
    return {
        "id": organisation.new_id(),
        "zgid": "694574900",
        "company_name": "Zylker & Söhne",
        "alias": None,
        "country": "US",
        "country_code": "US",
        "city": None,
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
        "license_details": {
            "paid": True,
            "paid_type": "enterprise",
            "paid_expiry": None,
            "trial_type": None,
            "trial_expiry": None,
            "users_license_purchased": 5,
        },
        "created_time": organisation.timestamp(_SINCE),
    }
