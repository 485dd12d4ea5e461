"""Settings from TOML files: tables that become the frozen dataclasses of this package."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from searchenv.errors import did_you_mean

__all__ = ["read_settings", "settings_of"]

T = TypeVar("T")


def read_settings(cls: type[T], path: str | os.PathLike[str]) -> T:
    """Returns the settings in a TOML file.

    Raises:
        OSError: there is no such file.
        ValueError: it is no TOML, names a key that ``cls`` does not have, or a value is wrong.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return settings_of(cls, table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def settings_of(cls: type[T], table: Mapping[str, object], where: str = "") -> T:
    """Returns ``table`` as an instance of the dataclass ``cls``; what is left out is the default.

    A field that is a dataclass takes a table, a tuple of dataclasses a list of tables. One that may
    be None is None where it is left out.

    Raises:
        ValueError: a key is unknown or missing, or a value is out of range or of another type.
    """
    hints = _hints(cast(Any, cls))
    names = [field.name for field in fields(cast(Any, cls))]
    values: dict[str, object] = {}
    for key, value in table.items():
        if key not in names:
            raise ValueError(f"unknown key {where}{key}. {did_you_mean(key, names)}")
        values[key] = _value(hints[key], value, f"{where}{key}")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where.rstrip('.') or cls.__name__}: {error}") from error


def _value(hint: Any, value: object, where: str) -> object:
    if type(None) in get_args(hint):  # TOML has no null: what is given is not None
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a table {where}, got {value!r}")
        return settings_of(hint, value, f"{where}.")
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"expected a list {where}, got {value!r}")
        return tuple(_value(get_args(hint)[0], each, where) for each in value)
    known = (bool, int, float, str)
    if hint in known:
        number = hint is float and isinstance(value, int) and not isinstance(value, bool)
        if type(value) is not hint and not number:
            raise ValueError(f"expected {where} to be of type {hint.__name__}, got {value!r}")
        return hint(value)
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)
