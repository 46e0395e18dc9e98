"""Changes to records as users enter them: field names, and values as text or JSON."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Field, Module, Record

_BOOLEANS = {"true": True, "false": False}
_LIST_SEPARATOR = ";"
_MAX_BIGINT = 2**63 - 1


class EditError(Exception):
    """A change that is refused, with a message for the user.

    Attributes:
        status: The HTTP status of the response.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Edits:
    """Checks changes and applies them to an organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation

    def module(self, name: str) -> Module:
        """Return a module by its API name.

        Raises:
            EditError: There is no such module.
        """
        module = self._organisation.modules.get(name)
        if module is None:
            raise EditError(f"There is no module {name}.", 404)
        return module

    def record(self, module: Module, record_id: str) -> Record:
        """Return a record.

        Raises:
            EditError: The module has no such record.
        """
        record = module.records.get(record_id)
        if record is None:
            raise EditError(f"{module.api_name} has no record {record_id}.", 404)
        return record

    def add(self, module: Module, given: Mapping[str, Any]) -> str:
        """Add a record, with generated values for all fields that are not given.

        Args:
            module: The record's module.
            given: Values by field.

        Returns:
            The new record's id.

        Raises:
            EditError: A field or a value is unknown or invalid.
        """
        values = self._values(module, given)
        (record_id,) = self._organisation.insert(module.api_name, values=values)
        return record_id

    def change(self, module: Module, record_id: str, given: Mapping[str, Any]) -> None:
        """Change fields of a record; with no values, set only the time of its last change.

        Raises:
            EditError: The record, a field or a value is unknown or invalid.
        """
        values = self._values(module, given)
        with self._organisation.lock:
            self.record(module, record_id)
            self._organisation.update(module.api_name, record_id, **values)

    def delete(self, module: Module, record_id: str, *, permanent: bool) -> None:
        """Move a record to the recycle bin, or delete it for good, also from there.

        Raises:
            EditError: The module has no such record.
        """
        with self._organisation.lock:
            if not (permanent and record_id in module.trash):
                self.record(module, record_id)
            self._organisation.delete(module.api_name, record_id, permanent=permanent)

    def _values(self, module: Module, given: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for name, value in given.items():
            field = module.fields.get(name)
            if field is None or not field.exportable:
                raise EditError(f"{module.api_name} has no field {name} with a value.")
            try:
                values[name] = self._value(field, value)
            except (ValueError, TypeError, InvalidOperation) as error:
                problem = f"{name} takes a value of the kind {field.kind}, not {value!r}."
                raise EditError(problem) from error
        return values

    def _value(self, field: Field, value: Any) -> Any:
        """Convert a value to the type that records hold, of text or of JSON."""
        if value is None or value == "":
            return None
        if field.kind == "list":
            return _texts(value)
        if isinstance(value, (list, dict)):
            raise TypeError("not a single value")
        conversions: dict[str, Callable[[str], Any]] = {
            "boolean": _boolean,
            "integer": _integer,
            "bigint": _integer,
            "number": _number,
            "date": date.fromisoformat,
            "datetime": self._instant,
            "lookup": partial(self._record_id, field),
        }
        return conversions.get(field.kind, str)(_encodable(str(value)))

    def _instant(self, text: str) -> datetime:
        instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return instant if instant.tzinfo else instant.replace(tzinfo=self._organisation.zone)

    def _record_id(self, field: Field, text: str) -> str:
        target = self._organisation.target(field)
        if target is None or text not in target.records:
            raise EditError(f"{field.api_name} must be the id of a record in {field.target}.")
        return text


def _texts(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else str(value).split(_LIST_SEPARATOR)
    if not all(isinstance(part, str) for part in parts):
        raise TypeError("not a list of texts")
    return [_encodable(part) for part in parts if part]


def _encodable(text: str) -> str:
    text.encode()
    return text


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("neither true nor false") from None


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) > _MAX_BIGINT:
        raise ValueError("too large")
    return number


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError("not finite")
    return number
