"""The texts of a call and of its YAML files, as values of the settings' types.

YAML would make a date of `2024-11-24`, 750 of `12:30` and true of `yes`, whatever the setting's
type. Here a scalar is the text that stands there, and the type says what it means; null alone is
YAML's own.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml

NULL = ("", "null")
"""What stands for no value on the command line, where nothing can be quoted."""

_KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _TextLoader(yaml.SafeLoader):
    """YAML whose scalars are texts, but for null; a key that comes twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} comes twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> Any:
    """Mappings, lists, texts and None.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=_TextLoader)


def read_text(text: str, hint: Any) -> Any:
    """What `text`, given on the command line for a setting of type `hint`, stands for.

    A list is written as YAML writes it, `[a, b]`; one item may stand bare, since URLs with brace
    ranges (`{000..007}.tar`) would be YAML mappings.
    """
    if get_origin(hint) is list:
        if not text:
            return []
        if text.startswith("["):
            with suppress(yaml.YAMLError):
                return read_yaml(text)
    elif NoneType in _alternatives(hint) and text in NULL:
        return None
    return text


def as_typed(value: Any, hint: Any) -> Any:
    """`value`, as `read_yaml` or `read_text` gives it, as OmegaConf takes it for a type.

    OmegaConf converts texts itself, but among the types of a union it only looks for the one that
    the value has.
    """
    if not isinstance(value, str):
        return value
    if get_origin(hint) is list:
        return [value]
    alternatives = _alternatives(hint)
    if str in alternatives:
        for number in (int, float):
            if number in alternatives:
                with suppress(ValueError):
                    return number(value)
    return value


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
