#!/usr/bin/env bash
# Asks ZooKeeper whether it serves: https://zookeeper.apache.org/doc/r3.8.4/zookeeperAdmin.html#sc_4lw
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${1:-2181}"
printf 'ruok' >&3
[ "$(head -c 4 <&3)" = imok ]
