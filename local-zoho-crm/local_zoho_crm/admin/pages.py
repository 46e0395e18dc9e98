"""The admin pages as HTML: plain forms, no script."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from local_zoho_crm.admin.edits import EditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from local_zoho_crm.schema import Module, Record

_MAX_VALUE_CHARACTERS = 200
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .15rem 1rem .15rem 0; text-align: left }
td.number { text-align: right } th { border-bottom: 1px solid #bbb }
pre { background: #f3f3f3; padding: .7rem; overflow-x: auto }
textarea { width: 100%; box-sizing: border-box; font: inherit } form.inline { display: inline }
h2 { margin-top: 2rem }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title} - local Zoho CRM</title>
<style>{style}</style></head>
<body><p><a href="/_local/">Local Zoho CRM</a></p><h1>{title}</h1>{body}</body></html>"""
_CODE_FORM = """<h2>Sign in a self client</h2>
<form method="post" action="/_local/codes">
<p><label>Scopes, separated by commas; empty for all that the tap needs<br>
<textarea name="scopes" rows="2"></textarea></label></p>
<button>Generate code</button></form>"""
_VALUES_FORM = """<form method="post" action="{action}">
<p><label>One <code>Field=value</code> per line{hint}<br>
<textarea name="values" rows="4"></textarea></label></p><button>{button}</button></form>"""
_DELETE_FORM = """<form class="inline" method="post" action="{action}/delete">
<input type="hidden" name="permanent" value="{permanent}"><button>{button}</button></form>"""


def overview(
    modules: Iterable[Mapping[str, Any]], config: Mapping[str, Any], log: Sequence[str]
) -> str:
    """Return the first page."""
    rows = [
        (_link(f"modules/{each['module']}", each["module"]), each["records"], each["deleted"])
        for each in modules
    ]
    return _page(
        "Organisation",
        _table(("Module", "Records", "Deleted"), rows),
        "<h2>Configuration for the tap</h2>",
        _pre(json.dumps(config, indent=2)),
        _CODE_FORM,
        f"<h2>Last {len(log)} requests</h2>" if log else "<h2>No requests yet</h2>",
        _pre("\n".join(log)) if log else "",
    )


def code(code: str) -> str:
    """Return the page that shows a grant code."""
    return _page("Code", _pre(code), "<p>Exchange it within three minutes; it works once.</p>")


def module(module: Module, latest: Sequence[Mapping[str, str]]) -> str:
    """Return a module's page: its newest records and a form to add one."""
    name = module.api_name
    rows = [
        (_link(f"modules/{name}/records/{each['id']}", each["id"]), escape(each["name"]))
        for each in latest
    ]
    hint = "; other fields get generated values"
    action = f"/_local/modules/{escape(name)}/records"
    return _page(
        name,
        f"<p>{len(module.records)} records; the newest are</p>",
        _table(("Id", "Name"), rows),
        "<h2>Add a record</h2>",
        _VALUES_FORM.format(action=action, hint=hint, button="Add"),
    )


def record(module: Module, record: Record) -> str:
    """Return a record's page: its values, and forms to change and delete it."""
    action = f"/_local/modules/{escape(module.api_name)}/records/{record['id']}"
    rows = [
        (escape(field.api_name), escape(field.kind), _value(record.get(field.api_name)))
        for field in module.exportable_fields
    ]
    return _page(
        f"{module.api_name} {record['id']}",
        _VALUES_FORM.format(action=action, hint="; no value empties a field", button="Change"),
        "<p>",
        _DELETE_FORM.format(action=action, permanent="false", button="Move to recycle bin"),
        _DELETE_FORM.format(action=action, permanent="true", button="Delete permanently"),
        "</p>",
        _table(("Field", "Kind", "Value"), rows),
    )


def problem(message: str) -> str:
    """Return the page for a change that was refused."""
    return _page("That did not work", f"<p>{escape(message)}</p>")


def assignments(text: str) -> dict[str, str]:
    """Parse lines of `Field=value`.

    Raises:
        EditError: A line has no equals sign.
    """
    values = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise EditError(f"{line!r} is not Field=value.")
        values[name.strip()] = value.strip()
    return values


def _page(title: str, *parts: str) -> str:
    return _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(parts))


def _link(path: str, text: str) -> str:
    return f'<a href="/_local/{escape(path)}">{escape(text)}</a>'


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """Return a table; its cells are HTML or numbers."""
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{lines}</table>"


def _cell(content: str | int) -> str:
    return (
        f'<td class="number">{content}</td>' if isinstance(content, int) else f"<td>{content}</td>"
    )


def _value(value: Any) -> str:
    if value is None:
        return ""
    text = ";".join(value) if isinstance(value, list) else str(value)
    return escape(text[:_MAX_VALUE_CHARACTERS])
