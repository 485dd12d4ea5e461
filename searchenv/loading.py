"""Objects by dotted name, as the command line and configurations give them."""

from importlib import import_module

__all__ = ["load_object"]


def load_object(dotted: str) -> object:
    """Returns what ``package.module:Name`` names.

    Raises:
        ValueError: it is not of that form, or cannot be imported.

    >>> load_object("math:pi")
    3.141592653589793
    """
    module, _, name = dotted.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{dotted!r}: expected package.module:Name that can be imported: {error}"
        ) from error
