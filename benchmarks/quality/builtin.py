"""``make models``: train what is built in, from generated data, by the documented commands."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def commands(work: Path, registry: str, count: int) -> list[list[str]]:
    """Return the commands in order."""
    counterfoil = [sys.executable, "-m", "counterfoil"]
    payments, table = work / "payments.ndjson", work / "payments.parquet"
    money, money_table = work / "paysim.csv", work / "paysim.parquet"
    customers = max(count // 160, 100)

    def train(detector: str, of: Path, model: str, name: str, *more: str) -> list[str]:
        kept = ["--name", name, "--registry", registry, "--promote", "champion", "--why", "built in"]
        return [*counterfoil, "train", detector, str(of), "--model", model, *kept, *more]

    return [
        [*counterfoil, "generate", "payments", "--count", str(count), "--customers", str(customers),
         "--output", str(payments)],
        [*counterfoil, "dataset", "payments", str(payments), "--labels", "outcome.fraud", "--label-delay", "14d",
         "--out", str(table)],
        train("payments", table, "logistic", "payments-logistic", "--class-weight", "balanced", "--entity", "card_id"),
        train("payments", table, "lightgbm", "payments", "--entity", "card_id"),
        [sys.executable, "-m", "counterfoil.training.paysim", "--count", str(count), "--output", str(money)],
        [*counterfoil, "dataset", "paysim", str(money), "--kind", "payment", "--labels", "isFraud",
         "--label-delay", "24s", "--out", str(money_table)],
        train("paysim", money_table, "logistic", "paysim", "--class-weight", "balanced"),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.quality.builtin", description=__doc__)
    parser.add_argument("--registry", default="models", help="the registry to put them into (models)")
    parser.add_argument("--count", type=int, default=400_000, help="events to generate (400,000)")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="counterfoil-models-") as work:
        for command in commands(Path(work), given.registry, given.count):
            print("$ " + " ".join(["counterfoil", *command[3:]]), file=sys.stderr, flush=True)
            if subprocess.run(command, check=False).returncode:
                sys.exit(1)


if __name__ == "__main__":
    main()
