#!/usr/bin/env bash
# mandoc has nothing to say of the manual pages, not even of their style, and shows something of each.
#
#     manual_lint.sh BUILD
set -euo pipefail
pages=$1/client/manual
command -v mandoc >/dev/null || { echo "SKIP: mandoc is not installed"; exit 77; }
[ -e "$pages/tusk.1" ] || { echo "SKIP: no manual pages were built: scdoc or Python was missing"; exit 77; }
count=0 said=0
while IFS= read -r page; do
    count=$((count + 1))
    mandoc -T lint "$page" || said=$((said + 1))
    [ "$(mandoc -T utf8 "$page" | wc -l)" -gt 20 ] || { echo "$page: there is hardly anything in it"; said=$((said + 1)); }
done < <(grep -L '^\.so ' "$pages"/*.[1-8])
echo "$count pages, $said with problems"
[ "$count" -ge 20 ] && [ "$said" -eq 0 ]
