#!/usr/bin/env bash
# No two of our libraries define the same name: a linker takes the first it finds, without a word, and calls go astray.
#
#     unique_names.sh LIBRARY...
set -euo pipefail
twice=$(for library in "$@"; do
    nm --defined-only --extern-only "$library" | awk 'NF == 3 { print $3 }' | sort -u
done | sort | uniq -d)
if [ -n "$twice" ]; then
    echo "defined by two libraries: $twice" >&2
    exit 1
fi
echo "$# libraries, no name twice"
