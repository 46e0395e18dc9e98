"""What all organisations of a fleet share."""

from __future__ import annotations

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
    """

    storage: str
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    tap: Sequence[str] = ("tap-zoho-bulk",)
    lease_seconds: float = 60.0
    timeout_seconds: float = 6 * 3600.0
    grace_seconds: float = 60.0
