"""What all organisations of a fleet share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Fleet:
    """What all organisations of a fleet share.

    Args:
        storage: URL of the fleet's folder in object storage, such as `s3://bucket/fleet`.
        storage_options: Options of that storage, as obstore's stores take them; by default, those
            of the environment, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`.
        tap: The tap's command.
        lease_seconds: After how long another run may start if this one is gone.
        timeout_seconds: After how long a run is stopped. The next one continues.
        grace_seconds: How long stopping may take.

    Raises:
        ValueError: If the tap is not a list, or seconds are not a positive number.
    """

    storage: str
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    tap: Sequence[str] = ("tap-zoho-bulk",)
    lease_seconds: float = 60.0
    timeout_seconds: float = 6 * 3600.0
    grace_seconds: float = 60.0

    def __post_init__(self) -> None:
        if isinstance(self.tap, str) or not self.tap:
            raise ValueError("`tap` must be a list: a command and its arguments.")
        for name in ("lease_seconds", "timeout_seconds", "grace_seconds"):
            seconds = getattr(self, name)
            if not (isinstance(seconds, (int, float)) and 0 < seconds < math.inf):
                raise ValueError(f"`{name}` must be a number of seconds above 0, not {seconds!r}.")
