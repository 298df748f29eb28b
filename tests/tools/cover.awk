# cover.awk: merges gcov's text (-b -c -t) of several programs that include safetensors.h; see cover.sh. Programs compile
# the same header, so the branches of a line correspond; where a compiler dropped some, the larger set is the line's.
/:[ ]*0:Source:/ { ours = $0 ~ /Source:(.*\/)?safetensors\.h$/; next }
!ours { next }
/^[ ]*[-#=0-9*]+:[ ]*[0-9]+:/ {
    split($0, part, ":")
    count = part[1]
    gsub(/[ *]/, "", count)
    line = part[2] + 0
    if (line == 0) next
    branches = 0
    code = $0
    sub(/^[^:]*:[^:]*:/, "", code)
    text[line] = code
    if (line > lines) lines = line
    if (count == "-") next
    is_code[line] = 1
    if (count !~ /^[#=]/ && count + 0 > 0) taken_line[line] = 1
    next
}
/^branch/ {
    if (++branches > branch_count[line]) branch_count[line] = branches
    if ($0 ~ /taken [1-9]/) taken[line, branches] = 1
}
END {
    for (line = 1; line <= lines; line++) {
        if (text[line] ~ /^\/\* -+ [0-9]+ [a-zA-Z]/) { split(text[line], word, " "); room = word[3] + 0 }
        if (room < first || room > last || !is_code[line]) continue
        if (text[line] ~ /STI_NEVER/) { excused++; continue }
        total_lines++
        if (taken_line[line]) good++
        else print "fail safetensors.h:" line ": never run: " text[line]
        for (b = 1; b <= branch_count[line]; b++) {
            total_branches++
            if ((line, b) in taken) good++
            else if (taken_line[line]) print "fail safetensors.h:" line ": branch " b " of " branch_count[line] " never taken: " text[line]
        }
    }
    print "pass " good + 0
    print "info rooms " first " to " last ": " total_lines + 0 " lines, " total_branches + 0 " branches, " excused + 0 " lines excused by STI_NEVER"
    if (excused > 20) print "fail " excused " lines contain STI_NEVER; 20 may"
    if (total_lines == 0) print "fail nothing of these rooms was compiled"
}
