"""What the description of a slot says of its values: what they mean, and how they look."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from malha_planner.models.offline.words import words

_EXAMPLES = re.compile(
    r"""(?:such as|like|e\.g\.|for example|for instance|example:?|por exemplo|como|ex\.:?)\s+([^.;()]+)""",
    re.I,
)
_QUOTED = re.compile(r"""["'`“”]([^"'`“”]+)["'`“”]""")

_LONGEST = 4
"""Words that a meaning may have; what is longer explains, and its words are no names of the value."""


def without_examples(description: str) -> str:
    """What is said of the slot itself."""
    return _EXAMPLES.sub("", description)


def glosses(enum: Sequence[Any], description: str) -> tuple[tuple[str, str], ...]:
    """What a description says its values mean: "up = subir", "up: to the top", "up (subir)"."""
    found = []
    for value in (value for value in enum if isinstance(value, str) and value):
        spelt = re.escape(value)
        for match in re.finditer(
            rf"(?<![\w-])[`\"']?{spelt}[`\"']?\s*(?:[=:(]|[–—]|-\s|means\s)\s*([^,;.()=]+)", description, re.I
        ):
            found += [(value, said.strip()) for said in re.split(r"\s(?:or|ou)\s|/", match.group(1))]
    return tuple((value, said) for value, said in found if 0 < len(words(said)) <= _LONGEST)


def examples(schema: Mapping[str, Any], description: str) -> tuple[str, ...]:
    """The strings that a schema, or its description ("such as"), gives for examples."""
    given = [value for value in schema.get("examples", ()) if isinstance(value, str)]
    for match in _EXAMPLES.finditer(description):
        listed = _QUOTED.findall(match.group(1)) or re.split(r",| or | ou | and | e ", match.group(1))
        given += [value.strip(" \"'`") for value in listed if value.strip(" \"'`")]
    return tuple(given)
