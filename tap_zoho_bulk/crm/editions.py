"""The editions of Zoho CRM, and the limits of its API for each.

Source: https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edition:
    """The limits of an edition.

    Args:
        name: For people.
        concurrent_requests: API requests that Zoho answers at once.
        credits: API credits of 24 hours, apart from those of users and those bought in addition.
        credits_per_user: More of them for each user's licence.
    """

    name: str
    concurrent_requests: int
    credits: int
    credits_per_user: int = 0

    def daily_credits(self, users: int) -> int:
        """Return the API credits of 24 hours, apart from those bought in addition.

        Args:
            users: Licences.
        """
        return self.credits + users * self.credits_per_user


_FREE = Edition("Free", 5, 5_000)
_STANDARD = Edition("Standard", 10, 50_000, 250)
_PROFESSIONAL = Edition("Professional", 15, 50_000, 500)
_ENTERPRISE = Edition("Enterprise", 20, 50_000, 1_000)
_ULTIMATE = Edition("Ultimate", 25, 50_000, 2_000)

_BY_TYPE = {
    "free": _FREE,
    "starter": _STANDARD,
    "standard": _STANDARD,
    "professional": _PROFESSIONAL,
    "enterprise": _ENTERPRISE,
    "zohoone": _ENTERPRISE,
    "ultimate": _ULTIMATE,
    "crmplus": _ULTIMATE,
}


def edition_of(paid_type: str) -> Edition | None:
    """Return an edition.

    Args:
        paid_type: As `license_details` of the organisation has it, such as `enterprise`.

    Returns:
        The edition; None if it is unknown.
    """
    return _BY_TYPE.get("".join(filter(str.isalnum, paid_type.lower())))
