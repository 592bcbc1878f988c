"""python -m revenue_by_status: runs until SIGTERM or SIGINT."""

import logging
import os
import signal
import sys
from threading import Event

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from .ledger import Ledger
from .problem import ExitCode, Problem
from .processor import Processor
from .settings import RedisSettings, read_settings


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        kafka, redis = read_settings(os.environ)
        with _connect(redis) as connection:
            try:
                Processor(kafka, Ledger(connection)).run(stop)
            except RedisError as error:
                raise _unreachable(redis, error) from error
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


def _connect(redis: RedisSettings) -> "Redis":
    return Redis(
        host=redis.host,
        port=redis.port,
        username=redis.username,
        password=redis.password,
        ssl=redis.tls,
        ssl_ca_certs=redis.ssl_ca,
        decode_responses=True,
    )


def _unreachable(redis: RedisSettings, error: RedisError) -> Problem:
    variables = (
        "REDIS_USERNAME and REDIS_PASSWORD"
        if isinstance(error, AuthenticationError)
        else "REDIS_HOST and REDIS_PORT"
    )
    return Problem(
        f"expected Redis at {redis.host}:{redis.port}, found: {error}: check {variables}, then start "
        "again; nothing is lost or counted twice",
        ExitCode.UNAVAILABLE,
    )


if __name__ == "__main__":
    sys.exit(main())
