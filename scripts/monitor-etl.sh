#!/usr/bin/env bash
# Shows, every five seconds, the containers, and what `millrace status` tells: connector, lag, topics,
# processors.
#
#   scripts/monitor-etl.sh          until Ctrl-C
#   scripts/monitor-etl.sh --once   one time

# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"
once=no
if [ "${1-}" = --once ]; then
  once=yes
  shift
fi
take_no_arguments "$@"
require_docker

show() {
  docker compose ps --format 'table {{.Service}}\t{{.State}}\t{{.Health}}\t{{.RunningFor}}'
  echo
  millrace status || echo 'The role capture does not answer: docker compose logs capture'
}

while :; do
  now=$(show)
  if [ "$once" = yes ]; then
    printf '%s\n' "$now"
    exit
  fi
  # In one write, from the top of the screen: the eye finds each figure where it was.
  printf '\033[H\033[2J%s  (Ctrl-C ends this)\n\n%s\n' "$(date +%T)" "$now"
  sleep 5
done
