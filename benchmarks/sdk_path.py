"""The tap on the SDK's own record path: its default writer, and its type conformance.

`python -m benchmarks.sdk_path` takes the tap's arguments.
"""

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.io_base import SingerWriter

from tap_zoho_bulk.streams.module import ModuleStream
from tap_zoho_bulk.tap import TapZohoBulk


class SdkPathTap(TapZohoBulk):
    """The tap, without what makes it quick."""

    message_writer_class = SingerWriter  # type: ignore[assignment]


if __name__ == "__main__":
    ModuleStream.TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.RECURSIVE
    SdkPathTap.cli()
