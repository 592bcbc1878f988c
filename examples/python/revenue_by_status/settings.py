"""The environment, read once. The variables are those of Millrace itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .problem import ExitCode, Problem

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class KafkaSettings:
    broker: str
    security_protocol: str
    sasl_mechanism: str | None
    sasl_username: str | None
    sasl_password: str | None = field(repr=False)
    ssl_ca: str | None


@dataclass(frozen=True)
class RedisSettings:
    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: bool
    ssl_ca: str | None


def read_settings(environment: Mapping[str, str]) -> tuple[KafkaSettings, RedisSettings]:
    """Raises one Problem that lists every wrong variable. An empty value counts as unset."""
    read = _Reader(environment)
    protocol = read.one_of("KAFKA_SECURITY_PROTOCOL", SECURITY_PROTOCOLS, "PLAINTEXT")
    has_sasl = protocol.startswith("SASL_")
    kafka = KafkaSettings(
        broker=read.text("KAFKA_BROKER") or "localhost:9092",
        security_protocol=protocol,
        sasl_mechanism=(
            read.one_of("KAFKA_SASL_MECHANISM", SASL_MECHANISMS, "PLAIN") if has_sasl else None
        ),
        sasl_username=read.required("KAFKA_SASL_USERNAME", protocol) if has_sasl else None,
        sasl_password=read.required("KAFKA_SASL_PASSWORD", protocol) if has_sasl else None,
        ssl_ca=read.file("KAFKA_SSL_CA"),
    )
    redis = RedisSettings(
        host=read.text("REDIS_HOST") or "localhost",
        port=read.port("REDIS_PORT", 6379),
        username=read.text("REDIS_USERNAME"),
        password=read.text("REDIS_PASSWORD"),
        tls=read.one_of("REDIS_TLS", ("true", "false"), "false") == "true",
        ssl_ca=read.file("REDIS_SSL_CA"),
    )
    if read.problems:
        raise Problem("\n".join(read.problems), ExitCode.CONFIGURATION)
    return kafka, redis


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        return self._environment.get(name) or None

    def required(self, name: str, protocol: str) -> str | None:
        value = self.text(name)
        if value is None:
            self.problems.append(
                f"{name}: not set, expected a value, as KAFKA_SECURITY_PROTOCOL is {protocol}"
            )
        return value

    def one_of(self, name: str, allowed: tuple[str, ...], otherwise: str) -> str:
        value = self.text(name) or otherwise
        if value not in allowed:
            self.problems.append(f'{name}: found "{value}", expected one of {", ".join(allowed)}')
        return value

    def port(self, name: str, otherwise: int) -> int:
        value = self.text(name) or str(otherwise)
        if value.isdecimal() and 1 <= int(value) <= 65_535:
            return int(value)
        self.problems.append(f'{name}: found "{value}", expected a port from 1 to 65535')
        return otherwise

    def file(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not Path(value).is_file():
            self.problems.append(f'{name}: found "{value}", expected a file that exists')
        return value
