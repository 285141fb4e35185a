#!/usr/bin/env bash
# answers.sh PORT: whether somebody takes connections there.
set -euo pipefail
: <>"/dev/tcp/127.0.0.1/$1"
