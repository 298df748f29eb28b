# annotate.awk: inserts loop annotations into the header, which readers need not see there. Before the header, awk reads the
# annotations: "FUNCTION: LINE OF THE LOOP", then indented ACSL. Each must match one line of its function. A line is only
# extended, so that line numbers stay.
FNR == 1 { file++ }
file == 1 && /^[a-z]/ {
    loop = $0
    sub(/: */, "\t", loop)
    loops[loop] = ""
}
file == 1 && /^ / { loops[loop] = loops[loop] $0 "\n" }
file == 2 {
    if (match($0, /^[A-Za-z].*[ *]sti_[a-z0-9_]+\(/)) {
        name = substr($0, 1, RLENGTH - 1)
        sub(/.*[ *]/, "", name)
    }
    line = $0
    gsub(/^ +/, "", line)
    at = name "\t" line
    if (at in loops) {
        used[at]++
        text = loops[at]
        gsub(/[\n ]+/, " ", text)
        printf "/*@%s*/ ", text
    }
    print
}
END {
    for (at in loops) {
        if (used[at] != 1) {
            print "annotation matches " (used[at] + 0) " lines: " at >"/dev/stderr"
            failed = 1
        }
    }
    exit failed
}
