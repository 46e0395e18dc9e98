"""Generated data."""

from __future__ import annotations

from local_zoho_crm import Organisation


def test_equal_seeds_give_equal_data() -> None:
    first, second = (Organisation.generate(seed=9).truth("Contacts") for _ in range(2))
    assert first == second
    assert first != Organisation.generate(seed=10).truth("Contacts")
