"""What every benchmark shares: a result, a fair way to time, and the table that README carries.

A benchmark is a module of this folder with ``main() -> list[Result]``; ``python -m benchmarks.NAME`` runs it alone,
``python -m benchmarks.run`` (``make bench``) runs them all, each in a process of its own. A speed is stated as a ratio
to something measured in the same run wherever there is such a thing, because machines differ and ratios travel.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

RESULT_PREFIX = "result: "
"""Opens the lines on which a benchmark hands its results to ``benchmarks.run``."""


@dataclass(frozen=True, slots=True)
class Result:
    """One measured number.

    Parameters
    ----------
    name
        What was measured, in words.
    value
        The number.
    unit
        What it counts: ``events/s``, ``µs``, ``×``.
    target
        What it should be, as it is written: ``≥ 400,000`` or ``≤ 5``; empty where nothing was promised.
    note
        Sizes and circumstances that one must know to read the number.
    """

    name: str
    value: float
    unit: str
    target: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if not self.target:
            return None
        sign, _, bound = self.target.partition(" ")
        limit = float(bound.replace(",", ""))
        return self.value >= limit if sign == "≥" else self.value <= limit


def written(value: float) -> str:
    """Return a number the way people write it: three significant digits, thousands apart.

    Examples
    --------
    >>> [written(value) for value in (1_234_567.0, 812.4, 3.14159, 0.0321)]
    ['1,230,000', '812', '3.14', '0.0321']
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def table(results: Iterable[Result]) -> str:
    """Return results as a Markdown table."""
    lines = ["| measured | result | target | |", "| --- | ---: | ---: | --- |"]
    for result in results:
        missed = " (missed)" if result.met is False else ""
        name = f"{result.name}{missed}"
        lines.append(f"| {name} | {written(result.value)} {result.unit} | {result.target} | {result.note} |")
    return "\n".join(lines)


def best_seconds(action: Callable[[], object], rounds: int = 3) -> float:
    """Return the shortest wall-clock time of some rounds: the one that other work on the machine disturbed least."""
    shortest = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the sorted values lie (nearest rank)."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def report(main: Callable[[], list[Result]]) -> None:
    """Run one benchmark as a command: results as lines of JSON for ``benchmarks.run`` (``--json``), else as a table."""
    results = main()
    if "--json" in sys.argv[1:]:
        for result in results:
            print(RESULT_PREFIX + json.dumps(asdict(result)), flush=True)
    else:
        print(table(results))


def read_results(output: str) -> list[Result]:
    """Return the results in what a benchmark run with ``--json`` has printed."""
    lines = (line for line in output.splitlines() if line.startswith(RESULT_PREFIX))
    return [Result(**json.loads(line.removeprefix(RESULT_PREFIX))) for line in lines]
