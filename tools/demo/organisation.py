"""The demo's organisation, and what happens in it between two syncs."""

from __future__ import annotations

from datetime import timedelta

from local_zoho_crm import Organisation

SIZES = {"Leads": 5000, "Contacts": 2000, "Accounts": 800, "Deals": 1200, "Custom_Projects": 300}
PAGE_SIZE = 2000
WEEK = timedelta(days=8)
"""After so long, the tap reads all rows of a subform again."""


def generate(weeks: int = 1) -> Organisation:
    """Create the organisation, with one record in the recycle bin.

    Args:
        weeks: How far its clock is behind this machine's, so that the clock can be moved forward.
    """
    organisation = Organisation.generate(seed=2024, sizes=SIZES, clock_offset=-weeks * WEEK)
    organisation.delete("Accounts", min(organisation.truth("Accounts")))
    return organisation


def change(organisation: Organisation) -> list[tuple[str, str, int]]:
    """Change, add, delete and restore records a week later; return a table of the changes."""
    organisation.advance(WEEK)
    leads = sorted(organisation.truth("Leads"))
    contacts = sorted(organisation.truth("Contacts"))
    rows = sorted(organisation.truth("Quoted_Items"))
    for number, record_id in enumerate(leads[:7]):
        organisation.update("Leads", record_id, Company=f'Changed "№ {number}", Ltd.\n')
    for record_id in contacts[:2]:
        organisation.update("Contacts", record_id, Last_Name="O'Brien\0")
    organisation.insert("Leads", count=5)
    organisation.insert("Deals", count=3)
    for record_id in leads[10:14]:
        organisation.delete("Leads", record_id)
    organisation.delete("Contacts", contacts[10], permanent=True)
    for record_id in rows[:3]:
        organisation.delete("Quoted_Items", record_id)
    restored = list(organisation.module("Accounts").trash)
    for record_id in restored:
        organisation.restore("Accounts", record_id)
    return [
        ("Leads", "changed", 7),
        ("Contacts", "changed", 2),
        ("Leads", "added", 5),
        ("Deals", "added", 3),
        ("Leads", "deleted", 4),
        ("Contacts", "deleted for good", 1),
        ("Quoted_Items", "removed from their subform", 3),
        ("Accounts", "restored from the recycle bin", len(restored)),
    ]
