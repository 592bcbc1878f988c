# shellcheck shell=bash
# What the scripts for `docker compose` share; sourced by them, not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

READY_WITHIN_SECONDS=600

# Prints the comment that a script begins with when it is asked for help, and refuses other arguments.
take_no_arguments() {
  case "${1-}" in
    '') ;;
    -h | --help) help && exit 0 ;;
    *) usage "expected no argument, found $1" ;;
  esac
}

help() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "scripts/$(basename "$0")"
}

usage() {
  printf '%s\n\n' "$1" >&2
  help >&2
  exit 2
}

require_docker() {
  if ! docker compose version >/dev/null 2>&1; then
    echo 'Docker Compose is missing: https://docs.docker.com/compose/install/' >&2
    exit 69
  fi
  if ! docker info >/dev/null 2>&1; then
    echo "Docker does not answer: start it, or check that 'docker info' works for you." >&2
    exit 69
  fi
}

# The command line, where the servers are known by their names.
millrace() {
  docker compose exec -T capture node /app/src/cli/main.ts "$@"
}

# Of the report that `millrace status --json` gives, as JavaScript reads it: `report.connector.state`.
status_of() {
  millrace status --json |
    docker compose exec -T capture node -p "const report = JSON.parse(require('fs').readFileSync(0)); $1"
}

# wait_until WHAT COMMAND...: asks once a second; ends with 69 when it has been too long.
wait_until() {
  local what=$1 deadline=$((SECONDS + READY_WITHIN_SECONDS))
  shift
  printf 'waiting: %s\n' "$what"
  until "$@"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      printf 'not so after %d s: %s. What happened: docker compose logs\n' \
        "$READY_WITHIN_SECONDS" "$what" >&2
      exit 69
    fi
    sleep 1
  done
}
