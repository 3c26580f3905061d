from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from counterfoil.cli.alerts import print_alert
from counterfoil.cli.console import prose
from counterfoil.cli.decisions import print_decision
from counterfoil.cli.explain import _change, _model

_DECISION = {
    "event_time": "2026-02-09T05:52:05.001Z",
    "outcome": "block",
    "score": 0.99,
    "id": "t1",
    "late": True,
    "rules": [{"name": "account-takeover"}],
    "reasons": ["Profile changed 41 min ago after 4 failed [log-ins]."],
    "failed_rules": ["odd"],
}
_ALERT = {
    "opened": "2026-02-09T05:52:05.001Z",
    "last": "2026-02-09T06:52:05.001Z",
    "outcome": "review",
    "score": 0.8,
    "alert": "burst@7",
    "decisions": 2,
    "last_id": "t2",
    "key": {"card": "K1"},
    "reasons": ["Five payments in one hour at five merchants, 905.26 in all."],
}


def _consoles() -> tuple[Console, Console]:
    """Return a small terminal, and what is no terminal."""
    terminal = Console(file=io.StringIO(), force_terminal=True, width=40, color_system=None)
    return terminal, Console(file=io.StringIO(), width=40)


def _lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_sentence_is_broken_between_words_and_for_programs_not_at_all() -> None:
    terminal, pipe = _consoles()
    for console in (terminal, pipe):
        prose(console, "[bold]failed[/] a reason that is longer than the line is wide")
        prose(console, Text("no [markup] here"), "  allowed  ")
        prose(console, "x" * 50)
    assert _lines(terminal) == [
        "failed a reason that is longer than the",
        "line is wide",
        "  allowed  no [markup] here",
        "x" * 40,
        "x" * 10,
    ]
    assert _lines(pipe) == [
        "failed a reason that is longer than the line is wide",
        "  allowed  no [markup] here",
        "x" * 50,
    ]


def test_reasons_are_broken_below_one_another() -> None:
    terminal, pipe = _consoles()
    print_decision(terminal, _DECISION)
    print_decision(pipe, _DECISION)
    assert _lines(terminal)[1:] == [
        "    account-takeover: Profile changed 41",
        "    min ago after 4 failed [log-ins].",
        "    odd: failed and was left out",
    ]
    assert _lines(pipe)[1:] == [
        "    account-takeover: Profile changed 41 min ago after 4 failed [log-ins].",
        "    odd: failed and was left out",
    ]


def test_an_alert_says_when_whose_and_why() -> None:
    terminal, pipe = _consoles()
    print_alert(terminal, _ALERT)
    print_alert(pipe, _ALERT | {"decisions": 1})
    assert _lines(terminal)[-2:] == ["    Five payments in one hour at five", "    merchants, 905.26 in all."]
    assert _lines(pipe) == [
        "2026-02-09 05:52:05  review   0.80  burst@7  card K1",
        "    payment t2",
        "    Five payments in one hour at five merchants, 905.26 in all.",
    ]


def test_lengths_of_time_that_would_have_let_it_pass_are_read_as_such() -> None:
    changes = [
        {"name": "age", "needed": 1.0, "value": 2.0},
        {"name": "device_known_for", "needed": 87_000.0, "value": 1_842.05},
        {"name": "amount", "needed": 1_000, "value": 1_640.5},
    ]
    found = {"text": "It would have passed with …", "changes": changes, "without_rule": ["new-payee"]}
    assert _change(found, ("age", "device_known_for")).plain.splitlines() == [
        "It would have passed with …",
        "or device known for: 1 d, not 30 min 42 s",
        "or amount: 1,000, not 1,640.5",
        "or without the hit of: new-payee",
    ]


def test_what_a_model_says_and_why() -> None:
    assert _model({"model": "fraud@3", "score": None, "failed": "out of time"}).plain == (
        "fraud@3 gave no score: out of time"
    )
    assert _model({"model": None, "score": None}).plain == "no version gave no score: "
    said = {"model": "fraud@3", "score": 0.91234, "raw": 0.5, "arm": "champion"}
    assert _model(said).plain == "fraud@3  score 0.9123, raw 0.5000  arm champion"
    assert _model(said | {"shadow": True}).plain.endswith("  shadow")
    why = {
        "method": "exact, trees",
        "base_score": 0.1,
        "rest_points": 0.012,
        "features": [{"points": 0.5, "text": "amount 5,000"}, {"points": -0.2, "text": "card age 3 years"}],
    }
    assert _model(said | {"why": why}).plain.splitlines()[1:] == [
        "exact, trees: 0.1000 on average, and",
        "  +0.5000 amount 5,000",
        "  -0.2000 card age 3 years",
        "  +0.0120 all others",
    ]
