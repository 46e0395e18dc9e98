"""The search index: the records as Zoho's counts see them, which lags behind the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Module, Record


class SearchIndex:
    """The records of all modules at the index's last refresh.

    Args:
        organisation: The records' owner.
        lag: The time between refreshes by the organisation's clock; None for an index that is
            always up to date. The first refresh is now.
    """

    def __init__(self, organisation: Organisation, lag: timedelta | None) -> None:
        self._organisation = organisation
        self._lag = lag
        self._refresh()

    def _refresh(self) -> None:
        with self._organisation.lock:
            self._refreshed = self._organisation.now()
            self._records = {
                name: list(module.records.values())
                for name, module in self._organisation.modules.items()
                if self._lag is not None
            }

    def records(self, module: Module) -> list[Record]:
        """Return a module's records."""
        with self._organisation.lock:
            if self._lag is None:
                return list(module.records.values())
            if self._organisation.now() - self._refreshed >= self._lag:
                self._refresh()
            return self._records.get(module.api_name, [])
