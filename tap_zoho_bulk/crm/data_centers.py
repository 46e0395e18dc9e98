"""Zoho's data centers and environments, and the hosts that serve them.

Source: https://www.zoho.com/crm/developer/docs/api/v8/multi-dc.html
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataCenter:
    """A region in which Zoho keeps accounts. An account lives in one of them.

    Args:
        domain: Zoho's domain there, such as `zoho.eu`.
        api_domain: The domain of the API hosts, such as `zohoapis.eu`.
    """

    domain: str
    api_domain: str

    @property
    def accounts_url(self) -> str:
        """The URL of the host that issues tokens."""
        return f"https://accounts.{self.domain}"

    @property
    def downloads_url(self) -> str:
        """The URL of the host that serves the results of bulk write jobs."""
        return f"https://download-accl.{self.domain}"


DATA_CENTERS = {
    "us": DataCenter("zoho.com", "zohoapis.com"),
    "eu": DataCenter("zoho.eu", "zohoapis.eu"),
    "uk": DataCenter("zoho.uk", "zohoapis.uk"),
    "in": DataCenter("zoho.in", "zohoapis.in"),
    "au": DataCenter("zoho.com.au", "zohoapis.com.au"),
    "jp": DataCenter("zoho.jp", "zohoapis.jp"),
    "ca": DataCenter("zohocloud.ca", "zohoapis.ca"),
    "cn": DataCenter("zoho.com.cn", "zohoapis.com.cn"),
    "sa": DataCenter("zoho.sa", "zohoapis.sa"),
    "ae": DataCenter("zoho.ae", "zohoapis.ae"),
}
"""All data centers, by the setting `data_center`."""

API_SUBDOMAINS = {"production": "www", "sandbox": "sandbox", "developer": "developer"}
"""The subdomain of an API domain that serves each environment, by the setting `environment`."""
