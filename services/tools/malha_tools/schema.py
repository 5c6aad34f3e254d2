"""A JSON Schema, compiled once, whose complaints a model can act on."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY, SchemaResource

_MOST_FAULTS = 5
_LONGEST_FAULT = 300


def _unique_items(_validator: Any, unique: bool, value: Any, _schema: Any) -> Iterator[ValidationError]:
    """As jsonschema's own, which compares each object with every other: minutes for a call of 64 KiB."""
    if unique and isinstance(value, list) and len(set(map(_identity, value))) < len(value):
        yield ValidationError("it has equal items")


def _identity(value: Any) -> Hashable:
    """Equal for what JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    match value:
        case bool():
            return bool, value
        case list():
            return list, *map(_identity, value)
        case dict():
            return dict, frozenset((name, _identity(part)) for name, part in value.items())
    plain: Hashable = value
    return plain


_Validator = extend(Draft202012Validator, {"uniqueItems": _unique_items})  # type: ignore[no-untyped-call]  # no stub has it


class Schema:
    """JSON Schema 2020-12.

    Raises:
        jsonschema.SchemaError: the schema itself is not valid.
        ValueError: it is not JSON, or refers to what is not in it.
    """

    def __init__(self, text: str) -> None:
        self._schema = json.loads(text)
        Draft202012Validator.check_schema(self._schema)
        # a registry of its own: the default one fetches what a schema names, in the middle of a call
        self._validator = _Validator(self._schema, registry=EMPTY_REGISTRY)
        whole = DRAFT202012.create_resource(self._schema)
        _follow(whole, EMPTY_REGISTRY.resolver_with_root(whole))

    @property
    def properties(self) -> list[str]:
        """The names it declares at the top."""
        return list(self._schema.get("properties", {}))

    @property
    def describes_object(self) -> bool:
        """Whether only objects are valid."""
        return isinstance(self._schema, dict) and self._schema.get("type") == "object"

    def faults(self, value: Any) -> list[str]:
        """What is wrong with ``value``, each fault beginning with the path it is at; empty: valid."""
        return self._each(value, _told)

    def breaches(self, value: Any) -> list[str]:
        """As ``faults``, but quoting nothing of the value: for a log."""
        return self._each(value, lambda error: f"{_path(error) or 'the whole'} is against {error.validator}")

    def _each(self, value: Any, tell: Callable[[ValidationError], str]) -> list[str]:
        errors: Iterable[ValidationError] = self._validator.iter_errors(value)
        try:
            return [tell(error) for error, _ in zip(errors, range(_MOST_FAULTS), strict=False)]
        except RecursionError:
            return ["it is nested too deeply"]


def _follow(schema: SchemaResource, resolver: Any) -> None:
    """Look every reference up now. Raises ValueError where one leads nowhere."""
    if isinstance(schema.contents, dict):
        for reference in filter(None, map(schema.contents.get, ("$ref", "$dynamicRef"))):
            try:
                resolver.lookup(reference)
            except Unresolvable:
                raise ValueError(f"{reference} leads nowhere") from None
    for part in schema.subresources():
        _follow(part, resolver.in_subresource(part))


def _told(error: ValidationError) -> str:
    path, message = _path(error), error.message
    if len(message) > _LONGEST_FAULT:
        # the message quotes the value, which may be as long as its writer liked
        message = f"{message[:_LONGEST_FAULT]}... (against {error.validator})"
    return f"{path}: {message}" if path else message


def _path(error: ValidationError) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return "".join(parts).lstrip(".")
