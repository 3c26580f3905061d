"""``python -m benchmarks.quality``: run the protocols and print one JSON object each."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.quality import cards, laundering

_SHARED = Path(os.environ.get("COUNTERFOIL_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, help="another world of card payments: a folder with transactions.parquet")
    parser.add_argument("--protocol", choices=["cards", "laundering"], help="only this one")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (3)")
    parser.add_argument("--threads", type=int, default=2, help="threads that learn (2)")
    given = parser.parse_args()
    wanted = [given.protocol] if given.protocol else ["cards"] if given.data else ["cards", "laundering"]
    with TemporaryDirectory(prefix="counterfoil-quality-") as work:
        for protocol in wanted:
            table = Path(work) / f"{protocol}.parquet"
            if protocol == "cards":
                run_cards(given.data or _SHARED / "handbook_card", table, given.seeds, given.threads)
            else:
                run_laundering(given.data or _SHARED / "aml_injected", table, given.seeds, given.threads)
            table.unlink()


def run_cards(folder: Path, out: Path, seeds: int, threads: int) -> None:
    """Run sets A and B."""
    table, labels = cards.dataset(_present(folder), out), cards.truth(folder)
    for name, begins in cards.starts(table.times).items():
        started = time.perf_counter()
        scores = [[cards.fold(table, labels, begin, seed, threads) for begin in begins] for seed in range(1, seeds + 1)]
        _print(cards.summary(scores, name), started)


def run_laundering(folder: Path, out: Path, seeds: int, threads: int) -> None:
    """Run the laundering protocol."""
    table, attempts = laundering.dataset(_present(folder), out), laundering.attempts(folder)
    started = time.perf_counter()
    _print(
        laundering.summary([laundering.score(table, attempts, seed, threads) for seed in range(1, seeds + 1)]), started
    )


def _present(folder: Path) -> Path:
    if not (folder / "transactions.parquet").is_file():
        sys.exit(f"{folder}: found no transactions.parquet; allowed: --data FOLDER (make quality DATA=FOLDER)")
    return folder


def _print(found: dict[str, object], started: float) -> None:
    print(json.dumps(found | {"seconds": round(time.perf_counter() - started, 1)}), flush=True)


if __name__ == "__main__":
    main()
