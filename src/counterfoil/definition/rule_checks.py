"""Whether rules and policy make sense."""

from __future__ import annotations

from counterfoil.definition.context import Context
from counterfoil.definition.place import TITLES, is_title
from counterfoil.definition.reasons import reason_names
from counterfoil.rules.definition import Rule
from counterfoil.rules.expression import Source, Variable
from counterfoil.rules.types import FLOAT, Base


def check_rules(context: Context) -> None:
    """Check conditions, scores, reasons and episodes."""
    compiler = context.compiler(context.variables)
    seen: set[str] = set()
    for path, rule in context.draft.rules:
        if not is_title(rule.name):
            context.report(f"{path}.name", f'"{rule.name}"', TITLES)
        if rule.name in seen:
            context.report(f"{path}.name", f'"{rule.name}" again', "each rule once")
        seen.add(rule.name)
        context.compile(compiler, rule.when, f"{path}.when", Base.BOOL)
        _check_rule(context, path, rule)


def _check_rule(context: Context, path: str, rule: Rule) -> None:
    if not 0 <= rule.score <= 1:
        context.report(f"{path}.score", str(rule.score), "a number from 0 to 1")
    context.check_length(f"{path}.quiet", rule.quiet, 1)
    if rule.episode is not None:
        entity = context.entities.get(rule.episode)
        if entity is None:
            context.unknown(f"{path}.episode", rule.episode, "an entity", context.entities)
        elif context.deciding and not context.decided_with(entity.key) and not set(entity.key) & context.draft.broken:
            context.report(
                f"{path}.episode", f"{entity.name}, whose key no deciding kind has", "an entity of decided events"
            )
    names = reason_names(rule.reason)
    if names is None:
        context.report(f"{path}.reason", f'"{rule.reason}"', "{name} for values, {{ and }} for braces")
        return
    for name in names:
        variable = context.variables.get(name)
        if variable is None:
            context.unknown(f"{path}.reason", name, "a field or feature in { }", context.variables)
        elif variable.source is Source.WORK and variable.type.base is Base.TEXT:
            context.report(
                f"{path}.reason", f'"{name}", of which only a hash is kept', "a field, or a feature that is no text"
            )


def check_policy(context: Context) -> None:
    """Check the conditions over the score."""
    policy = context.draft.policy
    compiler = context.compiler({**context.variables, "score": Variable(FLOAT, Source.WORK, len(context.variables))})
    for name, text in (("block", policy.block), ("review", policy.review)):
        if text is not None:
            context.compile(compiler, text, f"policy.{name}", Base.BOOL)
    if policy.combine not in ("max", "noisy_or"):
        context.unknown("policy.combine", policy.combine, "one of", ("max", "noisy_or"))
