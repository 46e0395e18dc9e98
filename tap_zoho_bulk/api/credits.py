"""API credits: what a run has spent, and what `api_credit_limit` still allows.

A job costs more than its creation: its status checks and its download follow. So a stream reserves
all of that before it creates one.

Invariant: all threads together spend no more than the limit, whatever the credits are spent on.

Source: https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html
"""

from __future__ import annotations

import math
import threading
from collections import Counter

from tap_zoho_bulk.exceptions import CreditLimitReachedError, StoppedError
from tap_zoho_bulk.reporting.spending import Spending

JOB_CREDITS = 50
"""API credits for creating a bulk read job; most other requests cost 1."""

FOLLOWING_CREDITS = 10
"""API credits to reserve for a job's checks and download: a job of a minute takes nine checks."""
_STOP_CHECK_SECONDS = 0.5


class CreditBudget:
    """The API credits of a run, for all its threads.

    Args:
        limit: Credits that the run may spend; None if it may spend any number.
        stop: Set when the run shuts down.
    """

    def __init__(self, limit: int | None, stop: threading.Event) -> None:
        self.spending = Spending()
        self._limit = limit
        self._stop = stop
        self._changed = threading.Condition()
        self._reserved: Counter[str | None] = Counter()

    def reserve_job(self, stream: Spending, *, is_created: bool = False) -> None:
        """Reserve what a stream's first job costs; wait while other streams may leave enough.

        Args:
            stream: The stream's spending.
            is_created: Whether the job exists, so that only its checks and its download cost.

        Raises:
            CreditLimitReachedError: When it would exceed the limit.
            StoppedError: When the run is shutting down.
        """
        cost = FOLLOWING_CREDITS if is_created else JOB_CREDITS + FOLLOWING_CREDITS
        with self._changed:
            while self._left() < cost and self._reserved.total():
                self._changed.wait(_STOP_CHECK_SECONDS)
                if self._stop.is_set():
                    raise StoppedError
            self._check(cost, "a job")
            self._reserved[stream.stream] += cost

    def charge(self, stream: Spending | None, credits: int) -> None:  # noqa: A002
        """Count what a request costs, before it is sent.

        Args:
            stream: The spending of the stream that sends it, if one does.
            credits: What it costs.

        Raises:
            CreditLimitReachedError: When it would exceed the limit.
        """
        with self._changed:
            name = None if stream is None else stream.stream
            reserved = min(self._reserved[name], credits)
            self._check(credits - reserved, "a request")
            self._reserved[name] -= reserved
            self._add(stream, credits=credits)

    def charge_job(self, stream: Spending) -> None:
        """Count what a job's creation costs, and reserve what follows.

        Args:
            stream: The stream's spending.

        Raises:
            CreditLimitReachedError: When it would exceed the limit.
        """
        with self._changed:
            name = stream.stream
            if self._reserved[name] < JOB_CREDITS:  # This is not the first job.
                self._check(JOB_CREDITS + FOLLOWING_CREDITS, "a job")
                self._reserved[name] += JOB_CREDITS + FOLLOWING_CREDITS
            self._reserved[name] -= JOB_CREDITS
            self._add(stream, credits=JOB_CREDITS, jobs=1)

    def refund(self, stream: Spending | None, credits: int) -> None:  # noqa: A002
        """Count a request no longer, since Zoho did not answer it.

        Args:
            stream: As when it was charged.
            credits: What was charged.
        """
        with self._changed:
            self._add(stream, credits=-credits)

    def refund_job(self, stream: Spending) -> None:
        """Count a job no longer, since Zoho did not create it.

        Args:
            stream: The stream's spending.
        """
        with self._changed:
            self._reserved[stream.stream] += JOB_CREDITS
            self._add(stream, credits=-JOB_CREDITS, jobs=-1)

    def job_ended(self, stream: Spending) -> None:
        """Free what a job did not need; only one that was created ahead is left.

        Args:
            stream: The stream's spending.
        """
        self._reduce_to(stream, FOLLOWING_CREDITS)

    def release(self, stream: Spending) -> None:
        """Free all that a stream has reserved: it has ended.

        Args:
            stream: The stream's spending.
        """
        self._reduce_to(stream, 0)

    def _reduce_to(self, stream: Spending, most: int) -> None:
        with self._changed:
            self._reserved[stream.stream] = min(self._reserved[stream.stream], most)
            self._changed.notify_all()

    def _left(self) -> float:
        """Return what is neither spent nor reserved."""
        if self._limit is None:
            return math.inf
        return self._limit - self.spending.credits - self._reserved.total()

    def _check(self, credits: int, what: str) -> None:  # noqa: A002
        if credits > self._left():
            reserved = self._reserved.total()
            raise CreditLimitReachedError(
                f"The run has spent {self.spending.credits} API credits"
                + (f" and needs {reserved} for what it has begun" if reserved else "")
                + f", so {what} for up to {credits} more would exceed `api_credit_limit` "
                f"({self._limit})."
            )

    def _add(self, stream: Spending | None, **cost: int) -> None:
        for counted in (self.spending, stream):
            if counted is not None:
                counted.add(**cost)
