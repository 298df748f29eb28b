#!/bin/sh
# weight_map.sh: tests examples/weight_map. Each case is a list of commands and all that they print.
check=example-weight_map
. tests/tools/lib.sh
cc=${CC:-cc}
try "warnings" $cc -std=gnu99 -O1 $WARN -I. -c examples/weight_map/main.c -o "$out/object.o"
try "make" ${MAKE:-make} build/examples/weight_map build/st || finish
program=build/examples/weight_map
if have clang-14; then
    try "clang" clang-14 -std=gnu99 $WARN -I. -fsyntax-only examples/weight_map/main.c
    try "sanitizers" clang-14 -g -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -I. examples/weight_map/*.c \
        examples/common/*.c -o "$out/weight_map-asan" && program=$out/weight_map-asan
fi
cd "$out" && program=../../$program st=../st || exit
# model FILE HEADER DATA: writes a model; DATA is a format of printf
model() {
    n=$(printf %s "$2" | wc -c)
    printf "\\$(printf %o $((n % 256)))\\$(printf %o $((n / 256)))\\0\\0\\0\\0\\0\\0%s" "$2" >"$1"
    printf "$3" >>"$1"
}
# prints CODE LABEL COMMANDS ARGUMENTS... <WANTED: the exit status, and all output
prints() {
    code=$1 label=$2 commands=$3
    shift 3
    cat >wanted
    printf '%s\n' "$commands" | "$program" "$@" >got 2>&1
    status=$?
    [ $status = "$code" ] && pass || fail "$label: exit status $status"
    try_here "$label" diff wanted got
}
try_here() { # like try, from this folder
    label=$1
    shift
    if "$@" >said 2>&1; then pass; else fail "$label" && cat said; fi
}
# F16 1 to 6 as [2,3]; BF16 -2, 0.5; I64 3, 2^24 + 1 (rounds to 2^24); I32 -7; C64; F32 at an odd offset behind one U8
model a.st '{"m":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]},"c":{"dtype":"C64","shape":[1],"data_offsets":[16,24]},"i":{"dtype":"I64","shape":[2],"data_offsets":[24,40]},"j":{"dtype":"I32","shape":[],"data_offsets":[40,44]},"u":{"dtype":"U8","shape":[1],"data_offsets":[44,45]},"f":{"dtype":"F32","shape":[2,1],"data_offsets":[45,53]}}' \
    '\0\74\0\100\0\102\0\104\0\105\0\106\0\300\0\77\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\1\0\0\1\0\0\0\0\371\377\377\377\11\0\0\200\77\0\0\0\300'
model b.st '{"m":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"n":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]}}' \
    '\0\0\200\77\0\0\0\100\0\0\0\77\0\0\200\76'

prints 0 "R06: everything as F32, C64 left out" 'len
keys
get m
get b
get i
get j
get u
get f' a.st <<'END'
6
m [2,3]
b [2]
i [2]
j []
u [1]
f [2,1]
m [2,3]: 1 2 3 4 5 6
b [2]: -2 0.5
i [2]: 3 16777216
j []: -7
u [1]: 9
f [2,1]: 1 -2
END
prints 1 "R05: take" 'take m
take m
has m
take-transposed f
take-transposed b
get b
take none
len' a.st <<'END'
m [2,3]: 1 2 3 4 5 6
weight_map: line 2: take: missing
no
f [1,2]: 1 -2
weight_map: line 5: take-transposed: only a matrix has a transpose
b [2]: -2 0.5
weight_map: line 7: take: missing
4
END
prints 0 "V-C5: the transpose of 1 to 6" 'take-transposed m' a.st <<'END'
m [3,2]: 1 4 2 5 3 6
END
prints 0 "R06: --exclude" 'keys' a.st --exclude m --exclude f --exclude none <<'END'
b [2]
i [2]
j []
u [1]
END
ones=$(awk 'BEGIN { for (i = 0; i < 64; i++) printf " 1" }')
model long.st '{"l":{"dtype":"U8","shape":[65],"data_offsets":[0,65]},"k":{"dtype":"U8","shape":[64],"data_offsets":[65,129]}}' \
    "$(echo "$ones$ones 1" | sed 's/ /\\/g')"
prints 0 "R05: the first 64 values" 'get l
get k' long.st <<END
l [65]:$ones ...
k [64]:$ones
END
prints 0 "R06: --exclude in every file" 'keys' a.st b.st --exclude m <<'END'
b [2]
i [2]
j []
u [1]
f [2,1]
n [2,1]
END
model repeated.st '{"a.a.a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' '\1'
prints 0 "R07: remap of a part that repeats" 'remap a layer
keys
remap layer.layer layer
keys' repeated.st <<'END'
layer.layer.layer [1]
layer.layer [1]
END
prints 0 "R07: remap of what was taken" 'take n
remap n m
get m
has n' b.st <<'END'
n [2,1]: 0.5 0.25
m [1,2]: 1 2
no
END
prints 0 "R07: remap; the later of equal names stays" 'remap n m
keys
get m
remap m layers.m.m
get layers.m.m
has m' b.st <<'END'
m [2,1]
m [2,1]: 0.5 0.25
layers.m.m [2,1]: 0.5 0.25
no
END
prints 1 "R07: merge-add" 'merge-add m n
merge-add m b
merge-add m m
merge-add m none
merge-add f n
get f
has n
take-transposed f
merge-add i i' a.st b.st <<'END'
weight_map: line 1: merge-add: the shapes differ
weight_map: line 2: merge-add: only matrices can be added
weight_map: line 3: merge-add: a weight cannot be added to itself
weight_map: line 4: merge-add: missing
f [2,1]: 1.5 -1.75
no
f [1,2]: 1.5 -1.75
weight_map: line 9: merge-add: only matrices can be added
END
model c.st '{"p":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]}}' '\1\1\1\2\2\2'
prints 0 "R07: the transpose of a sum" 'merge-add m p
take-transposed m' a.st c.st <<'END'
m [3,2]: 2 6 3 7 4 8
END
prints 0 "R08: the later file replaces" 'get m
len' a.st b.st <<'END'
m [1,2]: 1 2
7
END
prints 0 "R08: the order counts" 'get m' b.st a.st <<'END'
m [2,3]: 1 2 3 4 5 6
END
prints 0 "R07: snapshot" 'take b
take i
remap f x.f
merge-add x.f n
save saved.st' a.st b.st <<'END'
b [2]: -2 0.5
i [2]: 3 16777216
END
$st ls saved.st | awk '/F32  / && /\[/ { print $1, $2, $3 }' >got
printf 'j F32 []\nm F32 [1,2]\nu F32 [1]\nx.f F32 [2,1]\n' >wanted
try_here "what was saved" diff wanted got
[ "$($st cat saved.st x.f | od -An -tx1 | tr -d ' ')" = 0000c03f0000e0bf ] && pass || fail "the sum that was saved"
awk 'BEGIN { printf "{"; for (i = 0; i < 10; i++) printf "%s\"w%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", i; printf "}" }' >header
model ten.st "$(cat header)" ''
prints 1 "R09: drain policies" 'drain ignore
drain warn
take w0
take w1
drain warn
drain fail
drain all' ten.st <<'END'
weight_map: not used: w0, w1, w2, w3, w4, w5, w6, w7 and 2 more
w0 [0]:
w1 [0]:
weight_map: not used: w2, w3, w4, w5, w6, w7, w8, w9
weight_map: not used: w2, w3, w4, w5, w6, w7, w8, w9
weight_map: line 6: drain: weights are left
weight_map: line 7: drain: expected ignore, warn or fail
END
prints 0 "R09: nothing is left" 'take m
take n
drain fail' b.st <<'END'
m [1,2]: 1 2
n [2,1]: 0.5 0.25
END
prints 1 "command lines" 'fly
len 1
take' b.st <<'END'
weight_map: line 1: fly: unknown command, or wrong number of arguments; see weight_map --help
weight_map: line 2: len: unknown command, or wrong number of arguments; see weight_map --help
weight_map: line 3: take: unknown command, or wrong number of arguments; see weight_map --help
END
model evil.st '{"a\u001b]0;evil\u0007\u0000":{"dtype":"U8","shape":[0,4611686018427387904],"data_offsets":[0,0]},"e":{"dtype":"F32","shape":[0,1152921504606846976],"data_offsets":[0,0]},"g":{"dtype":"F32","shape":[0,1152921504606846976],"data_offsets":[0,0]}}' ''
prints 0 "hostile names and shapes" 'merge-add e g
take-transposed e
keys
remap a b
save empty.st' evil.st <<'END'
e [1152921504606846976,0]:
a\u001b]0;evil\u0007\u0000 [0,4611686018427387904]
END
head -c 20 b.st >cut.st
prints 1 "a cut file" 'len' b.st cut.st <<'END'
weight_map: cut.st: file is truncated in its header: at least 100 bytes are missing
END
echo len | "$program" b.st >/dev/full 2>got && fail "a full device: exit status 0" || pass
try_here "a full device" grep -q '^weight_map: cannot write to standard output$' got
"$program" --help >got 2>&1 && grep -q '^usage: weight_map' got && pass || fail "--help"
for arguments in '' '--exclude' 'b.st --wrong' 'b.st --exclude'; do
    "$program" $arguments >got 2>&1 </dev/null
    [ $? = 2 ] && grep -q 'see weight_map --help' got && pass || fail "wrong usage: $arguments"
done
cd ../.. || exit
finish
