#!/bin/sh
# sum.sh [NAME] <LINES: adds up lines "N passed, N failed" or "N passed, N failed, N skipped", with or without a name and a
# colon before them, and prints the total in the same form. The exit status is 0 if nothing failed.
tr -d '\r' | awk -v name="$1" '
    /^([A-Za-z0-9_.-]+: )?[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ {
        sub(/^[^ ]*: /, "")
        passed += $1; failed += $3; skipped += $5
    }
    END {
        printf "%s%d passed, %d failed, %d skipped\n", name == "" ? "" : name ": ", passed, failed, skipped
        exit failed > 0
    }'
