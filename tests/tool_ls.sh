#!/bin/sh
# tool_ls.sh [ST]: tests st ls --tree, --match and --sort as a black box (see tools/blackbox.sh).

name=tool_ls
. "$(dirname "$0")/tools/blackbox.sh"

# tensors FILE NAME:SHAPE...: a file of these U8 tensors of one dimension, in this order
tensors() {
    file=$1 entries='' place=0 bytes=''
    shift
    for t; do
        n=${t##*:}
        entries="$entries${entries:+,}\"${t%:*}\":{\"dtype\":\"U8\",\"shape\":[$n],\"data_offsets\":[$place,$((place + n))]}"
        place=$((place + n))
        bytes=$bytes$(printf "%${n}s" '' | tr ' ' x)
    done
    model "$file" "{$entries}" "$bytes"
}
# tree WANTED ARGUMENTS...: the lines of the tree, without heading and totals; columns are one blank apart
tree() {
    wanted=$1
    shift
    fine ls --tree "$@"
    is "ls --tree $*" "$(sed -n '/^name /,/^$/p' out | sed '1d; $d; s/\([^ ]\)  */\1 /g')" "$wanted"
}
tensors layers embed:8 l.0.a.w:2 l.0.b:3 l.1.a.w:2 l.1.b:3 l.2.a.w:2 l.2.b:3 norm:5
tree "embed 1 8 U8 [8]
l.{0..2} 6 15
  a.w 3 6 U8 [2]
  b 3 9 U8 [3]
norm 1 5 U8 [5]" layers
is "columns" "$(sed -n 1,4p out)" "name      tensors  bytes
embed           1      8  U8 [8]
l.{0..2}        6     15
  a.w           3      6  U8 [2]"
has "the totals" out "total        8 tensors  28 elements  28 bytes"
tensors last l.0.a:2 l.1.a:2 l.2.a:3 l.3.a:3 l.5.a:3
tree "l 5 13
  {0..1}.a 2 4 U8 [2]
  {2..3}.a 2 6 U8 [3]
  5.a 1 3 U8 [3]" last
tensors order l.10.w:1 l.9.w:1 l.2.w:1 l.11.w:1 l.1.w:1
tree "l 5 5
  {1..2}.w 2 2 U8 [1]
  {9..11}.w 3 3 U8 [1]" order
tensors dtypes l.0.w:1
model dtypes '{"l.0":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"l.1":{"dtype":"I8","shape":[1],"data_offsets":[1,2]},"l.2":{"dtype":"I8","shape":[1,1],"data_offsets":[2,3]},"l.3":{"dtype":"I8","shape":[1,1],"data_offsets":[3,4]}}' 'abcd'
tree "l 4 4
  0 1 1 U8 [1]
  1 1 1 I8 [1]
  {2..3} 2 2 I8 [1,1]" dtypes
tensors nested m.0.e.0.w:1 m.0.e.1.w:1 m.1.e.0.w:1 m.1.e.1.w:1
tree "m.{0..1}.e.{0..1}.w 4 4 U8 [1]" nested
tensors same a:1 a.b:2 a.c:3 a/b:4 ab:5 a.0:6 a.00:7 a.01:8 .:9 a.0.b:1 b..c:1 b..d:2
tree ". 1 9 U8 [9]
a 1 1 U8 [1]
a 6 27
  0 1 6 U8 [6]
  0.b 1 1 U8 [1]
  00 1 7 U8 [7]
  01 1 8 U8 [8]
  b 1 2 U8 [2]
  c 1 3 U8 [3]
a/b 1 4 U8 [4]
ab 1 5 U8 [5]
b. 2 3
  c 1 1 U8 [1]
  d 1 2 U8 [2]" same
tensors other.names a/0/w:1 a/1/w:1 a.0.w:1 a.1.w:1
tree "a.{0..1}.w 2 2 U8 [1]
a/{0..1}/w 2 2 U8 [1]" other.names
tensors one w:3
tree "w 1 3 U8 [3]" one
model none '{}'
fine ls --tree none
is "a tree of nothing" "$(cat out)" "total        0 tensors  0 elements  0 bytes"
model hostile '{"\u001b[31m.\u202e":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a\u0000.b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
fine ls --tree hostile
lacks_bytes "names that would control the terminal" out ' 1b' ' e2 80 ae' ' 00'
has "names that would control the terminal" out '\u001b[31m.\u202e'
dots=$(awk 'BEGIN { for (i = 0; i < 20000; i++) printf "a." }')
tensors deep ${dots}x:1 ${dots}y:2 ${dots}z.q:3
fine ls --tree deep
is "a name of 20000 components" "$(wc -l <out | tr -d ' ')" 8
has "a name of 20000 components" out "a.a.a.z.q"
numbers=$(awk 'BEGIN { for (i = 0; i < 3000; i++) printf "l.%d:1 ", i }')
tensors many $numbers l.99999999999999999999:1 l.4294967295:1 l.4294967296:1
tree "l 3003 3003
  {0..2999} 3000 3000 U8 [1]
  4294967295 1 1 U8 [1]
  4294967296 1 1 U8 [1]
  99999999999999999999 1 1 U8 [1]" many
mkdir parts
quiet shard layers parts --max-size 12B
tree "embed 1 8 U8 [8]
l.{0..2} 6 15
  a.w 3 6 U8 [2]
  b 3 9 U8 [3]
norm 1 5 U8 [5]" parts

# ---- --match and --sort ---------------------------------------------------------------------------------------

# listed WANTED ARGUMENTS...: the names that st ls prints, and those in its JSON
listed() {
    wanted=$1
    shift
    fine ls "$@"
    is "ls $*" "$(sed '1d; /^$/,$d; s/ .*//' out | tr '\n' ' ')" "$wanted"
    fine ls --json "$@"
    is "ls --json $*" "$(sed -n 's/^\[*{"name":"\([^"]*\)".*/\1/p' out | tr '\n' ' ')" "$wanted"
}
listed "l.0.a.w l.1.a.w l.2.a.w " layers --match '*.w'
has "only chosen tensors" out '"l.0.a.w"'
listed "embed l.1.a.w l.1.b norm " layers --match 'l.1.*' --match '????' --match embed
listed "embed norm l.0.b l.1.b l.2.b l.0.a.w l.1.a.w l.2.a.w " layers --sort size
listed "embed l.0.a.w l.0.b l.1.a.w l.1.b l.2.a.w l.2.b norm " layers --sort name
listed "l.10.w l.9.w l.2.w l.11.w l.1.w " order --sort=offset
listed "l.1.w l.10.w l.11.w l.2.w l.9.w " order --sort=name
listed "norm l.2.b " layers --sort size --match norm --match l.2.b
fine ls layers --match 'l.*'
has "totals of chosen tensors" out "total        6 tensors  15 elements  15 bytes"
fine ls parts --sort size
is "files are not named in another order" "$(grep -c '^parts/' out)" 0
fine ls parts --sort offset --match '*b*'
is "files are named in file order" "$(grep -c '^parts/' out)" "$(ls parts/*.safetensors | wc -l | tr -d ' ')"
tree "l.{0..1}.b 2 6 U8 [3]" layers --match 'l.0.b' --match 'l.1.b'
fails "layers: no tensor matches l.9.*" ls layers --match 'l.9.*'
fails "layers: no tensor matches nrm; did you mean norm?" ls layers --match embed --match nrm
fails "layers: no tensor matches nrm" ls --json layers --match nrm
refused "--sort: expected size, name or offset, found shape" ls layers --sort shape
refused "--tree cannot be combined with --json" ls layers --tree --json
refused "--tree cannot be combined with --sort" ls layers --tree --sort name
refused "missing value after option --match" ls layers --match
finish
