#!/usr/bin/env bash
# Starts everything on servers of their own with docker compose, and returns when rows flow.
#
# KAFKA_PROFILE, passwords and the rest are taken from .env, which .env.example explains.
# Stop it with `docker compose down`, remove also all data with `docker compose down --volumes`.

# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"
take_no_arguments "$@"
require_docker

docker compose up --build --detach --remove-orphans --wait --wait-timeout "$READY_WITHIN_SECONDS"
scripts/setup-debezium.sh

cat <<'END'

PostgreSQL     localhost:5432
Kafka          localhost:9092
Kafka Connect  http://localhost:8083
Redis          localhost:6379

scripts/monitor-etl.sh shows what moves, scripts/demo.sh takes you through it.
docker compose down stops all; with --volumes it removes the data too.
END
