"""Values of a list that stand in a file of their own."""

from __future__ import annotations

from pathlib import Path

from counterfoil.definition.limits import MAX_LIST_BYTES, MAX_LIST_VALUES
from counterfoil.definition.place import Place


def read_list_file(place: Place, folder: Path | None) -> tuple[str, ...] | None:
    """Return the values of the file that a place names: one a line, without empty lines and comments (``#``).

    Parameters
    ----------
    place
        Holds the file's path, relative to the definition.
    folder
        Where the definition lies; None where it may not read files.
    """
    text = place.text(1_000)
    if text is None:
        return None
    if folder is None:
        place.problem("values: this definition may not read files")
        return None
    content = _read(place, folder / text)
    if content is None:
        return None
    values = tuple(line for each in content.split("\n") if (line := each.strip()) and not line.startswith("#"))
    if len(values) > MAX_LIST_VALUES:
        place.problem(f"a file with at most {MAX_LIST_VALUES:,} values", found=f'"{text}" with {len(values):,}')
        return None
    return values


def _read(place: Place, path: Path) -> str | None:
    try:
        # A device or a pipe would have no size and no end.
        if path.exists() and not path.is_file():
            raise ValueError("no regular file")
        with path.open("rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
        if len(content) > MAX_LIST_BYTES:
            raise ValueError(f"larger than {MAX_LIST_BYTES:,} bytes")
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "no UTF-8 text" if isinstance(error, UnicodeError) else getattr(error, "strerror", None) or str(error)
        place.problem("a text file beside the definition, one value a line", found=f"{path.name}: {reason}")
        return None
