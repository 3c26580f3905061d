"""The report of a training: what the model is worth, what it rests on, and what to doubt."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from counterfoil.backtest.page import header, listed, page, section, table, tiles
from counterfoil.backtest.svg import Series, curves, legend, lying_bars
from counterfoil.training.measures import CARDS, Ranking, calibration, ranking
from counterfoil.training.train import SHUFFLED_AUC_MAX

if TYPE_CHECKING:
    from datetime import datetime

    from counterfoil.training.train import Trained

_POINTS = 120
"""Points of a curve: more would only lie on one another."""
_SHOWN = 25
_MILLE = 1000


def report_html(trained: Trained, written: datetime) -> str:
    """Return the report.

    Parameters
    ----------
    trained
        What came of training.
    written
        The time that stands in it.
    """
    parts = [_header(trained, written), _warnings(trained), _tiles(trained), _rows(trained)]
    if trained.test is not None:
        found = ranking(trained.scores, trained.labels)
        valued = None if trained.values is None else ranking(trained.scores, trained.labels, trained.values)
        parts += [_precision(found, valued), _roc(found), _alerts(trained, found, valued), _calibration(trained)]
    parts += [_importance(trained), _checks(trained), _notes(trained)]
    return page(f"Training of {trained.signature.name}", "".join(parts))


def _header(trained: Trained, written: datetime) -> str:
    signature = trained.signature
    data = signature.data
    span = "" if data is None else f"{data.rows:,} rows of {escape(data.source)}, {data.start} to {data.end}"
    content = (
        f"features of <code>{escape(signature.detector)}</code>, {len(signature.inputs)} inputs<br>"
        f"learnt from {span}<br>seed {signature.seed} · {trained.seconds:,.1f} s"
    )
    return header(f"{signature.name}: {signature.kind}", content, written)


def _warnings(trained: Trained) -> str:
    found = [str(each) for each in trained.suspects]
    if trained.shuffled_auc is not None and trained.shuffled_auc > SHUFFLED_AUC_MAX:
        found.append(
            f"A model that learnt from shuffled labels reaches an AUC of {trained.shuffled_auc:.3f} on the test:"
            " the rows themselves tell their labels, or the test is too small to say anything."
        )
    if not found:
        return ""
    return listed("Too good to be true", map(escape, found), "look at these before believing anything below")


def _tiles(trained: Trained) -> str:
    test = trained.test
    if test is None:
        return ""
    found = [
        ("average precision", test.average_precision, "the mean of precision over recall, on the test rows"),
        ("ROC AUC", test.auc, "how often a fraud scores above a genuine payment"),
        ("F1", test.f1, f"from a score of {test.f1_threshold:.4g} on"),
        ("recall at 1 % alerts", test.recall_at[0.01], "frauds among the highest hundredth of scores"),
    ]
    if test.card_precision is not None:
        told = f"compromised cards among the {CARDS} with the highest scores, a day"
        found.append((f"Card Precision@{CARDS}", test.card_precision, told))
    if test.value_average_precision is not None:
        found.append(("average precision of value", test.value_average_precision, "every payment counts by its amount"))
    return tiles((name, _number(value), hint, "") for name, value, hint in found)


def _rows(trained: Trained) -> str:
    parts = {"train": trained.split.train, "validation": trained.split.validation, "test": trained.split.test}
    rows = []
    for name, chosen in parts.items():
        if not len(chosen):
            continue
        start, end = trained.split.borders[name]
        labels = trained.split.labels[chosen]
        frauds = int((labels == 1).sum())
        share = f"{frauds / len(chosen):.3%}"
        rows.append([name, _time(start), _time(end), f"{len(chosen):,}", f"{frauds:,}", share])
    hint = "in the order of time; the gaps between are payments whose labels were not known yet"
    return section("What it learnt from", table(["", "from", "to", "rows", "frauds", "share"], rows), hint)


def _precision(found: Ranking, valued: Ranking | None) -> str:
    lines = [("payments", "accent", _points(found, "recall", "precision"))]
    if valued is not None:
        lines.append(("their value", "other", _points(valued, "recall", "precision")))
    content = legend([(name, style) for name, style, _ in lines]) + curves(lines, "recall", "precision")
    return section("Precision and recall", content, "on the test rows; value weighs every payment by its amount")


def _roc(found: Ranking) -> str:
    points = [(0.0, 0.0, "nothing flagged"), *_points(found, "false_rate", "recall")]
    lines = [("model", "accent", points), ("chance", "other", [(0.0, 0.0, "chance"), (1.0, 1.0, "chance")])]
    return section("ROC", legend([(name, style) for name, style, _ in lines]) + curves(lines, "false alarms", "recall"))


def _points(found: Ranking, across: str, up: str) -> list[tuple[float, float, str]]:
    xs, ys = getattr(found, across), getattr(found, up)
    # Even steps across, and the top of the list in full: that is where alerts come from.
    places = np.unique(np.concatenate([np.searchsorted(xs, np.linspace(0, 1, _POINTS)), np.arange(10)]))
    places = places[places < len(xs)]
    return [
        (float(xs[place]), float(ys[place]), f"score ≥ {found.thresholds[place]:.4g}: {ys[place]:.1%} {up}")
        for place in places.tolist()
    ]


def _alerts(trained: Trained, found: Ranking, valued: Ranking | None) -> str:
    assert trained.test is not None
    size = np.append(0.0, found.caught + found.wrong)
    rows = []
    for rate, recall in trained.test.recall_at.items():
        room = rate * len(trained.scores)
        place = min(int(np.searchsorted(size[1:], room)), len(found.thresholds) - 1)
        caught = np.interp(room, size, np.append(0.0, found.caught))
        row = [f"{rate:.1%}", f"{room:,.0f}", f"{found.thresholds[place]:.4g}", f"{recall:.1%}"]
        row.append(f"{caught / max(room, 1):.1%}")
        if valued is not None:
            value = np.interp(room, size, np.append(0.0, valued.recall))
            row.append(f"{value:.1%}")
        rows.append(row)
    head = ["alert rate", "alerts", "score from", "recall", "precision"] + (["value caught"] if valued else [])
    return section(
        "At a fixed rate of alerts", table(head, rows), "if so many payments of the test rows were looked at"
    )


def _calibration(trained: Trained) -> str:
    bins = calibration(trained.scores, trained.labels)
    if not bins or trained.signature.kind == "isolation-forest":
        return ""
    points = [
        (
            min(max(each.said, 0.0), 1.0),
            each.true,
            f"said {each.said:.2%}, true {each.true:.2%} of {each.rows:,} payments",
        )
        for each in bins
    ]
    lines = [("model", "accent", points), ("perfect", "other", [(0.0, 0.0, "perfect"), (1.0, 1.0, "perfect")])]
    chart = legend([(name, style) for name, style, _ in lines]) + curves(lines, "what scores say", "what was true")
    assert trained.test is not None
    rows = [[f"{each.said:.3%}", f"{each.true:.3%}", f"{each.rows:,}"] for each in bins]
    hint = f"each point stands for as many frauds as the next; Brier score {trained.test.brier:.5f}"
    return section("Calibration", chart + table(["said", "true", "payments"], rows), hint)


def _importance(trained: Trained) -> str:
    shown = trained.importances[:_SHOWN]
    if not shown:
        return ""
    gains = [(each.gain or 0.0) * _MILLE for each in shown]
    chart = ""
    if any(gains):
        chart = lying_bars(
            [each.name for each in shown], [Series("part of what the model rests on, ‰", "accent", gains)]
        )
    rows = [
        [escape(each.name), _number(each.gain), "–" if each.drop is None else f"{each.drop:+.4f}"]
        for each in trained.importances
        if each.gain or each.drop is not None
    ]
    hint = "bars in thousandths; loss: what average precision loses on the test when only this feature is shuffled"
    return section("What it rests on", chart + table(["feature", "part", "loss"], rows), hint)


def _checks(trained: Trained) -> str:
    shuffled = "not tried" if trained.shuffled_auc is None else f"AUC {trained.shuffled_auc:.3f}, 0.5 is chance"
    rows = [
        ["learnt from shuffled labels", escape(shuffled)],
        ["largest difference between estimator and ONNX file", f"{trained.difference:.2g}"],
        ["features that alone are too good", str(len(trained.suspects))],
    ]
    return section("Checks", table(["check", "found"], rows))


def _notes(trained: Trained) -> str:
    signature = trained.signature
    items = [escape(each) for each in trained.notes]
    items.append("parameters: " + escape(", ".join(f"{name} {value}" for name, value in signature.parameters.items())))
    items.append("libraries: " + escape(", ".join(f"{name} {value}" for name, value in signature.libraries.items())))
    return listed("To know", items)


def _number(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.3f}"


def _time(microseconds: int) -> str:
    moment: npt.NDArray[np.datetime64] = np.array(microseconds, "datetime64[us]")
    return str(moment.astype("datetime64[s]")).replace("T", " ")
