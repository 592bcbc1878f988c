#!/usr/bin/env bash
# Asks a worker whether it takes connectors: it does once it has read its topics and joined its group.
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${1:-8083}"
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
