"""Payments in the shape of PaySim, made here: ``python -m counterfoil.training.paysim --output paysim.csv``.

PaySim itself cannot be fetched by a program, and its rows are not copied. These have its columns, its types and their
shares, and its fraud: an account is emptied by a transfer, and the receiver cashes the same amount out. They are for
trying things, not for comparing models: real PaySim files work with the same detector.

References
----------
Lopez-Rojas, Elmir, Axelsson: PaySim: A financial mobile money simulator for fraud detection, EMSS 2016.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.errors import ConfigurationError, StorageError

TYPES = ("CASH_IN", "CASH_OUT", "DEBIT", "PAYMENT", "TRANSFER")
_SHARES = (0.22, 0.352, 0.006, 0.338, 0.084)
_MEANS = {"CASH_IN": 11.6, "CASH_OUT": 11.7, "DEBIT": 8.0, "PAYMENT": 9.0, "TRANSFER": 12.4}
"""Of the logarithms of amounts."""
_SPREAD = 0.9
STEPS = 744
"""A month of hours."""
ROWS_MAX = 20_000_000

Cents = npt.NDArray[np.int64]


def payments(count: int, fraud_share: float = 0.004, seed: int = 1) -> pl.DataFrame:
    """Return payments in order of their steps.

    Parameters
    ----------
    count
        How many.
    fraud_share
        The part of them that is fraud: a transfer and a cash-out each time. PaySim has 0.0013.
    seed
        The same seed, the same rows.

    Raises
    ------
    ConfigurationError
        If there would be too many, or too few to hold a fraud.

    Examples
    --------
    >>> payments(1_000)["isFraud"].sum()
    4
    """
    if not 100 <= count <= ROWS_MAX or not 0 <= fraud_share <= 0.5:
        raise ConfigurationError(f"--count: found {count:,}; allowed: 100 to {ROWS_MAX:,}, and a share of 0 to 0.5")
    random = np.random.default_rng(seed)
    attempts = round(count * fraud_share / 2)
    honest = _honest(random, count - 2 * attempts)
    frame = pl.concat([honest, _frauds(random, attempts)])
    return frame.sort("step", maintain_order=True)


def _honest(random: np.random.Generator, count: int) -> pl.DataFrame:
    kind = random.choice(len(TYPES), count, p=_SHARES)
    middle = np.array([_MEANS[each] for each in TYPES])[kind]
    amount = np.rint(np.exp(random.normal(middle, _SPREAD)) * 100).astype(np.int64)
    # Most payers hold little: PaySim lets them pay all the same, and their balance stays at nothing.
    before: Cents = np.where(
        random.random(count) < 0.35, 0, np.rint(np.exp(random.normal(10.5, 1.8, count)) * 100)
    ).astype(np.int64)
    incoming = kind == TYPES.index("CASH_IN")
    after = np.where(incoming, before + amount, np.maximum(before - amount, 0))
    merchant = kind == TYPES.index("PAYMENT")
    payee = random.zipf(1.3, count) % max(count // 10, 10)
    got = np.where(merchant, 0, _balances(random, 12.5, 1.6, count))
    result = np.where(merchant, 0, np.where(incoming, np.maximum(got - amount, 0), got + amount))
    # Days are busy and nights are not.
    hours = np.arange(STEPS)
    busy = 1.2 + np.sin((hours % 24 - 8) / 24 * 2 * np.pi)
    step = random.choice(STEPS, count, p=busy / busy.sum())
    return pl.DataFrame(
        {
            "step": step + 1,
            "type": np.array(TYPES)[kind],
            "amount": amount / 100,
            "nameOrig": [f"C{number}" for number in random.integers(10**9, 10**10, count).tolist()],
            "oldbalanceOrg": before / 100,
            "newbalanceOrig": after / 100,
            "nameDest": [
                f"{'M' if to else 'C'}{number}" for number, to in zip(payee.tolist(), merchant.tolist(), strict=True)
            ],
            "oldbalanceDest": got / 100,
            "newbalanceDest": result / 100,
            "isFraud": np.zeros(count, np.int64),
        }
    )


def _balances(random: np.random.Generator, middle: float, spread: float, count: int) -> Cents:
    return np.rint(np.exp(random.normal(middle, spread, count)) * 100).astype(np.int64)


def _payee(number: int, merchant: bool) -> str:
    return f"{'M' if merchant else 'C'}{number}"


def _frauds(random: np.random.Generator, attempts: int) -> pl.DataFrame:
    """Return transfers that empty an account, each with the receiver's cash-out within three hours."""
    amount = np.minimum(np.rint(np.exp(random.normal(12.5, 1.3, attempts)) * 100), 10**9).astype(np.int64)
    step = random.integers(1, STEPS - 2, attempts)
    mule = random.integers(10**9, 10**10, attempts).tolist()
    victim = random.integers(10**9, 10**10, attempts).tolist()
    bank = random.integers(0, max(attempts, 10), attempts).tolist()
    parts = []
    for kind, payer, payee, at in (
        ("TRANSFER", victim, mule, step),
        ("CASH_OUT", mule, bank, step + random.integers(0, 3, attempts)),
    ):
        # The receiving side of a fraud is not booked in PaySim: its balances stay where they were.
        held = (
            np.zeros(attempts)
            if kind == "TRANSFER"
            else np.rint(np.exp(random.normal(12.5, 1.6, attempts)) * 100) / 100
        )
        parts.append(
            pl.DataFrame(
                {
                    "step": at,
                    "type": [kind] * attempts,
                    "amount": amount / 100,
                    "nameOrig": [f"C{number}" for number in payer],
                    "oldbalanceOrg": amount / 100,
                    "newbalanceOrig": np.zeros(attempts),
                    "nameDest": [f"C{number}" for number in payee],
                    "oldbalanceDest": held,
                    "newbalanceDest": held if kind == "TRANSFER" else held + amount / 100,
                    "isFraud": np.ones(attempts, np.int64),
                },
                schema_overrides={"type": pl.String, "nameOrig": pl.String, "nameDest": pl.String},
            )
        )
    return pl.concat(parts)


def main() -> None:
    """Write a file."""
    parser = argparse.ArgumentParser(prog="counterfoil.training.paysim", description="Payments in the shape of PaySim.")
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    parser.add_argument("--count", type=int, default=200_000, help="payments (200,000)")
    parser.add_argument("--fraud-share", type=float, default=0.004, help="the part that is fraud (0.004)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same payments (1)")
    given = parser.parse_args()
    try:
        payments(given.count, given.fraud_share, given.seed).write_csv(given.output, float_precision=2)
    except (ConfigurationError, StorageError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
