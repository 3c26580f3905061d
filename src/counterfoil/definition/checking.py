"""Whether a definition makes sense: names, types, keys and expressions. Every problem at once."""

from __future__ import annotations

from counterfoil.definition.context import Context
from counterfoil.definition.draft import Draft
from counterfoil.definition.feature_checks import check_features
from counterfoil.definition.kind_checks import check_entities, check_kinds, check_lists
from counterfoil.definition.limits import MAX_ENTITIES, MAX_KINDS, MAX_LISTS, MAX_MODELS, MAX_OUTLIERS, MAX_RULES
from counterfoil.definition.model_checks import check_models, check_outliers
from counterfoil.definition.place import TITLES, is_title
from counterfoil.definition.rule_checks import check_policy, check_rules
from counterfoil.errors import Problem


def check(draft: Draft) -> list[Problem]:
    """Return everything in a draft that makes no sense."""
    context = Context(draft)
    if draft.name and not is_title(draft.name):
        context.report("detector", f'"{draft.name}"', TITLES)
    for name in ("max_lateness", "max_skew", "dedupe"):
        context.check_length(name, getattr(draft, name))
    for name, parts, most in (
        ("events", draft.kinds, MAX_KINDS),
        ("entities", draft.entities, MAX_ENTITIES),
        ("lists", draft.lists, MAX_LISTS),
        ("rules", draft.rules, MAX_RULES),
        ("models", draft.models, MAX_MODELS),
        ("outliers", draft.outliers, MAX_OUTLIERS),
    ):
        if len(parts) > most:
            context.report(name, f"{len(parts):,}", f"at most {most:,}")
    check_kinds(context)
    check_lists(context)
    check_entities(context)
    check_features(context)
    check_models(context)
    check_outliers(context)
    check_rules(context)
    check_policy(context)
    # What is wrong with a list is found again by every rule that asks it.
    return list(dict.fromkeys(context.problems))
