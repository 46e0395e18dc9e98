"""What a start is measured against: the Meltano SDK, which every tap on it imports.

`python -m benchmarks.sdk_alone` imports it, and ends.
"""

import singer_sdk  # noqa: F401
