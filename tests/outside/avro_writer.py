"""Writes Avro by fastavro.

    avro_writer.py    reads lines {"schema": ..., "values": [...]}, and prints for each the values' bytes in hex, by spaces

What JSON has no value for is {"bytes": "hex"} or {"double": "NaN"}.
"""

import io
import json
import sys

import fastavro


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {"bytes"}:
            return bytes.fromhex(value["bytes"])
        if set(value) == {"double"}:
            return float(value["double"])
        return {name: plain(item) for name, item in value.items()}
    return value


def written(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, plain(value), strict=True)
    return out.getvalue().hex()


for line in sys.stdin:
    case = json.loads(line)
    schema = fastavro.parse_schema(case["schema"])
    print(" ".join(written(schema, value) for value in case["values"]), flush=True)
