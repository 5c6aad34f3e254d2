"""A tool as the offline model sees it: the words that speak of it and the slots to be filled.

Everything comes from the contract of the tool (name, description, JSON Schema); the view is kept,
since the same tools are offered again and again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tool_pb2 import Tool
from malha_planner.models.offline.descriptions import examples, glosses, without_examples
from malha_planner.models.offline.lexicon import (
    EXPRESSION_SLOT,
    IDENTIFIER_SLOT,
    KNOWLEDGE,
    PROPER_SLOT,
    QUESTION_SLOT,
    SEARCHING,
    TEXT_SLOT,
    UNITS,
)
from malha_planner.models.offline.words import Terms, Word, name_words, words

_QUESTION, _EXPRESSION, _TEXT = Terms.of(QUESTION_SLOT), Terms.of(EXPRESSION_SLOT), Terms.of(TEXT_SLOT)
_IDENTIFIER, _SEARCHING, _KNOWLEDGE = Terms.of(IDENTIFIER_SLOT), Terms.of(SEARCHING), Terms.of(KNOWLEDGE)
_ACTS = frozenset({Effect.EFFECT_IDEMPOTENT, Effect.EFFECT_ONCE})
_PROPER = Terms.of(PROPER_SLOT)
_DATE = Terms.of("date day")
_CLOCK, _CLOCK_FIRST = frozenset({"hour", "hora", "time", "horario"}), frozenset({"hour", "hora", "horario"})
_UNIT_WORDS = Terms.of(" ".join(UNITS))


@dataclass(frozen=True)
class Slot:
    """One property of a tool's arguments."""

    name: str
    kind: str
    """number, integer, hour (an integer on the clock), boolean, enum, array, object; of the strings:
    query, expression, text, date, time, email, uri, currency, unit, identifier or phrase."""
    names: tuple[Word, ...]
    """The words of its name."""
    about: tuple[Word, ...]
    """The words of its description."""
    required: bool
    schema: Mapping[str, Any]
    enum: tuple[Any, ...] = ()
    glosses: tuple[tuple[str, str], ...] = ()
    """Values of the enum, each with other words for it: what the description says behind a value."""
    examples: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    item: "Slot | None" = None
    fields: tuple["Slot", ...] = ()

    @property
    def is_proper(self) -> bool:
        """Whether it holds a proper name: of a person, a place, a work."""
        return any(word in _PROPER for word in self.names) or any(word in _PROPER for word in self.about[-2:])

    @property
    def terms(self) -> Terms:
        """What it is called and what is said of it, the name first."""
        return _slot_terms(self.names, self.about)

    def measures(self, unit: Word) -> bool | None:
        """Whether its numbers are of this unit; None where either side names no unit."""
        own = [word for word in (*self.names, *self.about) if word in _UNIT_WORDS]
        if unit not in _UNIT_WORDS or not own:
            return None
        return unit in Terms.of(" ".join(word.folded for word in own))


@lru_cache(maxsize=1024)
def _slot_terms(names: tuple[Word, ...], about: tuple[Word, ...]) -> Terms:
    terms = Terms()
    terms.add(about, 0.5)
    terms.add(names, 1.0)
    return terms


@dataclass(frozen=True)
class ToolView:
    """A tool, read once."""

    name: str
    description: str
    slots: tuple[Slot, ...]
    terms: Terms
    validator: Draft202012Validator
    acts: bool
    """Whether a call changes something; such a tool is called on an order, never on a hunch."""

    @property
    def required(self) -> tuple[Slot, ...]:
        return tuple(slot for slot in self.slots if slot.required)

    @property
    def searches(self) -> bool:
        """Whether it finds passages in documents for a question in plain words."""
        said = words(self.description) + name_words(self.name)
        return (
            any(slot.kind == "query" for slot in self.slots)
            and all(slot.kind == "query" for slot in self.required)
            and any(word in _SEARCHING for word in said)
            and any(word in _KNOWLEDGE for word in said)
        )

    @property
    def reckons(self) -> "Slot | None":
        """The slot for an arithmetic expression, if this is a tool to reckon with."""
        only = self.required if self.required else self.slots
        return only[0] if len(only) == 1 and only[0].kind == "expression" else None

    def terms_beside(self, slot: Slot) -> Terms:
        """What is said of it elsewhere than in one of its slots."""
        terms = Terms.of(self.description)
        terms.add(name_words(self.name), 1.0)
        for other in self.slots:
            if other.name != slot.name:
                terms.add((*other.names, *other.about), 1.0)
        return terms

    def accepts(self, arguments: object) -> bool:
        """Whether arguments satisfy the tool's schema."""
        return bool(self.validator.is_valid(arguments))


@lru_cache(maxsize=512)
def view(name: str, description: str, schema_json: str, acts: bool = False) -> ToolView | None:
    """Reads a tool's contract; None where its schema is none."""
    try:
        schema = orjson.loads(schema_json or "{}")
        Draft202012Validator.check_schema(schema)
    except (orjson.JSONDecodeError, SchemaError):
        return None
    if not isinstance(schema, dict):
        return None
    slots = _slots(schema, schema)
    terms = Terms()
    for slot in slots:
        terms.add(slot.about, 0.5)
        terms.add(words(" ".join(str(value) for value in slot.enum)), 0.6)
        terms.add(slot.names, 0.8)
    terms.add(words(description), 1.0)
    terms.add(name_words(name), 1.2)
    return ToolView(name, description, slots, terms, Draft202012Validator(schema), acts)


def views(tools: Sequence[Tool]) -> list[ToolView]:
    """The readable ones of the offered tools, in their order."""
    read = (view(t.name, t.description, t.input_schema_json, t.effect in _ACTS) for t in tools)
    return [tool for tool in read if tool is not None]


def _slots(schema: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[Slot, ...]:
    required = schema.get("required", ())
    properties = schema.get("properties", {})
    slots = [_slot(name, inner, name in required, root) for name, inner in properties.items()]
    return tuple(replace(slot, glosses=_shared_glosses(slot, slots)) for slot in slots)


def _shared_glosses(slot: Slot, slots: Sequence[Slot]) -> tuple[tuple[str, str], ...]:
    """What any slot with the same values says of them: of an origin and a destination, one explains both."""
    alike = (other for other in slots if other.enum == slot.enum)
    return tuple(dict.fromkeys(gloss for other in alike for gloss in other.glosses))


def _slot(name: str, schema: Any, required: bool, root: Mapping[str, Any], depth: int = 0) -> Slot:
    schema = _plain(schema, root)
    description = f"{schema.get('title', '')} {schema.get('description', '')}"
    enum = tuple(schema.get("enum", ())) or ((schema["const"],) if "const" in schema else ())
    names, about = name_words(name), words(without_examples(description))
    kind = "enum" if enum else _kind(schema, names, about)
    item: Slot | None = None
    fields: tuple[Slot, ...] = ()
    if kind == "array":
        item = _slot(
            name, {"description": description, **_plain(schema.get("items", {}), root)}, True, root, depth + 1
        )
    elif kind == "object" and depth < 3:
        fields = _slots(schema, root)
    try:
        pattern = re.compile(schema["pattern"]) if "pattern" in schema else None
    except re.error:
        pattern = None
    return Slot(
        name,
        kind,
        names,
        about,
        required,
        schema,
        enum,
        glosses(enum, description),
        examples(schema, description),
        pattern,
        item,
        fields,
    )


def _plain(schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """The schema itself behind references and "or null"."""
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref", "")
    if reference.startswith("#/"):
        target: Any = root
        for part in reference[2:].split("/"):
            target = target.get(part, {}) if isinstance(target, dict) else {}
        return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    for union in ("anyOf", "oneOf"):
        for option in schema.get(union, ()):
            if isinstance(option, dict) and option.get("type") != "null":
                return {**_plain(option, root), **{k: v for k, v in schema.items() if k != union}}
    return schema


def _kind(schema: Mapping[str, Any], names: tuple[Word, ...], about: tuple[Word, ...]) -> str:
    declared = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(declared, list):
        declared = next((kind for kind in declared if kind != "null"), "string")
    called = {word.folded for word in names}
    if declared == "integer" and _is_on_the_clock(names) and schema.get("maximum", 23) <= 24:
        return "hour"
    if declared != "string":
        return str(declared)
    known = {
        "date": "date",
        "date-time": "date",
        "time": "time",
        "email": "email",
        "uri": "uri",
        "url": "uri",
    }
    if schema.get("format") in known:
        return known[schema["format"]]
    if any(word in _EXPRESSION for word in names):
        return "expression"
    if any(word in _QUESTION for word in names) or called & {"q"}:
        return "query"
    if called & {"date", "day", "dia"} or ("data" in called and any(word in _DATE for word in about)):
        return "date"
    if _is_on_the_clock(names):
        return "time"
    if called & {"email"} or called & {"url", "uri"}:
        return "email" if "email" in called else "uri"
    if called & {"currency", "moeda"}:
        return "currency"
    if (called | {word.folded for word in about[:2]}) & {"unit", "units", "unidade", "uom"}:
        return "unit"
    if "pattern" in schema or any(word in _IDENTIFIER for word in names):
        return "identifier"
    if any(word in _TEXT for word in names):
        return "text"
    if any(word in _EXPRESSION for word in about[:6]):
        return "expression"
    return "phrase"


def _is_on_the_clock(names: tuple[Word, ...]) -> bool:
    """Whether a slot is named for a time of day: `start_hour` and `hora_inicio` are, `time_zone` is not."""
    return bool(names) and (names[-1].folded in _CLOCK or names[0].folded in _CLOCK_FIRST)
