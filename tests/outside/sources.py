"""Writes the records of three systems by Confluent's serializers for Python, with a schema registry.

    sources.py BOOTSTRAP REGISTRY ORDERS CLICKS TICKETS    orders in Avro, clicks by a JSON Schema, tickets in bare JSON
"""

import datetime
import decimal
import faulthandler
import json
import sys
import time

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

ORDER = {
    "type": "record", "name": "Order", "namespace": "shop.orders", "fields": [
        {"name": "order_id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["OPEN", "PAID"]}},
        {"name": "buyer", "type": ["null", {"type": "record", "name": "Buyer", "fields": [
            {"name": "id", "type": "string"}, {"name": "email", "type": ["null", "string"], "default": None}]}]},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "paid_at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "due", "type": {"type": "int", "logicalType": "date"}},
    ],
}

CLICK = {
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Click", "type": "object",
    "properties": {"user": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
                   "action": {"type": "string"}, "at": {"type": "number"}, "page": {"type": "object"}},
    "required": ["user", "action", "at"],
}


def main(bootstrap, registry, orders, clicks, tickets):
    client = SchemaRegistryClient({"url": registry, "timeout": 30})
    producer = Producer({"bootstrap.servers": bootstrap})
    now = datetime.datetime.now(datetime.timezone.utc)

    avro = AvroSerializer(client, json.dumps(ORDER))
    for number, (customer, status, total) in enumerate(
            [("ann", "PAID", "19.99"), ("ann", "OPEN", "5.00"), ("bob", "PAID", "10.00"), (None, "PAID", "70.00")]):
        order = {"order_id": f"00000000-0000-0000-0000-00000000000{number}", "status": status,
                 "buyer": customer and {"id": customer, "email": None}, "total": decimal.Decimal(total),
                 "paid_at": now if status == "PAID" else None, "due": datetime.date(2026, 1, 31)}
        producer.produce(orders, key=f"order-{number}", value=avro(order, SerializationContext(orders, MessageField.VALUE)))

    by_schema = JSONSerializer(json.dumps(CLICK), client)
    for customer, action, page in [("bob", "view", {"path": "/p/1"}), ("cléo", "view", {"path": "/é"}), ("bob", "scroll", {})]:
        click = {"user": {"id": customer}, "action": action, "at": time.time(), "page": page}
        producer.produce(clicks, key="session-1",
                         value=by_schema(click, SerializationContext(clicks, MessageField.VALUE)))

    ticket = {"requester": {"mail": "ann"}, "kind": "opened", "at": now.isoformat(), "stars": None}
    producer.produce(tickets, key="ticket-1", value=json.dumps(ticket))
    if producer.flush(60):
        sys.exit("not everything was written")


faulthandler.dump_traceback_later(180, exit=True)  # says where it hangs
main(*sys.argv[1:])
