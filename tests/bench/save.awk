# lines "round way seconds cpu-seconds peak-KiB" -> a table of medians; ratios are medians of the ratios of each round
function sorted(values, n,    i, j, v) {
    for (i = 2; i <= n; i++) {
        v = values[i]
        for (j = i - 1; j > 0 && values[j] > v; j--) values[j + 1] = values[j]
        values[j + 1] = v
    }
}
function median(values, n) { sorted(values, n); return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2 }
function column(table, way,    r, n, values) {
    for (r = 1; r <= rounds; r++) if ((r, way) in table) values[++n] = table[r, way]
    return median(values, n)
}
function ratio(table, way, base,    r, n, values) {
    for (r = 1; r <= rounds; r++) if ((r, way) in table && table[r, base] > 0) values[++n] = table[r, way] / table[r, base]
    return n ? sprintf("%.2f", median(values, n)) : "-"
}
{
    time[$1, $2] = $3; cpu[$1, $2] = $4; if ($5 > peak[$2]) peak[$2] = $5
    if ($1 > rounds) rounds = $1
    if (!($2 in seen)) { seen[$2] = 1; ways[++count] = $2 }
}
END {
    separator = "{\"date\":\"" date "\",\"versions\":\"" versions "\",\"medians\":[\n "
    print date "; " versions
    print "medians of " rounds " rounds; st_save and its like beside preallocate + write() + rename of the same bytes"
    row = "%-22s %7s %10s %10s %8s %10s %12s\n"
    printf row, "way", "MiB", "MiB/s", "of plain", "CPU s", "of plain", "peak MiB"
    for (i = 1; i <= count; i++) {
        way = ways[i]
        base = way ~ /stream/ ? "plain-stream" : "plain"
        if (way ~ /-flushed/) base = base "-flushed"
        size = way ~ /stream/ ? stream : whole
        speed = ratio(time, base, way) # as many times as fast
        printf row, way, size, sprintf("%.0f", size / column(time, way)), speed, sprintf("%.3f", column(cpu, way)), \
            ratio(cpu, way, base), sprintf("%.1f", peak[way] / 1024)
        printf "%s{\"way\":\"%s\",\"mebibytes\":%d,\"seconds\":%s,\"cpu_seconds\":%s,\"peak_kib\":%d}", separator, \
            way, size, column(time, way), column(cpu, way), peak[way] >json
        separator = ",\n "
    }
    print "\n]}" >json
}
