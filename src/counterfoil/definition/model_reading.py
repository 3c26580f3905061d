"""Located nodes to the models of a draft."""

from __future__ import annotations

from counterfoil.definition.draft import Draft
from counterfoil.definition.limits import MAX_FEATURES, MAX_MODELS, MAX_OUTLIERS
from counterfoil.definition.place import Place
from counterfoil.models.definition import BUDGET, SCORE_SUFFIX, ModelUse, OutlierUse

MODEL_KEYS = ("use", "share", "by", "instead_of", "shadow", "budget")


def read_models(place: Place | None, draft: Draft) -> None:
    """Put the models of a definition into its draft.

    Parameters
    ----------
    place
        The mapping of names to models; None where there is none.
    draft
        What is read so far: entities come before.
    """
    if place is None or place.is_nothing:
        return
    found = place.named() or {}
    if len(found) > MAX_MODELS:
        place.problem(f"at most {MAX_MODELS} models", found=f"{len(found)} models")
    for name, each in list(found.items())[:MAX_MODELS]:
        use = _read_model(name, each, draft)
        if use is None:
            draft.broken.add(f"{name}{SCORE_SUFFIX}")
        else:
            draft.models.append((each.path, use))


def read_outliers(place: Place | None, draft: Draft) -> None:
    """Put the online outlier scores of a definition into its draft.

    Parameters
    ----------
    place
        The mapping of names to features; None where there is none.
    draft
        What is read so far.
    """
    if place is None or place.is_nothing:
        return
    found = place.named() or {}
    if len(found) > MAX_OUTLIERS:
        place.problem(f"at most {MAX_OUTLIERS} outlier scores", found=f"{len(found)} outlier scores")
    for name, each in list(found.items())[:MAX_OUTLIERS]:
        names = [part.name() for part in each.one_or_more(MAX_FEATURES, "features")]
        known = tuple(part for part in names if part is not None)
        if not known or len(known) < len(names):
            draft.broken.add(f"{name}{SCORE_SUFFIX}")
        else:
            draft.outliers.append((each.path, OutlierUse(name, known)))


def _read_model(name: str, place: Place, draft: Draft) -> ModelUse | None:
    if not place.is_mapping:
        use = place.text(300)
        return ModelUse(name, use) if use is not None else None
    parts = place.entries(MODEL_KEYS, ("use",))
    if parts is None or "use" not in parts:
        return None
    use = parts["use"].text(300)
    share = parts["share"].number(0, 1) if "share" in parts else None
    shadow = parts["shadow"].boolean() if "shadow" in parts else False
    budget = parts["budget"].duration() if "budget" in parts else BUDGET
    for key in ("by", "instead_of"):
        if key in parts and "share" not in parts:
            parts[key].problem(f"{key} only beside share")
    if use is None or (share is None and "share" in parts):
        return None
    by, other = _of_share(parts, draft) if share is not None else (None, None)
    return ModelUse(name, use, share, by, other, bool(shadow), BUDGET if budget is None else budget)


def _of_share(parts: dict[str, Place], draft: Draft) -> tuple[str | None, str | None]:
    """Return whose key decides, and instead of which model: the first of each, where nothing says."""
    first_entity = draft.entities[0][1].name if draft.entities else None
    first_model = next((use.name for _, use in draft.models if use.acts), None)
    by = parts["by"].name() if "by" in parts else first_entity
    other = parts["instead_of"].name() if "instead_of" in parts else first_model
    return by, other
