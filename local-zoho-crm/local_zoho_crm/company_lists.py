"""Lists of an organisation that are neither modules nor people: currencies, territories, pipelines.

Their ids are constants, so that they take none from the records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

_AUTHOR = {"name": "Patricia Boyle", "id": "554023000000235011"}
_TIMES = {
    "created_time": "2023-06-10T12:17:53+05:30",
    "modified_time": "2023-10-29T02:30:00+01:00",
    "created_by": _AUTHOR,
    "modified_by": _AUTHOR,
}


def _currencies() -> list[Row]:
    return [
        {
            "id": f"55402300000078000{number}",
            "name": name,
            "iso_code": name[-3:],
            "symbol": symbol,
            "exchange_rate": rate,
            "exchange_rate_auto_update": number == 1,
            "exchange_rate_updated_time": "2024-02-29T15:10:33+05:30" if number else None,
            "is_base": number == 0,
            "is_active": number < 2,
            "prefix_symbol": number != 1,
            "format": {
                "numeral_system": "International",
                "decimal_places": "2",
                "decimal_separator": "Period",
                "thousand_separator": "Comma",
            },
            **_TIMES,
        }
        for number, (name, symbol, rate) in enumerate(
            (
                ("US Dollar - USD", "$", "1.000000000"),
                ("Euro - EUR", "€", "1.083412345"),
                ("Indian Rupee - INR", "₹", "0.011990408"),
            )
        )
    ]


def _territories() -> list[Row]:
    top = {"name": "Zylker & Söhne", "id": "554023000000744001"}
    rows: list[Row] = [
        {
            **top,
            "api_name": "Zylker",
            "description": None,
            "manager": None,
            "reporting_to": None,
            "permission_type": "read_only",
            **_TIMES,
        }
    ]
    for number, name in enumerate(("EMEA, North", "Übersee"), start=2):
        rows.append(
            {
                "id": f"55402300000074400{number}",
                "name": name,
                "api_name": f"Territory_{number}",
                "description": "All of it",
                "manager": {"name": "Jürgen Müller-Lüdenscheidt", "id": "554023000000691003"},
                "reporting_to": top,
                "permission_type": "read_write_delete",
                **_TIMES,
            }
        )
    return rows


def _pipelines() -> dict[str, list[Row]]:
    return {
        f"55402300000009102{layout}": [
            {
                "id": f"55402300000006801{layout}",
                "display_value": "Standard (Standard)",
                "actual_value": "Standard (Standard)",
                "default": True,
                "maps": [
                    {
                        "id": f"55402300000000680{place}",
                        "display_value": name,
                        "actual_value": name,
                        "sequence_number": place,
                        "forecast_type": "Open" if place == 1 else "Closed Won",
                        "forecast_category": {"name": "Pipeline", "id": "554023000000006787"},
                        "colour_code": "#9fdbff",
                    }
                    for place, name in enumerate(("Qualification", "Won, at last"), start=1)
                ],
            }
        ]
        for layout in (3, 4)
    }


def _contact_roles() -> list[Row]:
    names = ("Decision Maker", "Purchasing", "Engineer, Lead")
    return [
        {"id": f"55402300000000687{number}", "name": name, "sequence_number": number}
        for number, name in enumerate(names, start=1)
    ]


@dataclass
class CompanyLists:
    """The lists of one organisation.

    Attributes:
        currencies: As the currencies call lists them; None if there is but the home currency.
        territories: As the territories call lists them; None if the feature is not enabled.
        territory_users: Ids of the users of each territory, by the territory's id.
        pipelines: The pipelines of each layout of Deals, by the layout's id.
        contact_roles: As the contact roles call lists them.
    """

    currencies: list[Row] | None = field(default_factory=_currencies)
    territories: list[Row] | None = field(default_factory=_territories)
    territory_users: dict[str, list[str]] = field(default_factory=dict)
    pipelines: dict[str, list[Row]] = field(default_factory=_pipelines)
    contact_roles: list[Row] = field(default_factory=_contact_roles)
