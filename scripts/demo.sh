#!/usr/bin/env bash
# Takes you through a running system: starts it, changes a row, and shows the change in Kafka and in
# Redis; then proves that the store equals the source.

# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"
take_no_arguments "$@"
require_docker

step() {
  printf '\n== %s\n' "$1"
}

sql() {
  docker compose exec -T postgres sh -c 'psql -qAtX -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"' sh "$1"
}

redis() {
  docker compose exec -T redis sh -c 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli "$@"' redis "$@"
}

has_orders() {
  [ "$(redis GET metrics:orders:created)" != '' ]
}

shows_the_change() {
  redis GET product:1 | grep -q "$description"
}

scripts/start-etl.sh
wait_until 'the generator has inserted orders, and the processor has counted them' has_orders

step 'A change in PostgreSQL'
description="as changed at $(date +%T)"
sql "UPDATE products SET description = '$description' WHERE id = 1"
sql 'SELECT id, name, description FROM products WHERE id = 1'

step 'The same in Redis, as the processor keeps it'
wait_until 'the change has come to Redis' shows_the_change
redis GET product:1

step 'The same in Kafka: the records of this product, in the format of Debezium'
millrace consume dbserver1.public.products --key 1

step 'What is counted'
for key in cdc:stats:total metrics:orders:created metrics:revenue:total; do
  printf '%s = %s\n' "$key" "$(redis GET "$key")"
done

step 'The proof: the store equals the source, while rows flow'
millrace reconcile
