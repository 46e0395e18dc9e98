"""The account: its edition and limits, the credits that are left, and the scopes that are missing.

Invariant: what Zoho does not say is unknown, and never fails a plan.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.catalog.organisation import read_organisation
from tap_zoho_bulk.catalog.probes import scopes_not_granted
from tap_zoho_bulk.crm.editions import edition_of
from tap_zoho_bulk.crm.scopes import COUNTS, MODULES
from tap_zoho_bulk.exceptions import ZohoRefusedError

if TYPE_CHECKING:
    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.crm.scopes import Scope
    from tap_zoho_bulk.settings import Settings

logger = logging.getLogger("tap-zoho-bulk.plan")


@dataclass(frozen=True)
class Account:
    """What is known about the account.

    Args:
        organisation: Its name.
        time_zone: Its time zone.
        edition: Name of its edition.
        users: Users' licences.
        daily_credits: API credits of 24 hours by its edition, apart from those bought in addition.
        concurrent_requests: API requests that Zoho answers at once.
        home_currency: ISO code of its home currency, in which criteria have their amounts.
        missing_scopes: Scopes that the tap uses, and that the token lacks.
    """

    organisation: str | None
    time_zone: str | None
    edition: str | None
    users: int | None
    daily_credits: int | None
    concurrent_requests: int | None
    home_currency: str | None
    missing_scopes: tuple[Scope, ...]

    @property
    def counts(self) -> bool:
        """Whether the token's scopes suffice for Zoho's counts."""
        return not {COUNTS, MODULES} & {*self.missing_scopes}


def read_account(client: ZohoClient, settings: Settings) -> Account:
    """Return what is known about the account, at one API credit, or some more for scopes.

    Args:
        client: Zoho's API.
        settings: The run's settings.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
        ZohoUnavailableError: When a request keeps failing.
    """
    try:
        organisation = read_organisation(client, settings)
    except ZohoRefusedError as error:
        logger.warning("%s The edition and its limits are unknown.", error)
        organisation = {}
    licence = organisation.get("license_details")
    licence = licence if isinstance(licence, dict) else {}
    edition = edition_of("free" if licence.get("paid") is False else str(licence.get("paid_type")))
    users = licence.get("users_license_purchased")
    users = users if isinstance(users, int) else None
    return Account(
        organisation=_text(organisation.get("company_name")),
        time_zone=_text(organisation.get("time_zone")),
        edition=edition.name if edition else None,
        users=users,
        daily_credits=edition.daily_credits(users or 0) if edition else None,
        concurrent_requests=edition.concurrent_requests if edition else None,
        home_currency=_text(organisation.get("iso_code")),
        missing_scopes=scopes_not_granted(client, settings),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
