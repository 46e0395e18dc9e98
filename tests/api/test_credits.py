"""The credit budget: what is reserved for a stream is kept from all others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.api.credits import CreditBudget
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.exceptions import CreditLimitReachedError, StoppedError
from tap_zoho_bulk.reporting.spending import Spending
from tap_zoho_bulk.settings import Settings
from tests.support.organisations import small_organisation

if TYPE_CHECKING:
    from tests.conftest import Serve

JOB = 60  # its creation, and what follows


@pytest.fixture
def leads() -> Spending:
    return Spending("Leads")


@pytest.fixture
def deals() -> Spending:
    return Spending("Deals")


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


def test_a_job_is_reserved_with_what_follows(
    stop: threading.Event, leads: Spending, deals: Spending
) -> None:
    budget = CreditBudget(JOB + 5, stop)

    budget.reserve_job(leads)
    with pytest.raises(CreditLimitReachedError, match="needs 60 for what it has begun"):
        budget.charge(deals, 6)
    budget.charge(deals, 5)
    budget.charge_job(leads)
    budget.charge(leads, 10)

    assert budget.spending.credits == JOB + 5
    with pytest.raises(CreditLimitReachedError, match=r"has spent 65 API credits, so"):
        budget.charge(leads, 1)


def test_what_a_job_did_not_need_is_free(
    stop: threading.Event, leads: Spending, deals: Spending
) -> None:
    budget = CreditBudget(JOB, stop)
    budget.charge_job(leads)
    budget.charge(leads, 2)

    budget.job_ended(leads)
    with pytest.raises(CreditLimitReachedError):
        budget.charge(deals, 1)
    budget.release(leads)
    budget.charge(deals, 8)

    assert budget.spending.credits == JOB


def test_a_job_that_was_not_created_costs_nothing(stop: threading.Event, leads: Spending) -> None:
    budget = CreditBudget(JOB, stop)
    budget.charge_job(leads)
    budget.refund_job(leads)
    budget.charge_job(leads)

    assert (budget.spending.credits, budget.spending.jobs) == (50, 1)


def test_a_job_that_is_not_requested_as_the_run_ends_costs_nothing(
    serve: Serve, leads: Spending
) -> None:
    server = serve(small_organisation({"Rooms": 1}))
    client = ZohoClient(Settings.from_config(server.tap_config()))
    client.get(ApiRequest("/crm/v8/org", what="ask for the organisation", scope="of org"))
    client.stop.set()

    with pytest.raises(StoppedError):
        client.create_job(
            ApiRequest("/crm/bulk/v8/read", what="create a job", scope="of bulk"),
            {"query": {"module": {"api_name": "Rooms"}}},
            spending=leads,
        )
    client.close()

    assert (leads.credits, leads.jobs) == (0, 0)
    assert client.credits.spending.credits == 1


def test_a_job_of_an_earlier_run_reserves_its_checks_and_its_download(
    stop: threading.Event, leads: Spending, deals: Spending
) -> None:
    budget = CreditBudget(JOB + 10, stop)
    budget.reserve_job(leads, is_created=True)

    budget.charge_job(deals)
    with pytest.raises(CreditLimitReachedError):
        budget.charge(deals, 11)
    budget.charge(leads, 10)

    assert leads.jobs == 0


def test_a_first_job_waits_for_what_others_may_leave(
    stop: threading.Event, leads: Spending, deals: Spending
) -> None:
    budget = CreditBudget(2 * JOB, stop)
    budget.reserve_job(leads)
    budget.charge(None, 1)
    is_reserved = threading.Event()

    def reserve() -> None:
        budget.reserve_job(deals)
        is_reserved.set()

    thread = threading.Thread(target=reserve)
    thread.start()
    assert not is_reserved.is_set()
    budget.release(leads)
    thread.join(30)

    assert is_reserved.is_set()


def test_a_wait_for_credits_ends_with_the_run(
    stop: threading.Event, leads: Spending, deals: Spending
) -> None:
    budget = CreditBudget(JOB, stop)
    budget.reserve_job(leads)
    stop.set()

    with pytest.raises(StoppedError):
        budget.reserve_job(deals)


def test_all_threads_together_keep_to_the_limit(stop: threading.Event) -> None:
    budget = CreditBudget(500, stop)
    refused = []

    def spend(name: str) -> None:
        stream = Spending(name)
        try:
            budget.reserve_job(stream)
            while True:
                budget.charge_job(stream)
                budget.charge(stream, 2)
                budget.job_ended(stream)
        except CreditLimitReachedError:
            refused.append(name)
        finally:
            budget.release(stream)

    threads = [threading.Thread(target=spend, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(refused) == 8
    assert 500 - JOB < budget.spending.credits <= 500


def test_without_a_limit_all_is_allowed(
    stop: threading.Event, leads: Spending, deals: Spending
) -> None:
    budget = CreditBudget(None, stop)

    for _ in range(100):
        budget.reserve_job(leads)
        budget.charge_job(deals)
        budget.charge(None, 1)

    assert budget.spending.credits == 5100
