"""Finding a Java that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.errors import ConfigurationError
from counterfoil.stack import java


def program(folder: Path, name: str, says: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    path.chmod(0o700)
    return str(path)


def test_the_first_that_fits_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(tmp_path, "old", 'openjdk version "1.8.0_392"')
    middle = program(tmp_path, "middle", 'openjdk version "17.0.15" 2025-04-15')
    new = program(tmp_path, "new", 'openjdk version "25" 2025-09-16')
    monkeypatch.setattr(java, "java_candidates", lambda: [str(tmp_path / "absent"), old, new, middle])
    assert [java.java_version(each) for each in (old, middle, new, "absent")] == [8, 17, 25, None]
    assert java.find_java("kafka", 17, 99) == new
    assert java.find_java("cassandra", 17, 17) == middle
    with pytest.raises(ConfigurationError) as error:
        java.find_java("thing", 26, 99)
    assert "thing: needs Java 26 or newer; found: " in str(error.value)
    assert f"{old} (8)" in str(error.value)
    assert "pip install 'counterfoil[stack]'" in str(error.value)
    with pytest.raises(ConfigurationError, match=r"needs Java 11; .* apt-get install openjdk-11-jre-headless"):
        java.find_java("thing", 11, 11)


def test_java_home_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.java_candidates()[0] == str(tmp_path / "bin" / "java")
