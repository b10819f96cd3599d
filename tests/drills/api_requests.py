"""What tests/drills/api_contract.py changes in generated requests; read by schemathesis.

Not a drill by itself, and therefore not executable.
"""

import schemathesis


@schemathesis.hook
def map_query(context, query):
    """Nobody waits: with `wait` a notice is awaited for up to half a minute."""
    if query:
        query.pop("wait", None)
    return query


@schemathesis.serializer("application/toml")
def card_file(context, value):
    """Whatever text there is: a card file is not described further than that."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
