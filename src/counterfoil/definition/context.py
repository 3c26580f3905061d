"""What all checks of one draft share: what is known by now, and where problems go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from counterfoil.definition.columns import column_names
from counterfoil.definition.draft import Draft
from counterfoil.definition.durations import LONGEST
from counterfoil.definition.place import DURATIONS, NAMES, is_name
from counterfoil.errors import DefinitionError, Problem, nearest
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.features.definition import Entity
from counterfoil.rules.definition import ValueList
from counterfoil.rules.expression import ExpressionCompiler, Source, Variable
from counterfoil.rules.types import TIME, Base, ValueType

RESERVED = ("score",)
"""Names that the policy uses itself."""


class Context:
    """One check of one draft: each step adds what it learns for the steps after it.

    Parameters
    ----------
    draft
        What is checked.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.problems: list[Problem] = []
        self.schema = Schema(tuple(kind for _, kind in draft.kinds))
        self.kinds: dict[str, EventKind] = {kind.name: kind for _, kind in draft.kinds}
        self.deciding = [kind for _, kind in draft.kinds if kind.decide]
        self.columns: dict[str, Field] = {each.name: each for each in self.schema.columns}
        self.entities: dict[str, Entity] = {entity.name: entity for _, entity in draft.entities}
        self.lists: dict[str, ValueList] = {each.name: each for _, each in draft.lists}
        self.key = IdentityKey()
        self.taken: dict[str, str] = {}
        """Names in lower case, each with what has it."""
        self.variables: dict[str, Variable] = {}
        """What expressions on a deciding event may name."""
        self.later: set[str] = set()
        """Features that are defined, but not yet."""
        self.kind_compilers: dict[str, ExpressionCompiler] = {}

    def report(self, path: str, found: str, allowed: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(path, found, allowed, hint))

    def unknown(self, path: str, name: str, what: str, known: Iterable[str]) -> None:
        """Report a name that nothing has, unless the thing that should have it is reported already."""
        known = list(known)
        if name not in self.draft.broken:
            allowed = f"{what}: {', '.join(known[:60])}" if known else f"{what}; there is none"
            self.report(path, f'"{name}"', allowed, nearest(name, known))

    def check_length(self, path: str, length: int | None, least: int = 0) -> None:
        """Check a length of time in microseconds."""
        if length is not None and not least <= length <= LONGEST:
            self.report(path, f"{length} microseconds", DURATIONS)

    def take(self, path: str, name: str, what: str) -> None:
        """Give a name to one thing; expressions must not have to guess."""
        if not is_name(name):
            self.report(path, f'"{name}"', NAMES)
        elif name.lower() in RESERVED:
            self.report(path, f'"{name}"', "another name", f"{name} is what the policy calls the score")
        elif name.lower() in self.taken:
            self.report(path, f'"{name}"', "a name of its own (case does not count)", self.taken[name.lower()])
        else:
            self.taken[name.lower()] = f"{what} has this name already"

    def variables_of(self, kinds: Iterable[EventKind]) -> dict[str, Variable]:
        """Return what expressions over the fields of some kinds may name."""
        variables: dict[str, Variable] = {}
        for kind in kinds:
            for field in kind.fields:
                index = self.schema.column_index[field.name]
                variables[field.name] = Variable(ValueType.of(field), Source.EVENT, index)
            variables[kind.time] = Variable(TIME, Source.TIME, 0)
        return variables

    def decided_with(self, names: Iterable[str]) -> bool:
        """Whether some deciding kind has all of these fields."""
        wanted = set(names)
        return any(wanted <= names_of(kind) for kind in self.deciding)

    def compiler(self, variables: Mapping[str, Variable]) -> ExpressionCompiler:
        """Return a compiler of expressions over some names."""
        return ExpressionCompiler(variables, self.key, self.lists)

    def kind_compiler(self, kind: EventKind) -> ExpressionCompiler:
        """Return the compiler of expressions over the fields of one kind."""
        if kind.name not in self.kind_compilers:
            self.kind_compilers[kind.name] = self.compiler(self.variables_of([kind]))
        return self.kind_compilers[kind.name]

    def compile(
        self, compiler: ExpressionCompiler, text: str, path: str, expect: Base | None, kind: EventKind | None = None
    ) -> ValueType | None:
        """Return an expression's type, or None where it is wrong or uses something that is."""
        names = column_names(text)
        if names & self.draft.broken:
            return None
        misplaced = self.misplaced(names, kind)
        if misplaced is not None:
            self.report(path, *misplaced)
            return None
        try:
            return compiler.compile(text, path, expect).type
        except DefinitionError as error:
            self.problems.extend(error.problems)
            return None

    def misplaced(self, names: Iterable[str], kind: EventKind | None) -> tuple[str, str] | None:
        """Return what to say about a name that exists, but not here."""
        known = self.variables if kind is None else names_of(kind)
        deciding = ", ".join(each.name for each in self.deciding)
        here = f"fields of decided events ({deciding})" if kind is None else f"fields of {kind.name}"
        for name in sorted(set(names) - set(known) - set(self.lists)):
            owners = [each.name for each in self.kinds.values() if name in names_of(each)]
            if owners:
                return f'"{name}", which only {" and ".join(owners)} has', here
            if kind is not None and (name in self.later or name in self.variables):
                return f'"{name}", a feature', here
            if name in self.later:
                return f'"{name}", which is defined later', "fields, and features defined before this one"
        return None


def names_of(kind: EventKind) -> set[str]:
    """Return what an expression over a kind's events may name."""
    return {field.name for field in kind.fields} | {kind.time}


def written_type(field: Field) -> str:
    """Return a field's type as it is written."""
    return f"{field.type.value} of scale {field.scale}" if field.type is FieldType.MONEY else field.type.value
