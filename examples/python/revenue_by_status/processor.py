"""Reads the topic and keeps the ledger, until it is told to stop."""

import logging
from collections import defaultdict
from threading import Event

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from .change import Change, NotAChange, parse_change
from .ledger import Ledger
from .problem import ExitCode, Problem
from .settings import KafkaSettings

TOPIC = "dbserver1.public.orders"
GROUP = "revenue-by-status"
MAX_BATCH = 1000
WAIT_S = 0.2
CONNECT_S = 10

log = logging.getLogger(__name__)


class Processor:
    """
    One member of the group. Kafka tells which partitions are its own, and nothing else: positions
    live in the ledger, beside their effects. A member that was cut off and does not know yet can do
    no harm, as the ledger refuses what does not begin at the stored position.
    """

    def __init__(self, kafka: KafkaSettings, ledger: Ledger) -> None:
        self._ledger = ledger
        self._positions: dict[int, int | None] = {}
        self._consumer = Consumer({**_consumer_settings(kafka), "error_cb": _tell})

    def run(self, stop: Event) -> None:
        try:
            _require_topic(self._consumer)
            self._consumer.subscribe(
                [TOPIC], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            while not stop.is_set():
                self._take(self._next_records())
        finally:
            self._consumer.close()

    def _next_records(self) -> list[Message]:
        """Waits for one record, then takes those that are there already."""
        first = self._consumer.poll(WAIT_S)
        if first is None:
            return []
        return [first, *self._consumer.consume(num_messages=MAX_BATCH - 1, timeout=0)]

    def _take(self, records: list[Message]) -> None:
        by_partition: defaultdict[int, list[Message]] = defaultdict(list)
        for record in records:
            _require_success(record)
            by_partition[_partition(record)].append(record)
        for partition, mine in by_partition.items():
            # A partition may have gone to another member since its records were fetched.
            if partition in self._positions:
                self._apply(partition, mine)

    def _apply(self, partition: int, records: list[Message]) -> None:
        changes = [change for record in records if (change := _change(record)) is not None]
        position = _offset(records[-1]) + 1
        stored = self._ledger.apply(partition, self._positions[partition], changes, position)
        self._positions[partition] = stored
        if stored != position:
            log.warning(
                "partition %d: expected position %d, found %s: reading on from there",
                partition,
                position,
                stored,
            )
            self._consumer.seek(_from(partition, stored))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._positions = {
            each.partition: self._ledger.position(each.partition) for each in partitions
        }
        consumer.assign([_from(*each) for each in self._positions.items()])
        for partition, position in self._positions.items():
            log.info("partition %d: reads from %s", partition, position or "the beginning")

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self._positions.pop(each.partition, None)


def _consumer_settings(kafka: KafkaSettings) -> dict[str, str | int | bool]:
    """https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md"""
    settings: dict[str, str | int | bool | None] = {
        "bootstrap.servers": kafka.broker,
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password,
        "ssl.ca.location": kafka.ssl_ca,
        # Attempts to connect are not worth a line each: `_tell` has one for all.
        "log_level": 2,
        "group.id": GROUP,
        # After a kill, the partitions wait this long for another member.
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 2000,
        # Records of transactions that were aborted never happened.
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        # A position that the topic no longer holds is an error; the default would skip to the end.
        "auto.offset.reset": "error",
    }
    return {name: value for name, value in settings.items() if value is not None}


def _tell(error: KafkaError) -> None:
    """The consumer connects again by itself, for as long as it takes."""
    if error.code() == KafkaError._ALL_BROKERS_DOWN:
        log.warning("no Kafka broker answers: %s", error.str())


def _require_topic(consumer: Consumer) -> None:
    try:
        topic = consumer.list_topics(TOPIC, timeout=CONNECT_S).topics[TOPIC]
    except KafkaException as error:
        raise Problem(
            f"expected a Kafka broker within {CONNECT_S} s, found none ({error.args[0].str()}): "
            "check KAFKA_BROKER and KAFKA_SECURITY_PROTOCOL",
            ExitCode.UNAVAILABLE,
        ) from error
    if topic.error is not None:
        raise Problem(
            f"expected the topic {TOPIC}, found {topic.error}: start the shop's capture, which creates it"
        )


def _require_success(record: Message) -> None:
    error = record.error()
    if error is None:
        return
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise Problem(
            f"partition {record.partition()}: expected the record at the stored position, found that "
            f"the topic no longer holds it ({error}): delete the keys revenue_by_status* and have the "
            "connector copy the table again"
        )
    raise Problem(f"{TOPIC}, partition {record.partition()}: expected a record, found {error}")


def _change(record: Message) -> Change | None:
    try:
        return parse_change(record.key(), record.value())
    except NotAChange as error:
        raise Problem(
            f"{TOPIC}, partition {record.partition()}, offset {record.offset()}: {error}. "
            "No record is skipped: mend what writes the topic, then start again"
        ) from error


def _from(partition: int, position: int | None) -> TopicPartition:
    return TopicPartition(TOPIC, partition, OFFSET_BEGINNING if position is None else position)


def _partition(record: Message) -> int:
    partition = record.partition()
    assert partition is not None, "a consumed record has a partition"
    return partition


def _offset(record: Message) -> int:
    offset = record.offset()
    assert offset is not None, "a consumed record has an offset"
    return offset
