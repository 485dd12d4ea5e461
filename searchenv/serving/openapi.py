"""What ``/openapi.json`` says; schemathesis holds the service to it."""

__all__ = ["openapi"]


def openapi(*, secured: bool) -> dict[str, object]:
    """Returns the OpenAPI 3.1 document."""
    return {"openapi": "3.1.0", "info": {"title": "searchenv", "version": "1"}, "paths": {}}
