# stack.awk: reads what gcc -fcallgraph-info=su wrote and prints the deepest path of calls, of all or of those that begin at
# `root`: "BYTES bytes: f 40 > g 16".
# Calls through a pointer are not in it: a caller's callback brings its own stack. Recursion would be printed as such.
/^node:/ {
    name = $0
    sub(/.*title: "/, "", name)
    sub(/".*/, "", name)
    if (match($0, /[0-9]+ bytes/)) {
        size[name] = substr($0, RSTART, RLENGTH) + 0
        dynamic[name] = $0 ~ /\(dynamic\)/
    }
}
/^edge:/ {
    from = $0; sub(/.*sourcename: "/, "", from); sub(/".*/, "", from)
    to = $0; sub(/.*targetname: "/, "", to); sub(/".*/, "", to)
    callees[from] = callees[from] "\n" to
}
function short(name) { sub(/.*:/, "", name); return name }
function deepest(name,    list, n, i, below, best, best_path) {
    if (name in depth) return depth[name]
    if (name in busy) { print "999999 bytes: recursion at " short(name); stopped = 1; exit }
    busy[name] = 1
    n = split(callees[name], list, "\n")
    best = 0
    best_path = ""
    for (i = 2; i <= n; i++) {
        below = deepest(list[i])
        if (below > best) { best = below; best_path = " > " path[list[i]] }
    }
    delete busy[name]
    path[name] = short(name) " " size[name] + 0 best_path
    return depth[name] = size[name] + best
}
END {
    if (stopped) exit
    for (name in size) if (dynamic[name]) { print "999999 bytes: stack of unknown size in " short(name); exit }
    top = root
    if (root != "") deepest(root)
    else for (name in size) if (top == "" || deepest(name) > depth[top]) { deepest(name); top = name }
    print depth[top] " bytes: " path[top]
}
