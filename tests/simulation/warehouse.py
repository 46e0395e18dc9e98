"""The warehouse: what a target stores of a run, also if the target crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.batches import local, records_in
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    import random

    from tests.simulation.world import Key, World

Json = dict[str, Any]


class Delivery:
    """The messages of one run that reached the target.

    Args:
        world: To know which records must be there when old rows go.
    """

    def __init__(self, world: World) -> None:
        self.messages: list[Json] = []
        self._world = world

    def take(self, message: Json) -> None:
        """Accept a message; the records of BATCH files are read at once."""
        kind = message["type"]
        if kind == "BATCH":
            records = [
                record
                for url in message["manifest"]
                for record in records_in(local(url), message["encoding"])
            ]
            message = {**message, "records": records}
        elif kind == "ACTIVATE_VERSION" and message["stream"] in self._world.left:
            message = {**message, "staying": self._world.staying(message["stream"])}
        self.messages.append(message)

    @staticmethod
    def records(message: Json) -> list[Json]:
        """Return the records of a message."""
        if message["type"] == "RECORD":
            return [message["record"]]
        return list(message.get("records", ()))


class Warehouse:
    """The tables, and the STATE with which the next run begins."""

    def __init__(self) -> None:
        self._target = UpsertingTarget()
        self.problems: list[str] = []

    @property
    def state(self) -> Json | None:
        """Return the last STATE that the target handed on."""
        return self._target.state

    @state.setter
    def state(self, state: Json | None) -> None:
        self._target.state = state

    def rows(self, stream: str) -> dict[Key, Json]:
        """Return the rows of a table by key."""
        return self._target.by_key(stream)

    def load(self, delivery: Delivery, rng: random.Random | None) -> str:
        """Store the messages of a run.

        Args:
            delivery: The messages.
            rng: Chooses what is lost in a crash of the target: it has handed on the STATE of some
                moment, and stored more of some tables. None if it stores everything.

        Returns:
            What was stored, in words.
        """
        messages = delivery.messages
        last = len(messages)
        handed = last if rng is None else rng.randint(0, last)
        stored: dict[str, int] = {}
        for number, message in enumerate(messages, 1):
            if message["type"] == "STATE":
                if number <= handed:
                    self._target.store(message)
                continue
            stream = message["stream"]
            if stream not in stored:
                stored[stream] = last if rng is None else rng.randint(handed, last)
            if number <= stored[stream]:
                self._store(message)
        return f"{last} messages, STATE of {handed}: {self.state}"

    def _store(self, message: Json) -> None:
        if "staying" not in message:
            self._target.store(message)
            return
        stream = message["stream"]
        # A record that was restored during the read has a row that is still marked.
        before = {
            key
            for key, row in self._target.by_key(stream).items()
            if not row.get("_sdc_deleted_at")
        }
        self._target.store(message)
        dropped = before - self._target.by_key(stream).keys()
        self.problems += [
            f"{stream}: {key} was dropped though Zoho has it"
            for key in dropped & message["staying"]
        ]
