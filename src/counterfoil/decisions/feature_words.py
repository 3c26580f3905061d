"""What a feature is, in words: for reasons that an analyst reads, made from the definition itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from counterfoil.features.definition import AggregateFeature, Feature, Window

_DAYS = {"m": "min", "h": "h", "d": "d", "s": "s"}


def feature_words(features: Iterable[Feature]) -> dict[str, str]:
    """Return words for every aggregate feature; what is derived keeps its own name.

    Parameters
    ----------
    features
        A detector's features.

    Examples
    --------
    >>> spend = AggregateFeature("card_spend", "sum", "transaction", ("amount",), "card", (Window("24h", 1),))
    >>> feature_words([spend])
    {'card_spend_24h': 'sum of amount of the card in 24 h'}
    """
    return {
        name: _words(each, window)
        for each in features
        if isinstance(each, AggregateFeature)
        for name, window in each.outputs
    }


def _words(feature: AggregateFeature, window: Window | None) -> str:
    owner = f"the {feature.by.replace('_', ' ')}"
    if feature.via is not None:
        owner += f" as {' and '.join(feature.via).replace('_', ' ')}"
    what = _WHAT.get(feature.aggregation, _other)(feature)
    where = "" if feature.where is None else f" where {feature.where}"
    when = "" if window is None else f" in {_length(window.label)}"
    before = " before" if feature.prior and feature.aggregation not in {"time_since", "age"} else ""
    return f"{what}{where} of {owner}{when}{before}"


def _length(label: str) -> str:
    number, unit = label[:-1], label[-1:]
    return f"{number} {_DAYS[unit]}" if number.isdecimal() and unit in _DAYS else label


def _argument(feature: AggregateFeature) -> str:
    return " and ".join(each.replace("_", " ") for each in feature.arguments)


def _kind(feature: AggregateFeature) -> str:
    return feature.kind.replace("_", " ")


def _other(feature: AggregateFeature) -> str:
    return f"{feature.aggregation.replace('_', ' ')} of {_argument(feature) or _kind(feature)}"


_WHAT: dict[str, Callable[[AggregateFeature], str]] = {
    "count": lambda each: f"count of {_kind(each)}",
    "sum": lambda each: f"sum of {_argument(each)}",
    "mean": lambda each: f"mean {_argument(each)}",
    "std": lambda each: f"standard deviation of {_argument(each)}",
    "min": lambda each: f"lowest {_argument(each)}",
    "max": lambda each: f"highest {_argument(each)}",
    "distinct": lambda each: f"distinct {_argument(each)}",
    "share": lambda each: f"share of {_kind(each)} with {_argument(each)}",
    "frequency": lambda each: f"how usual this {_argument(each)} is in each {_kind(each)}",
    "last": lambda each: f"last {_argument(each)}",
    "time_since": lambda each: f"time since the last {_kind(each)}",
    "age": lambda each: f"time since the first {_kind(each)}",
    "distance": lambda _: "distance in km from the place before",
    "speed": lambda _: "speed in km/h from the place before",
    "rate": lambda each: f"known rate of {_argument(each)}",
}
