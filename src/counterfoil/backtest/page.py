"""The page of a report: one HTML file that needs nothing else, to read, to print and to pass on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from counterfoil.errors import StorageError

_STYLE = """
:root { --ink:#1c2430; --soft:#677487; --line:#e3e8ee; --back:#f5f7fa; --card:#fff; --fraud:#c8372d; --genuine:#e8b34b;
  --unknown:#a9b4c2; --good:#2f8f5b; --accent:#2c6fb7; --other:#8a5bb5; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4e9f0; --soft:#93a1b5; --line:#2b3644; --back:#12171e;
  --card:#1a212b; --fraud:#e8675e; --genuine:#d9a53c; --unknown:#5c6a7c; --good:#4cba7e; --accent:#63a0e0;
  --other:#b48be0; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--back); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif; }
main { max-width:980px; margin:0 auto; padding:40px 24px 64px; }
h1 { font-size:26px; margin:0 0 4px; } h2 { font-size:17px; margin:0 0 12px; } code { font-size:.92em; }
.sub { color:var(--soft); margin:0 0 24px; }
section { background:var(--card); border:1px solid var(--line); border-radius:12px; padding:22px 26px;
  margin:0 0 20px; }
.tiles { display:grid; grid-template-columns:repeat(auto-fill,minmax(205px,1fr)); gap:14px; margin-bottom:20px; }
.tile { background:var(--card); border:1px solid var(--line); border-radius:12px; padding:14px 18px; }
.tile b { display:block; font-size:25px; font-variant-numeric:tabular-nums; letter-spacing:-.01em; }
.tile span { color:var(--soft); font-size:13px; } .tile em { font-style:normal; font-size:13px; color:var(--soft); }
.tile .up { color:var(--good); } .tile .down { color:var(--fraud); }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; font-size:14px; }
th,td { text-align:right; padding:6px 10px; border-bottom:1px solid var(--line); }
th { color:var(--soft); font-weight:600; }
th:first-child,td:first-child { text-align:left; padding-left:0; } tr:last-child td { border-bottom:0; }
td.quiet { color:var(--soft); } ul { margin:0; padding-left:20px; }
.legend { margin:0 0 8px; color:var(--soft); font-size:13px; } .legend span { margin-right:18px; }
.legend i { display:inline-block; width:11px; height:11px; border-radius:3px; margin-right:6px; vertical-align:-1px; }
svg { width:100%; height:auto; display:block; } .scroll { overflow-x:auto; }
svg text { font:12px system-ui,sans-serif; fill:var(--ink); } svg .tick { fill:var(--soft); font-size:11px; }
svg .middle,svg .cell { text-anchor:middle; } svg .end { text-anchor:end; } svg .cell { font-size:11px; }
svg .cell.light { fill:#fff; } svg .grid { stroke:var(--line); } svg .touch { fill:transparent; }
.fraud { fill:var(--fraud); background:var(--fraud); } .genuine { fill:var(--genuine); background:var(--genuine); }
.unknown { fill:var(--unknown); background:var(--unknown); } .good { fill:var(--good); background:var(--good); }
.accent,.heat { fill:var(--accent); background:var(--accent); } .other { fill:var(--other); background:var(--other); }
.own { fill:var(--line); } .line { fill:none !important; stroke-width:2; }
.line.accent { stroke:var(--accent); } .line.other { stroke:var(--other); }
@media print { body { background:#fff; } section,.tile { break-inside:avoid; } }
"""


def page(title: str, content: str) -> str:
    """Return a page.

    Parameters
    ----------
    title
        What the browser's tab says, as plain text.
    content
        HTML: a heading, then sections.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{content}</main></body></html>\n"
    )


def write_page(path: Path, content: str) -> None:
    """Write a page.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    try:
        path.write_text(content, "utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{path}: cannot be written: {reason}; choose another report file") from error


def section(title: str, content: str, hint: str = "") -> str:
    """Return a section of HTML under a title of plain text."""
    sub = f'<p class="sub" style="margin-bottom:12px">{escape(hint)}</p>' if hint else ""
    return f"<section><h2>{escape(title)}</h2>{sub}{content}</section>"


def header(title: str, content: str, written: datetime) -> str:
    """Return what a page begins with: a title of plain text, what it is about as HTML, and when it was written."""
    return f'<h1>{escape(title)}</h1><p class="sub">{content} · written {written:%Y-%m-%d %H:%M} UTC</p>'


def tiles(entries: Iterable[tuple[str, str, str, str]]) -> str:
    """Return figures to be seen at once.

    Parameters
    ----------
    entries
        For each its name, the figure and what is said on pointing at it, all plain text, and HTML below the figure.
    """
    found = [
        f'<div class="tile"{_title(hint)}><span>{escape(name)}</span><b>{escape(text)}</b>{below}</div>'
        for name, text, hint, below in entries
    ]
    return f'<div class="tiles">{"".join(found)}</div>'


def _title(hint: str) -> str:
    return f' title="{escape(hint)}"' if hint else ""


def listed(title: str, items: Iterable[str], hint: str = "") -> str:
    """Return a section with a list of HTML."""
    return section(title, "<ul>" + "".join(f"<li>{each}</li>" for each in items) + "</ul>", hint)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: its head plain text, its cells HTML."""
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{each}</td>" for each in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'
