#!/bin/sh
# rows.sh: examples/README.md has a line for each behaviour of the earlier systems, and each test that it names exists:
# `tests/FILE` is a file, and `tests/FILE: TEXT` is a file that contains the text.
check=example-rows
. tests/tools/lib.sh
readme=examples/README.md
rows=../shared/prior-systems.md
sed -n 's/^| *\([GRTEF][0-9][0-9]\|V-[A-Z][0-9]*\) *|.*/\1/p' $readme | sort >"$out/have"
twice=$(uniq -d <"$out/have")
[ -z "$twice" ] && pass || fail "$readme has a row twice:" $twice
[ "$(wc -l <"$out/have")" -gt 150 ] && pass || fail "$readme has no table"
if [ -f $rows ]; then
    {
        sed -n 's/^| *\([GRTEF][0-9][0-9]\) *|.*/\1/p' $rows
        sed -n 's/^- \*\*\(V-[A-Z][0-9]*\)\*\*.*/\1/p' $rows
    } | sort >"$out/wanted"
    [ "$(wc -l <"$out/wanted")" -gt 150 ] && pass || fail "$rows has another form"
    for row in $(cat "$out/wanted"); do grep -qx "$row" "$out/have" && pass || fail "$readme lacks row $row"; done
else
    skip "no $rows here: the rows are not compared with it"
fi
# a row has a test, or says in its second column that it is out
awk -F'|' '/^\| *([GRTEF][0-9][0-9]|V-[A-Z][0-9]+) *\|/ && $3 !~ /^ out:? / && $4 !~ /`tests\// { print $2 }' \
    $readme >"$out/untested"
[ -s "$out/untested" ] && fail "no test in row" $(cat "$out/untested") || pass
grep -o '`tests/[^`]*`' $readme | tr -d '`' | sort -u >"$out/tests"
while read -r test; do
    file=${test%%: *}
    if [ ! -f "$file" ]; then fail "$readme names $file, which does not exist"; continue; fi
    text=
    case $test in *": "*) text=${test#*: } ;; esac
    grep -qF -e "$text" "$file" && pass || fail "$file does not contain: $text"
done <"$out/tests"
# every program has a paragraph
for program in examples/*.c examples/*/; do
    case $program in examples/common/) continue ;; esac
    name=$(basename "$program")
    grep -qF -e "$name" $readme && pass || fail "$readme does not mention $name"
done
finish
