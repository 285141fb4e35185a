#!/bin/sh
# Tells what kind-up tells, with what the programs say that it calls in between; under its other name
# it fails on the way.
[ "$1" = --json ] || exit 2
echo '{"phase": "prerequisites", "state": "started", "text": "looking for what is needed"}'
echo '{"phase": "prerequisites", "state": "done", "text": "all there"}'
echo 'Creating cluster "observatory" ...' >&2
echo '{"phase": "cluster", "state": "skipped", "text": "observatory is there"}'
if [ "${0##*/}" = broken.sh ]; then
  echo '{"phase": "ready", "state": "failed", "text": "api is not ready", "fix": "kubectl describe deployment/api"}'
  exit 1
fi
echo '{"phase": "up", "state": "done", "text": "up", "pages": [{"name": "Grafana", "url": "http://localhost:3002/"}]}'
