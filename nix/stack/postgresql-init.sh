#!/usr/bin/env bash
# The cluster of PostgreSQL and our database in it, made at the first start.
set -euo pipefail
data=$STACK_DATA/postgresql
if [ -d "$data" ]; then
    made=$(cat "$data/PG_VERSION")
    program=$(postgres --version)
    program=${program#*) }
    if [ "$made" != "${program%%.*}" ]; then
        echo "error: $data was made by PostgreSQL $made, and this is PostgreSQL $program" >&2
        echo "  fix: move what is in it with pg_dump and psql of release $made, or start anew on another folder: --data DIR" >&2
        exit 1
    fi
    exit 0
fi
# Under its own name only when it is whole: this may be killed half-way.
rm -rf "$data.new"
initdb --pgdata="$data.new" --username=observatory --pwfile="$STACK_DATA/secrets/postgresql" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C
echo 'CREATE DATABASE observatory' | postgres --single -D "$data.new" postgres >/dev/null
mv "$data.new" "$data"
