# lines "round size pair bytes-of-larger-side seconds seconds-of-memcpy" of ours and "round size pair seconds" of numpy
# -> a table; ratios are medians of the ratios of each round
function sorted(values, n,    i, j, v) {
    for (i = 2; i <= n; i++) {
        v = values[i]
        for (j = i - 1; j > 0 && values[j] > v; j--) values[j + 1] = values[j]
        values[j + 1] = v
    }
}
function median(values, n) { sorted(values, n); return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2 }
function ratio(table, key,    r, n, values) {
    for (r = 1; r <= rounds; r++) if ((r, key) in table) values[++n] = table[r, key] / ours[r, key]
    return n ? sprintf("%.2f", median(values, n)) : "-"
}
function speed(key,    r, n, values) {
    for (r = 1; r <= rounds; r++) if ((r, key) in ours) values[++n] = bytes[key] / ours[r, key] / 1e9
    return median(values, n)
}
{
    key = $2 " " $3
    if ($1 > rounds) rounds = $1
    if (NF == 4) { numpy[$1, key] = $4; next }
    if (!(key in bytes)) keys[++count] = key
    bytes[key] = $4; ours[$1, key] = $5; copy[$1, key] = $6
}
END {
    separator = "{\"date\":\"" date "\",\"versions\":\"" versions "\",\"medians\":[\n "
    print date "; " versions
    print "medians of " rounds " rounds; GB/s of the larger side; as many times as fast as memcpy of that side, and as numpy"
    printf "%10s %-16s %8s %10s %10s\n", "elements", "pair", "GB/s", "memcpy", "numpy"
    for (i = 1; i <= count; i++) {
        split(keys[i], part, " ")
        printf "%10d %-16s %8.2f %10s %10s\n", part[1], part[2], speed(keys[i]), ratio(copy, keys[i]), ratio(numpy, keys[i])
        printf "%s{\"elements\":%d,\"pair\":\"%s\",\"gigabytes_per_second\":%.3f,\"of_memcpy\":\"%s\",\"of_numpy\":\"%s\"}", separator, part[1], \
            part[2], speed(keys[i]), ratio(copy, keys[i]), ratio(numpy, keys[i]) >json
        separator = ",\n "
    }
    print "\n]}" >json
}
