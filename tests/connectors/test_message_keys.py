from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.connectors.message_keys import delimited_keys, json_keys, split_lines

scalars = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=8)
records = st.dictionaries(
    st.sampled_from(["card", "customer", "x"]), scalars | st.lists(scalars, max_size=2), max_size=3
)


def slow_key(record: dict[str, Any], name: str) -> bytes | None:
    found = record.get(name)
    if found is None:
        return None
    return (
        found.encode()
        if isinstance(found, str)
        else json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    )


def encoded(key: bytes | str | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key


@given(st.lists(records, min_size=1, max_size=8), st.booleans())
def test_json_keys_are_the_fields(found: list[dict[str, Any]], ended: bool) -> None:
    lines = "\n".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in found).encode()
    lines += b"\n" if ended else b""
    keys = json_keys("card")(lines)
    assert [encoded(key) for key in keys] == [slow_key(each, "card") for each in found]
    assert len(keys) == len(split_lines(lines))


def test_lines_that_are_no_records_have_no_key_and_their_neighbours_keep_theirs() -> None:
    lines = b'{"card":"a"}\n\n{"card":\nnull\n[1]\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"card":"b"}\n'
    assert json_keys("card")(lines) == ["a", None, None, None, None, None, None, "b"]


@given(st.lists(st.lists(st.text("ab 1", max_size=3), min_size=1, max_size=4), min_size=1, max_size=6))
def test_delimited_keys_are_the_values(rows: list[list[str]]) -> None:
    lines = "\n".join(";".join(row) for row in rows).encode() + b"\n"
    wanted = [(row[1].strip().encode() or None) if len(row) > 1 else None for row in rows]
    assert delimited_keys(1, ";")(lines) == wanted


def test_lines_are_split_without_their_ends() -> None:
    assert split_lines(b"") == []
    assert split_lines(b"a\nb\n") == split_lines(b"a\nb") == [b"a", b"b"]
    assert split_lines(b"a\n\n") == [b"a", b""]
