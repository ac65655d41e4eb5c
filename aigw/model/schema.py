"""JSON <-> attrs, with complaints that name the field by its path.

One source: attrs classes with ``Annotated[..., msgspec.Meta(...)]``. `check` reads the same type information that
``msgspec.convert`` and ``msgspec.json.schema`` use, so that a document is validated, described and searched for secrets
by the class alone. Secrets are strings marked ``Secret``.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, TypeVar

import attrs
import msgspec
from msgspec import Meta, inspect

T = TypeVar("T")
Path = tuple[str | int, ...]

MAX_GUESSES = 50
"""Unknown fields of one document that get a "did you mean"; each takes a fraction of a millisecond."""

Secret = Annotated[str, Meta(extra={"secret": True})]
"""A string that is write-only: masked in every answer, log and error."""


@attrs.frozen
class Complaint:
    """One thing wrong with a document: where, and what was expected there."""

    path: Path
    message: str

    def __str__(self) -> str:
        where = render_path(self.path)
        return f"{where}: {self.message}" if where else self.message


class Invalid(ValueError):
    """A document was refused; ``complaints`` holds every reason (at least one)."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("; ".join(map(str, complaints)))
        self.complaints = complaints

    def under(self, *prefix: str | int) -> Invalid:
        """The same complaints, seen from the document that holds this one at ``prefix``."""
        return Invalid([attrs.evolve(c, path=(*prefix, *c.path)) for c in self.complaints])


@attrs.frozen
class Findings:
    """What one walk over a document found."""

    complaints: list[Complaint] = attrs.field(factory=list)
    unknown: list[Complaint] = attrs.field(factory=list)
    secrets: list[Path] = attrs.field(factory=list)


def render_path(path: Path) -> str:
    """``("instances", 1, "weight")`` -> ``instances[1].weight``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@functools.lru_cache(maxsize=256)
def type_of(cls: type) -> inspect.Type:
    """The type information of a class, read once."""
    return inspect.type_info(cls)


def decode(document: Any, cls: type[T]) -> T:
    """The typed value of a JSON document.

    :raises Invalid: with every complaint at once.
    """
    findings = check(document, cls)
    if findings.complaints:
        raise Invalid(findings.complaints)
    try:
        return msgspec.convert(document, cls)
    except msgspec.ValidationError as e:
        raise Invalid([_translated(e)]) from None


def check(document: Any, cls: type) -> Findings:
    """Walk a document along its class: complaints, unknown fields (with the nearest known name), secrets."""
    findings = Findings()
    _walk(type_of(cls), document, (), findings, secret=False)
    return findings


def json_schema(cls: type) -> dict[str, Any]:
    """The JSON schema (2020-12) of a class."""
    return msgspec.json.schema(cls)


def _translated(error: msgspec.ValidationError) -> Complaint:
    """A complaint of a class's own ``__attrs_post_init__`` (``field: what is wrong``), with the path msgspec adds."""
    message, _, where = str(error).partition(" - at `$")
    steps: list[str | int] = []
    for name, index in re.findall(r"\.([^.\[`]+)|\[(\d+)\]", where):
        steps.append(name or int(index))
    field, colon, rest = message.partition(": ")
    if colon and re.fullmatch(r"[\w.\-\[\]]+", field):
        return Complaint((*steps, field), rest)
    return Complaint(tuple(steps), message)


def _walk(kind: inspect.Type, value: Any, path: Path, findings: Findings, secret: bool) -> None:
    if isinstance(kind, inspect.Metadata):
        secret = secret or bool(kind.extra and kind.extra.get("secret"))
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        kind = _branch(kind, value)
        if isinstance(kind, inspect.Metadata):
            _walk(kind, value, path, findings, secret)
            return
    if not _fits(kind, value):
        got = "" if secret or _holds_secret(kind) else f", got {_shown(value)}"
        findings.complaints.append(Complaint(path, f"expected {_expected(kind)}{got}"))
    elif isinstance(kind, inspect.DataclassType | inspect.StructType):
        _walk_object(kind, value, path, findings, secret)
    elif isinstance(kind, inspect.DictType):
        for key, item in value.items():
            if not _fits(kind.key_type, key):
                findings.complaints.append(Complaint((*path, key), f"name: expected {_expected(kind.key_type)}"))
            _walk(kind.value_type, item, (*path, key), findings, secret)
    elif isinstance(kind, inspect.ListType):
        for index, item in enumerate(value):
            _walk(kind.item_type, item, (*path, index), findings, secret)
    elif secret and isinstance(value, str):
        findings.secrets.append(path)


def _walk_object(
    kind: inspect.DataclassType | inspect.StructType,
    value: dict[str, Any],
    path: Path,
    findings: Findings,
    secret: bool,
) -> None:
    known = {f.encode_name: f for f in kind.fields}
    for name, field in known.items():
        if name in value:
            _walk(field.type, value[name], (*path, name), findings, secret)
        elif field.required:
            findings.complaints.append(Complaint((*path, name), f"required: {_expected(field.type)}"))
    for name in (name for name in value if name not in known):
        guess = did_you_mean(name, known) if len(findings.unknown) < MAX_GUESSES else ""
        findings.unknown.append(Complaint((*path, name), "unknown" + guess))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``, did you mean X?`` with the nearest of the known names, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


def _branch(union: inspect.UnionType, value: Any) -> inspect.Type:
    """The member of a union to hold a value against: the one that fits, else the whole union."""
    for member in union.types:
        if _fits(member, value):
            return member
    shapes: dict[type, type] = {str: inspect.StrType, list: inspect.ListType, dict: inspect.DataclassType}
    wanted = shapes.get(type(value))
    for member in union.types:
        if wanted is not None and isinstance(member, wanted):
            return member
    return union


def _bounded(value: float, kind: Any) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


def _sized(value: Any, kind: Any) -> bool:
    return (kind.min_length is None or len(value) >= kind.min_length) and (
        kind.max_length is None or len(value) <= kind.max_length
    )


@functools.lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    """As JSON schema has it: a final ``$`` is the end of the text. Python's lets one more line feed pass."""
    return re.compile(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern)


_FITS: dict[type, Callable[[Any, Any], bool]] = {
    inspect.AnyType: lambda k, v: True,
    inspect.NoneType: lambda k, v: v is None,
    inspect.BoolType: lambda k, v: isinstance(v, bool),
    inspect.IntType: lambda k, v: isinstance(v, int) and not isinstance(v, bool) and _bounded(v, k),
    inspect.FloatType: lambda k, v: isinstance(v, int | float) and not isinstance(v, bool) and _bounded(v, k),
    inspect.StrType: lambda k, v: (
        isinstance(v, str) and _sized(v, k) and (k.pattern is None or _pattern(k.pattern).search(v) is not None)
    ),
    inspect.LiteralType: lambda k, v: type(v) in (str, int) and v in k.values,
    inspect.ListType: lambda k, v: isinstance(v, list) and _sized(v, k),
    inspect.DictType: lambda k, v: isinstance(v, dict) and _sized(v, k),
    inspect.DataclassType: lambda k, v: isinstance(v, dict),
    inspect.StructType: lambda k, v: isinstance(v, dict),
    inspect.Metadata: lambda k, v: _fits(k.type, v),
    inspect.UnionType: lambda k, v: any(_fits(m, v) for m in k.types),
}


def _fits(kind: inspect.Type, value: Any) -> bool:
    """Does the value itself have this type (what is inside it is walked on its own)?"""
    return _FITS[type(kind)](kind, value)


def _holds_secret(kind: inspect.Type, above: tuple[type, ...] = ()) -> bool:
    """May a secret be inside? Then it may also be in what stands there instead, which is not shown."""
    match kind:
        case inspect.Metadata():
            return bool(kind.extra and kind.extra.get("secret")) or _holds_secret(kind.type, above)
        case inspect.DataclassType() | inspect.StructType():
            return kind.cls not in above and any(_holds_secret(f.type, (*above, kind.cls)) for f in kind.fields)
        case inspect.DictType():
            return _holds_secret(kind.value_type, above)
        case inspect.ListType():
            return _holds_secret(kind.item_type, above)
        case inspect.UnionType():
            return any(_holds_secret(member, above) for member in kind.types)
        case _:
            return isinstance(kind, inspect.AnyType)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _range(kind: Any) -> Iterator[str]:
    for sign, bound in ((">=", kind.ge), (">", kind.gt), ("<=", kind.le), ("<", kind.lt)):
        if bound is not None:
            yield f"{sign} {bound}"


def _article(kind: Any, plain: str) -> str:
    return "a non-empty " if kind.min_length == 1 and kind.max_length is None else plain


def _limits(kind: Any, unit: str) -> str:
    least, most = kind.min_length or 0, kind.max_length
    if most is None:
        return f" of at least {least} {unit}" if least > 1 else ""
    return f" of {least} to {most} {unit}"


def _expected(kind: inspect.Type) -> str:
    """What a type expects, in words: ``an integer >= 0``."""
    match kind:
        case inspect.Metadata():
            return _expected(kind.type)
        case inspect.IntType() | inspect.FloatType():
            noun = "an integer" if isinstance(kind, inspect.IntType) else "a number"
            return " and ".join([f"{noun} {r}" if i == 0 else r for i, r in enumerate(_range(kind))]) or noun
        case inspect.StrType():
            noun = _article(kind, "a ") + "string" + _limits(kind, "characters")
            return noun + (f" matching {kind.pattern}" if kind.pattern else "")
        case inspect.LiteralType():
            return "one of " + ", ".join(map(str, kind.values)) if len(kind.values) > 1 else _shown(kind.values[0])
        case inspect.ListType():
            return _article(kind, "an ") + "array" + _limits(kind, "items")
        case inspect.DictType() | inspect.DataclassType() | inspect.StructType():
            return "an object"
        case inspect.BoolType():
            return "true or false"
        case inspect.UnionType():
            return " or ".join(_expected(t) for t in kind.types if not isinstance(t, inspect.NoneType))
        case _:
            return "null"
