"""A browser for tests: it answers the server's consent page. Needs the extra `browser`."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import requests

SECONDS = 10


def decide(url: str, decision: str = "accept", *, follow: bool = True) -> requests.Response:
    """Open the consent page, press a button, and follow Zoho's redirect where that is wished.

    Args:
        url: Of the consent page.
        decision: The button: accept or reject.
        follow: Whether the browser can open where the redirect leads.

    Returns:
        The page that the browser shows at last; without `follow`, the redirect.
    """
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(url, timeout=SECONDS)
        page.raise_for_status()
        action, ticket = re.search(r'action="(.*?)".*?value="(.*?)"', page.text, re.DOTALL).groups()  # type: ignore[union-attr]
        return session.post(
            urljoin(page.url, action),
            data={"ticket": ticket, "decision": decision},
            timeout=SECONDS,
            allow_redirects=follow,
        )
