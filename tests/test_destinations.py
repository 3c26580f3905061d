from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterfoil.backtest import Backtest
from counterfoil.config import parse_config
from counterfoil.destinations import check_destinations, check_run
from counterfoil.detector_file import load_detector
from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.local.runtime import LocalRuntime


def test_an_output_is_never_the_input_whatever_it_is_called(tmp_path: Path) -> None:
    source = tmp_path / "events.ndjson"
    source.write_bytes(b"{}\n")
    hard, soft = tmp_path / "hard", tmp_path / "soft"
    os.link(source, hard)
    soft.symlink_to(source)
    for name in (source, hard, soft, tmp_path / "." / "events.ndjson"):
        with pytest.raises(ConfigurationError, match=r"--output: .* is the file of --input.*would be overwritten"):
            check_destinations([("--input", source)], [("--output", name)])


def test_one_file_is_not_written_twice_even_before_it_exists(tmp_path: Path) -> None:
    absent, link = tmp_path / "absent", tmp_path / "link"
    link.symlink_to(absent)
    with pytest.raises(ConfigurationError, match=r"--decisions: .* is the file of --features.*written already"):
        check_destinations([], [("--features", absent), ("--decisions", link)])
    with pytest.raises(ConfigurationError, match="written already"):
        check_destinations([], [("--output", "-"), ("--output", "-")])


def test_devices_and_different_files_are_fine(tmp_path: Path) -> None:
    check_destinations([("--input", os.devnull)], [("--output", os.devnull), ("--report", os.devnull)])
    check_destinations([("--input", tmp_path / "a")], [("--output", tmp_path / "b"), ("--report", tmp_path / "c")])


def test_a_run_writes_neither_its_definition_nor_its_log(tmp_path: Path) -> None:
    state, definition = tmp_path / "state", tmp_path / "mine.yaml"
    state.mkdir()
    for path in (state / "counterfoil.sqlite", definition):
        path.write_bytes(b"x")
        config = parse_config(
            {
                "detector": str(definition),
                "source": {"type": "generator"},
                "sinks": [{"path": str(path)}],
                "state": {"folder": str(state)},
            }
        )
        with pytest.raises(ConfigurationError, match="would be overwritten"):
            check_run(config)


def test_the_library_keeps_to_it_too(tmp_path: Path) -> None:
    source, link = tmp_path / "events.ndjson", tmp_path / "link"
    source.write_bytes(b"{}\n")
    os.link(source, link)
    config = parse_config({"detector": "laundering", "source": {"path": str(source)}, "sinks": [{"path": str(link)}]})
    with pytest.raises(ConfigurationError, match="would be overwritten"), LocalRuntime(config):
        pass
    with pytest.raises(ConfigurationError, match="would be overwritten"):
        Backtest(load_detector("laundering"), (source,), decisions=link).run()
    assert source.read_bytes() == b"{}\n"
