from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterfoil.definition import list_files
from counterfoil.definition.list_files import read_list_file
from counterfoil.definition.place import Place, Report
from counterfoil.definition.tree import Node


def read(name: str, folder: Path | None) -> tuple[tuple[str, ...] | None, str]:
    report = Report()
    values = read_list_file(Place(Node(name, 1, name), "lists.x.file", report), folder)
    return values, "\n".join(str(problem) for problem in report.problems)


def test_one_value_a_line_without_comments(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes("\ufeff# who\n\n  a b \r\n007\nä\u2028b\n".encode())
    assert read("x.txt", tmp_path) == (("a b", "007", "ä\u2028b"), "")


def test_a_definition_without_a_folder_reads_no_files() -> None:
    assert "may not read files" in read("x.txt", None)[1]


def test_what_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No such file" in read("nothing.txt", tmp_path)[1]
    (tmp_path / "folder").mkdir()
    assert "no regular file" in read("folder", tmp_path)[1]
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in read("pipe", tmp_path)[1]
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert "no UTF-8 text" in read("bytes", tmp_path)[1]
    assert "found" in read("a\x00b", tmp_path)[1]
    (tmp_path / "large").write_text("a\nb\nc\n")
    monkeypatch.setattr(list_files, "MAX_LIST_VALUES", 2)
    assert "at most 2 values" in read("large", tmp_path)[1]
    monkeypatch.setattr(list_files, "MAX_LIST_BYTES", 3)
    assert "larger than 3 bytes" in read("large", tmp_path)[1]
