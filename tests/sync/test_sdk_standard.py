"""The SDK's own tests for taps.

They read the catalog when this file is collected, so the server starts then.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from singer_sdk.testing import SuiteConfig, get_tap_test_class

from local_zoho_crm import Organisation, ZohoServer
from tap_zoho_bulk.tap import TapZohoBulk
from tests.support.singer import FAST, select

MODULES = [
    *("Leads", "Deals", "Products", "DealHistory", "Custom_Projects", "Quoted_Items", "Quotes"),
    *("Events", "Notes", "Attachments"),
]

_at_exit = ExitStack()
atexit.register(_at_exit.close)


def _start() -> ZohoServer:
    sizes = {"Notes": 3, "Attachments": 3}
    organisation = Organisation.generate(seed=101, only=MODULES, sizes=sizes, empty=0.3)
    for module in organisation.modules.values():
        # The tests reject a field that Zoho lists but does not export.
        module.fields = {name: field for name, field in module.fields.items() if not field.rejected}
    organisation.delete("Leads", next(iter(organisation.module("Leads").records)))
    # The tests sign in again and again.
    return _at_exit.enter_context(ZohoServer(organisation, tokens_per_ten_minutes=None))


_CONFIG = _start().tap_config(**FAST)
_CATALOG = TapZohoBulk(config=_CONFIG).catalog_dict

TestTap = get_tap_test_class(
    TapZohoBulk,
    config=_CONFIG,
    suite_config=SuiteConfig(max_records_limit=None),
    # Some streams are not selected by default, but the tests sync all.
    catalog=select(_CATALOG, dict.fromkeys(each["tap_stream_id"] for each in _CATALOG["streams"])),
)
