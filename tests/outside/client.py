"""An outside client: Confluent's Python client with its Avro serializers and a schema registry.

    client.py BOOTSTRAP REGISTRY write TOPIC SCHEMA_FILE    writes customer events, by three versions of the schema
    client.py BOOTSTRAP REGISTRY read TOPIC                 prints every committed record as a line of JSON
"""

import datetime
import faulthandler
import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext


def write(bootstrap, registry, topic, schema_file):
    with open(schema_file, encoding="utf-8") as file:
        plain = json.load(file)
    # A later sender knows more, an earlier one had neither ids nor sources.
    newer = json.loads(json.dumps(plain))
    newer["fields"].insert(1, {"name": "trace", "type": {"type": "map", "values": "string"}, "default": {}})
    newer["fields"].append({"name": "channel", "type": ["null", "string"], "default": None})
    older = json.loads(json.dumps(plain))
    older["fields"] = [field for field in older["fields"] if field["name"] not in ("event_id", "source")]

    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    now = int(time.time() * 1000)

    def event(customer, name, offset, **more):
        return {"customer_id": customer, "event": name, "occurred_at": now + offset, **more}

    for schema, events in [
        (plain, [event("plain", "purchase", 0, event_id="p1", properties={"amount": 12.5}),
                 event("plain", "refund", 1, event_id="p2", properties={"amount": 12, "whole": True, "note": None})]),
        (newer, [event("newer", "purchase", 2, event_id="n1", properties={"amount": 99}, channel="web",
                       trace={"a": "b"})]),
        (older, [event("older", "purchase", 3, properties={"amount": 10.000001}),
                 event("older", "visit", 4)]),
    ]:
        client = SchemaRegistryClient({"url": registry, "timeout": 30})
        serialize = AvroSerializer(client, json.dumps(schema))
        for value in events:
            payload = serialize(value, SerializationContext(topic, MessageField.VALUE))
            producer.produce(topic, key=value["customer_id"], value=payload)
    producer.flush()


def shown(value):
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000)
    raise TypeError(type(value))


def read(bootstrap, registry, topic):
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry, "timeout": 30}))
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "outside", "enable.auto.commit": False,
                         "enable.partition.eof": True, "isolation.level": "read_committed"})
    partitions = list(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    left = set(partitions)
    while left:
        message = consumer.poll(30)
        if message is None:
            sys.exit(f"no end of {topic} in sight")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            left.discard(message.partition())
            continue
        value = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
        headers = {name: text.decode() for name, text in message.headers() or []}
        print(json.dumps({"key": message.key().decode(), "value": value, "headers": headers}, default=shown))
    consumer.close()


if __name__ == "__main__":
    faulthandler.dump_traceback_later(180, exit=True)  # says where it hangs
    {"write": write, "read": read}[sys.argv[3]](sys.argv[1], sys.argv[2], *sys.argv[4:])
