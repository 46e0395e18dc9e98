"""A browser for tests, which submits the server's consent page. Needs the extra `browser`."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import requests

SECONDS = 10


def decide(url: str, decision: str = "accept", *, follow: bool = True) -> requests.Response:
    """Open the consent page, press a button, and follow the redirect if `follow` is set.

    Args:
        url: The consent page's URL.
        decision: The button to press: accept or reject.
        follow: Whether to follow the redirect.

    Returns:
        The last response; without `follow`, the redirect.
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
