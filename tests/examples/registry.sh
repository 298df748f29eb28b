#!/bin/sh
# registry.sh: tests examples/registry. Each vector is a list of commands and all that they print.
check=example-registry
. tests/tools/lib.sh
cc=${CC:-cc}
for source in examples/registry/*.c examples/common/*.c; do
    [ $source = examples/common/lib.c ] || try "$source" $cc -std=gnu99 -O1 $WARN -I. -c $source -o "$out/object.o"
done
try "make" ${MAKE:-make} build/examples/registry || finish
program=build/examples/registry
if have clang-14; then
    try "clang" clang-14 -std=gnu99 $WARN -I. -fsyntax-only examples/registry/*.c
    try "sanitizers" clang-14 -g -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -I. examples/registry/*.c \
        examples/common/*.c -o "$out/registry-asan" && program=$out/registry-asan
fi
try "names_units.c" $cc -O1 -I. tests/examples/names_units.c examples/common/names.c examples/common/buffer.c -o "$out/names_units" &&
    try "examples/common/names.c" "$out/names_units"
# model FILE HEADER COUNT BYTE: a model whose data is COUNT times that byte
model() {
    n=$(printf %s "$2" | wc -c)
    printf "\\$(printf %o $((n % 256)))\\$(printf %o $((n / 256)))\\0\\0\\0\\0\\0\\0%s" "$2" >"$1"
    head -c "$3" /dev/zero | tr '\0' "$4" >>"$1"
}
# prints CODE LABEL COMMANDS <WANTED: the exit status, and all output
prints() {
    cat >"$out/wanted"
    printf '%s\n' "$3" | "$program" >"$out/got" 2>&1
    status=$?
    [ $status = "$1" ] && pass || fail "$2: exit status $status"
    try "$2" diff "$out/wanted" "$out/got"
}
cd "$out" && program=../../$program out=. || exit
model w.safetensors '{"w":{"dtype":"U8","shape":[128],"data_offsets":[0,128]}}' 128 a
model w2.safetensors '{"w":{"dtype":"I8","shape":[8,8],"data_offsets":[0,64]}}' 64 b
model base.safetensors '{"embed":{"dtype":"U8","shape":[100],"data_offsets":[0,100]},"b":{"dtype":"F32","shape":[25,2],"data_offsets":[100,300]}}' 300 c
model tied.safetensors '{"__metadata__":{"lm_head":"embed"},"embed":{"dtype":"U8","shape":[100],"data_offsets":[0,100]},"b":{"dtype":"F32","shape":[25,2],"data_offsets":[100,300]}}' 300 d
model code.safetensors '{"up":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"down":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}}' 5 e
model math.safetensors '{"up":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}}' 7 f

prints 0 "V-R1, R03" 'pairs w=01020304 b=0506
bytes w
bytes b
bytes missing
pair-names' <<'END'
4 bytes: 01 02 03 04
2 bytes: 05 06
none
w
b
END
prints 0 "V-R2: duplicates and empty values" 'pairs w=01 e= w=02fF a=b=03
bytes w
bytes e
bytes a=b
pair-names
bytes x
pairs x=A0fF
bytes x
pairs
pair-names
bytes w' <<'END'
1 bytes: 01
0 bytes: 
1 bytes: 03
w
e
w
a=b
none
2 bytes: a0 ff
none
END
prints 0 "V-R3: registered once" 'open w.safetensors
open w2.safetensors
show w
head w 3
total' <<'END'
1 registered, 0 kept
0 registered, 1 kept
w: U8 [128] 128 bytes, 0 pins
61 61 61
128 bytes
END
prints 0 "V-R3: pins" 'open w.safetensors
pin w
pin w
release w
release w' <<'END'
1 registered, 0 kept
1
2
1
0
END
prints 0 "V-R3: alias and total" 'open base.safetensors
alias lm_head embed
show lm_head
total
pin lm_head
show embed' <<'END'
2 registered, 0 kept
lm_head is embed: U8 [100] 100 bytes, 0 pins
300 bytes
1
embed: U8 [100] 100 bytes, 1 pin
END
prints 0 "V-R3: adapters" 'open math.safetensors math
open base.safetensors
open code.safetensors code
adapters
show math/up
show code/up
total
drop math
adapters
show math/up
open math.safetensors math
show math/up' <<'END'
1 registered, 0 kept
2 registered, 0 kept
2 registered, 0 kept
code: code/down code/up
math: math/up
math/up: U8 [7] 7 bytes, 0 pins
code/up: U8 [2] 2 bytes, 0 pins
312 bytes
1 dropped
code: code/down code/up
none
1 registered, 0 kept
math/up: U8 [7] 7 bytes, 0 pins
END
prints 0 "R10: the file's own aliases" 'open tied.safetensors
show lm_head
head lm_head 2
names
open tied.safetensors a
show a/lm_head
unregister embed
show lm_head
names' <<'END'
2 registered, 0 kept
lm_head is embed: U8 [100] 100 bytes, 0 pins
64 64
b
embed
lm_head
2 registered, 0 kept
a/lm_head is a/embed: U8 [100] 100 bytes, 0 pins
none
a/b
a/embed
a/lm_head
b
END
model more.safetensors '{"__metadata__":{"a":"embed","z":"new"},"embed":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"new":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}' 3 g
prints 0 "R10: no alias of a tensor whose name was taken" 'open base.safetensors
open more.safetensors
show a
show z' <<'END'
2 registered, 0 kept
1 registered, 1 kept
none
z is new: U8 [2] 2 bytes, 0 pins
END
prints 1 "R10: what is refused" 'open base.safetensors
release b
pin b
unregister b
release b
unregister b
unregister b
alias x b
alias x embed
alias x embed
alias y x
open code.safetensors code
open math.safetensors code
pin code/up
drop code
drop none
release code/up
drop code
open none.safetensors
open none.safetensors fresh
adapters' <<'END'
2 registered, 0 kept
registry: line 2: release: not pinned
1
registry: line 4: unregister: pinned
0
none
registry: line 8: alias: the target is not registered
registry: line 10: alias: the name is registered
registry: line 11: alias: the target is an alias itself
2 registered, 0 kept
registry: line 13: open: this adapter is open
1
registry: line 15: drop: one of its tensors is pinned
registry: line 16: drop: no adapter of this name is open
0
2 dropped
registry: line 19: open: none.safetensors: no such file or directory
registry: line 20: open: none.safetensors: no such file or directory
END
prints 0 "unknown handles" 'show x
pin x
release x
unregister x
head x' <<'END'
none
none
none
none
none
END
prints 1 "command lines" '# a comment

alias x
total total
fly
open w.safetensors # a comment
head w -1
head w 257
head w 0
head w
pairs x
pairs x=0
pairs x=0g' <<'END'
registry: line 3: alias: wrong number of arguments; see registry --help
registry: line 4: total: wrong number of arguments; see registry --help
registry: line 5: fly: unknown command; see registry --help
1 registered, 0 kept
registry: line 7: head: expected a number of bytes up to 256
registry: line 8: head: expected a number of bytes up to 256

61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61
registry: line 11: pairs: expected NAME=HEX
registry: line 12: pairs: expected NAME=HEX
registry: line 13: pairs: expected NAME=HEX
END
# an alias of a tensor in an adapter goes with it
prints 1 "an alias goes with its adapter" 'open base.safetensors
open code.safetensors code
alias up code/up
head up 2
pin up
drop code
release code/up
drop code
show up
total' <<'END'
2 registered, 0 kept
2 registered, 0 kept
65 65
1
registry: line 6: drop: one of its tensors is pinned
0
3 dropped
none
300 bytes
END
model evil.safetensors '{"a\u001b]0;evil\u0007":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' 1 a
prints 0 "a name that controls the terminal" 'open evil.safetensors
names' <<'END'
1 registered, 0 kept
a\u001b]0;evil\u0007
END
head -c 100 w.safetensors >cut.safetensors
printf 'open cut.safetensors\n' | "$program" 2>&1 | grep -q 'line 1: open: cut.safetensors: file is truncated' && pass || fail "a cut file"
head -c 70000 /dev/zero | tr '\0' a | "$program" >got 2>&1 && fail "a long line: exit status 0" || pass
try "a long line" grep -q 'a line of more than 65,535 bytes' got
echo names | "$program" >/dev/full 2>got && pass || fail "nothing to print: exit status"
echo total | "$program" >/dev/full 2>got && fail "a full device: exit status 0" || pass
try "a full device" grep -q '^registry: cannot write to standard output$' got
printf 'show a\0\n' | "$program" >got 2>&1 && fail "NUL: exit status 0" || pass
"$program" --help >got 2>&1 && grep -q '^usage: registry' got && pass || fail "--help"
"$program" file >got 2>&1
[ $? = 2 ] && pass || fail "an argument: exit status"
# 50,000 tensors with as many aliases: no squares of time
awk 'BEGIN { printf "{\"__metadata__\":{"; for (i = 0; i < 50000; i++) printf "%s\"b%d\":\"a%d\"", i ? "," : "", i, i; printf "}"
    for (i = 0; i < 50000; i++) printf ",\"a%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i; printf "}" }' >header
n=$(wc -c <header)
{ printf "\\$(printf %o $((n % 256)))\\$(printf %o $((n / 256 % 256)))\\$(printf %o $((n / 65536)))\\0\\0\\0\\0\\0" && cat header; } >many.safetensors
printf 'open many.safetensors\nshow b49999\n' | timeout 20 "$program" >got 2>&1
try "many aliases" grep -q '^b49999 is a49999: U8 \[0\] 0 bytes' got
cd ../.. || exit
finish
