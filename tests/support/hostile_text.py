"""Text that would do something to a terminal or a log that shows it as it is."""

from __future__ import annotations

_FORGED = "2026-01-02 03:04:05,678 | ERROR    | tap-zoho-bulk                  | forged"
_HARM = f"\x1b[2J\x1b]0;title\x07\u202eevil\u2066\x9b31m\u2028\r\n{_FORGED}\n\x7f"


def hostile(name: str) -> str:
    """Return a text that begins with a name, and has all kinds of harm after it."""
    return f"{name}:{_HARM}"


def check_lines(text: str) -> None:
    """Check that what a terminal shows has neither control characters nor forged lines."""
    for line in text.removesuffix("\n").split("\n"):
        assert line.isprintable(), repr(line)
        assert not line.startswith(_FORGED)
