# sorted lines "what tensors value" -> a table of medians and ratios, and the same as JSON
function at(what, n) { return (what, n) in median ? median[what, n] : "" }
function flush() { if (count) median[what, tensors] = value[int((count + 1) / 2)]; count = 0 }
function ratio(a, b) { return a == "" || b == "" ? "-" : sprintf("%.1fx", a / b) }
function show(x) { return x == "" ? "-" : x }
{
    if ($1 != what || $2 != tensors) flush()
    what = $1; tensors = $2; value[++count] = $3
    if (!(tensors in seen)) { seen[tensors] = 1; sizes[++size_count] = tensors }
}
END {
    flush()
    print date "; " versions
    print "ns of thread CPU time a tensor (median), and how many times as long the reference takes"
    row = "%-9s %12s %12s %7s %12s %7s %12s %12s %7s\n"
    printf row, "tensors", "open_memory", "Rust", "", "Python", "", "open (file)", "Python", ""
    for (i = 1; i <= size_count; i++) {
        n = sizes[i]; m = at("c-memory", n); f = at("c-file", n)
        printf row, n, m, show(at("rust-memory", n)), ratio(at("rust-memory", n), m), show(at("python-memory", n)), \
            ratio(at("python-memory", n), m), f, show(at("python-file", n)), ratio(at("python-file", n), f)
    }
    print "bytes a tensor"
    for (i = 1; i <= size_count; i++) {
        n = sizes[i]
        printf "%-9s kept %s, at most %s", n, at("c-kept", n), at("c-peak", n)
        if (at("rust-kept", n) != "") printf " (Rust: kept %s, at most %s)", at("rust-kept", n), at("rust-peak", n)
        print ""
    }
    printf "{\"date\":\"%s\",\"versions\":\"%s\",\"medians\":[", date, versions >json
    for (key in median) {
        split(key, k, SUBSEP)
        printf "%s\n {\"what\":\"%s\",\"tensors\":%s,\"value\":%s}", separator, k[1], k[2], median[key] >json
        separator = ","
    }
    print "\n]}" >json
}
