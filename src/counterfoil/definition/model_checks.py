"""Whether models make sense, and what expressions may call their scores."""

from __future__ import annotations

from counterfoil.definition.context import Context
from counterfoil.definition.place import NAMES, is_name
from counterfoil.errors import InputError
from counterfoil.models.definition import SCORE_SUFFIX, ModelUse, parse_reference, score_names
from counterfoil.rules.expression import Source, Variable
from counterfoil.rules.types import FLOAT, Base


def check_models(context: Context) -> None:
    """Check all models, and let rules and policy know their scores."""
    uses = [use for _, use in context.draft.models]
    nameless = {f"{use.name}{SCORE_SUFFIX}" for use in uses if not is_name(use.name)}
    seen: set[str] = set()
    shares: dict[str, float] = {}
    for path, use in context.draft.models:
        if not is_name(use.name):
            context.report(path, f'"{use.name}"', NAMES)
        if use.name in seen:
            context.report(path, f'"{use.name}" again', "each model once")
        seen.add(use.name)
        _check_model(context, path, use, [each.name for each in uses if each.acts])
        if use.share is not None and use.instead_of is not None:
            shares[use.instead_of] = shares.get(use.instead_of, 0.0) + use.share
            if shares[use.instead_of] > 1:
                context.report(f"{path}.share", f"{shares[use.instead_of]:g} with those before", "at most 1 in all")
    for name in score_names(uses):
        # What is no name was told of the model itself.
        if name not in nameless:
            context.take("models", name, "the score of a model")
        if name not in context.variables:
            context.variables[name] = Variable(FLOAT, Source.WORK, len(context.variables))


def check_outliers(context: Context) -> None:
    """Check the online outlier scores, and let rules and policy know them."""
    known = {name: each for name, each in context.variables.items() if each.type.base is not Base.TEXT}
    for path, use in context.draft.outliers:
        for at, name in enumerate(use.features):
            where = f"{path}[{at}]"
            if name in use.features[:at]:
                context.report(where, f'"{name}" again', "each once")
            elif name in context.variables and name not in known:
                context.report(where, f'"{name}", which is a text', "numbers, flags, times and lengths of time")
            elif name not in known:
                context.unknown(where, name, "a feature or a field of decided events", known)
    for path, use in context.draft.outliers:
        name = f"{use.name}{SCORE_SUFFIX}"
        context.take(path, name, "an outlier score")
        if name not in context.variables:
            context.variables[name] = Variable(FLOAT, Source.WORK, len(context.variables))


def _check_model(context: Context, path: str, use: ModelUse, acting: list[str]) -> None:
    try:
        parse_reference(use.use)
    except InputError:
        context.report(f"{path}.use", f'"{use.use[:100]}"', "NAME@ALIAS or NAME@NUMBER, as payments@champion")
    context.check_length(f"{path}.budget", use.budget, 1_000)
    if use.share is None:
        return
    if not 0 <= use.share <= 1:
        context.report(f"{path}.share", f"{use.share:g}", "a number from 0 to 1")
    if use.shadow:
        context.report(f"{path}.shadow", "shadow and share", "one of them: a shadow sees all payments and acts on none")
    if use.instead_of not in acting:
        if use.instead_of is None:
            context.report(path, "a share, and no model that serves the others", "a model without share before it")
        else:
            context.unknown(f"{path}.instead_of", use.instead_of, "a model that acts for all", acting)
    entity = context.entities.get(use.by or "")
    if entity is None:
        context.unknown(f"{path}.by", use.by or "", "an entity", context.entities)
    elif context.deciding and not context.decided_with(entity.key) and not set(entity.key) & context.draft.broken:
        context.report(f"{path}.by", f"{entity.name}, whose key no deciding kind has", "an entity of decided events")
