#!/usr/bin/env bash
# Makes Debezium capture: starts Kafka Connect and the role that registers pipelines/shop/connector.json
# with it, and returns when the tables are copied and changes are followed. Run again, it changes nothing.

# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"
take_no_arguments "$@"
require_docker

is_streaming() {
  local state
  # The role may be starting, or starting again.
  state=$(status_of 'report.connector?.state' 2>/dev/null) || return 1
  if [ "$state" = failed ]; then
    status_of 'report.connector.problem' >&2
    exit 1
  fi
  [ "$state" = streaming ]
}

docker compose up --detach --wait --wait-timeout "$READY_WITHIN_SECONDS" capture
wait_until 'Debezium has copied the tables and follows their changes' is_streaming
status_of '[report.connector.name, report.connector.state, "slot " + report.connector.slot].join(", ")'
