#!/bin/sh
# tool_scales.sh [ST]: tests what st convert does with scales, and its counts of lost numbers (see tools/blackbox.sh). All
# wanted values are worked out by hand; tests/interop/scaling.py has large tensors.

name=tool_scales
. "$(dirname "$0")/tools/blackbox.sh"

# ---- numbers ----------------------------------------------------------------------------------------------------

# F32, as formats of printf and as shapes of one element
quarter='\0\0\200\76' half='\0\0\0\77' one='\0\0\200\77' two='\0\0\0\100' four='\0\0\200\100'
# E4M3: 1 is 0x38, 2 is 0x40, 4 is 0x48, -1 is 0xb8, 448 is 0x7e, NaN is 0x7f, 2^-9 is 1
# BF16: 0.25 is 3e80, 0.5 is 3f00, 1 is 3f80, 2 is 4000, 4 is 4080, 8 is 4100, 16 is 4180

# entry NAME DTYPE SHAPE BYTES: one entry of a header; the data follows that of the entry before
start=0 header=
entry() {
    header="$header${header:+,}\"$1\":{\"dtype\":\"$2\",\"shape\":[$3],\"data_offsets\":[$start,$((start + $4))]}"
    start=$((start + $4))
}
# save FILE DATA: writes the file with the entries so far, and forgets them
save() {
    model "$1" "{$header}" "$2"
    start=0 header=
}
# weights NAME DTYPE SHAPE BYTES SCALE-NAME DTYPE SHAPE BYTES DATA: writes the file `in` of a weight and a scale
weights() {
    entry "$1" "$2" "$3" "$4"
    entry "$5" "$6" "$7" "$8"
    save in "$9"
}
# applies COUNT LEFT-OUT ARGUMENTS...: st convert succeeds and says so
applies() {
    count=$1 left_out=$2
    shift 2
    rm -f out.st
    st convert "$@"
    code "convert $*" 0
    empty "convert $*" out
    s1=$([ "$count" = 1 ] || echo s) s2=$([ "$left_out" = 1 ] || echo s)
    is "convert $*" "$(cat err)" "st convert: applied $count scale$s1 and left out $left_out tensor$s2 of the quantization"
    no_rest "convert $*"
}
# holds LABEL NAME HEX [OPTIONS]: the tensor of out.st has these bytes
holds() {
    what=$1 tensor=$2 wanted=$3
    shift 3
    st cat out.st "$tensor" "$@"
    is "$what" "$(hex out)" "$wanted"
}
# scaled LABEL HEX: converts `in` to BF16 with one scale; the tensor w or l.weight gets these bytes
scaled() {
    applies 1 1 in out.st --dtype bf16
    case $(names out.st) in
    'w ') holds "$1" w "$2" ;;
    'l.weight ') holds "$1" l.weight "$2" ;;
    *) fail "$1: tensors $(names out.st)" ;;
    esac
}
repeat() { text=$2 awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "%s", ENVIRON["text"] }'; }

# ---- layouts ----------------------------------------------------------------------------------------------------

abcd='\70\100\110\270' # 1, 2, 4, -1
for shape in '' 1 1,1 1,1,1; do
    weights w F8_E4M3 2,2 4 w_scale F32 "$shape" 4 "$abcd$half"
    scaled "a scale per tensor: [$shape]" " 00 3f 80 3f 00 40 00 bf "
done
weights w F8_E4M3 '' 1 w_scale F32 '' 4 "\\100$half"
scaled "a scalar" " 80 3f "
weights w F8_E4M3 2,2 4 w_scale F32 2,1 8 "$abcd$half$four"
scaled "a scale per row: [r,1]" " 00 3f 80 3f 80 41 80 c0 "
weights w F8_E4M3 2,2 4 w_scale F32 2 8 "$abcd$half$four"
scaled "a scale per row: [r], not per column" " 00 3f 80 3f 80 41 80 c0 "
weights w F8_E4M3 4100,1 4100 w_scale F32 4100 16400 "$(repeat 4100 '\70')$(repeat 4096 "$half")$(repeat 4 "$four")"
applies 1 1 in out.st --dtype bf16
holds "more scales than are read at once" w " 00 3f 80 40 80 40 " --offset 8190 --bytes 6
weights w F8_E4M3 2,2 4 w_scale F32 1,2 8 "$abcd$half$four"
scaled "a scale per column" " 00 3f 00 41 00 40 80 c0 "
weights w F8_E4M3 2,1,2 4 w_scale F32 2,1,1 8 "$abcd$half$four"
scaled "a scale per expert" " 00 3f 80 3f 80 41 80 c0 "
weights w F8_E4M3 2,1,2 4 w_scale F32 2 8 "$abcd$half$four"
scaled "a scale per expert: [e]" " 00 3f 80 3f 80 41 80 c0 "
weights w F8_E4M3 1,2,2 4 w_scale F32 1,2 8 "$abcd$half$four"
scaled "a scale per row of an expert: [e,r]" " 00 3f 80 3f 80 41 80 c0 "
weights w F8_E4M3 2,4 8 w_scale F32 1,2 8 "$abcd$abcd$half$four"
scaled "blocks as the shapes divide" " 00 3f 80 3f 80 41 80 c0 00 3f 80 3f 80 41 80 c0 "
weights w F8_E4M3 4,2 8 w_scale F32 2,2 16 "$abcd$abcd$half$four$two$one"
scaled "blocks along both axes" " 00 3f 00 41 00 40 80 c0 00 40 00 40 00 41 80 bf "

weights w F8_E4M3 2,2,2 8 w_scale F8_E8M0 2,2,2 8 "$abcd$abcd\\177\\200\\201\\202\\203\\176\\175\\174" # 1, 2, 4, 8, 16, 1/2, 1/4, 1/8
scaled "a scale per element of three axes" " 80 3f 80 40 80 41 00 c1 80 41 80 3f 80 3f 00 be "
weights w F8_E4M3 5000 5000 w_scale F8_E8M0 5000 5000 "$(repeat 5000 '\70')$(repeat 4999 '\176')\\201"
applies 1 1 in out.st --dtype bf16
holds "many scales" w " 00 3f 80 40 " --offset 9996
# 128 x 128, cut short in both axes: 130 rows of 129 elements
weights l.weight F8_E4M3 130,129 16770 l.weight_scale_inv F32 2,2 16 "$(repeat 16770 '\70')$half$four$two$quarter"
applies 1 1 in out.st --dtype bf16
holds "128 x 128: the first" l.weight " 00 3f " --bytes 2
holds "128 x 128: the end of a row" l.weight " 00 3f 80 40 00 3f " --offset 254 --bytes 6
holds "128 x 128: the end of the first blocks" l.weight " 00 3f 80 40 00 40 " --offset $((128 * 258 - 4)) --bytes 6
holds "128 x 128: the last block" l.weight " 00 40 80 3e " --offset $((130 * 258 - 4))
# 192 is 128 + 64, not 96 + 96
weights w F8_E4M3 1,192 192 w_scale F32 1,2 8 "$(repeat 192 '\70')$half$two"
applies 1 1 in out.st --dtype bf16
holds "a short last block" w " 00 3f 00 40 " --offset 254 --bytes 4

# MX: 126 is 2^-1, 129 is 4, 255 is NaN
for dtype in F8_E8M0 U8; do
    weights w F8_E5M2 1,66 66 w_scale $dtype 1,3 3 "$(repeat 66 '\74')\\176\\201\\377"
    st convert in out.st --dtype bf16
    code "MX blocks, $dtype" 0
    has_line "MX blocks, $dtype" err "st convert: 0 saturated, 0 underflowed to zero, 2 became NaN"
    holds "MX blocks, $dtype" w " 00 3f 80 40 " --offset 62 --bytes 4
    holds "MX blocks, $dtype: NaN" w " 80 40 c0 7f c0 7f " --offset 126
done
weights w F4 1,64 32 w_scale F8_E8M0 1,2 2 "$(repeat 32 '\042')\\176\\201"
applies 1 1 in out.st --dtype bf16
holds "MXFP4" w " 00 3f 80 40 " --offset 62 --bytes 4
weights w F6_E2M3 1,4 3 w_scale U8 1,1 1 '\010\202\040\201' # 8 is 1: the codes 001000 of four elements
applies 1 1 in out.st --dtype bf16
holds "MXFP6" w " 80 40 80 40 80 40 80 40 "
weights w F8_E4M3 1,2,32 64 w_scale U8 1,2 2 "$(repeat 64 '\70')\\176\\201"
applies 1 1 in out.st --dtype bf16
holds "MX blocks as an axis" w " 00 3f 80 40 " --offset 62 --bytes 4

weights l.weight I8 2,2 4 l.weight_scale F32 2,1 8 "\\3\\376\\12\\144$half$four" # 3, -2, 10, 100
scaled "I8" " c0 3f 80 bf 20 42 c8 43 "
weights w F8_E4M3 0,4 0 w_scale F32 1 4 "$half"
scaled "no elements" ""
weights w F8_E4M3 0,4 0 w_scale F32 0,1 0 ""
scaled "no elements and no scales" ""
for scale in 'BF16 \0\77' 'F16 \0\070' 'F64 \0\0\0\0\0\0\340\77' 'F8_E4M3 \60' 'F8_E8M0 \176'; do
    bytes=$(printf "${scale#* }" | wc -c | tr -d ' ')
    weights w F8_E4M3 2,2 4 w_scale ${scale% *} 1 $bytes "$abcd${scale#* }"
    scaled "a scale of ${scale% *}" " 00 3f 80 3f 00 40 00 bf "
done
# 1.0625 * (1 + 2^-23) has 27 bits of fraction: F32 rounds the product, F64 holds it
weights w F8_E4M3 1 1 w_scale F32 1 4 '\71\1\0\200\77'
applies 1 1 in out.st --dtype f32
holds "the product in F32" w " 01 00 90 3f "
applies 1 1 in out.st --dtype f64
holds "the product in F64" w " 00 00 00 24 00 00 f2 3f "

# ---- names ------------------------------------------------------------------------------------------------------

for pair in "w w_scale" "w w_scale_inv" "w w_scales" "w w.weight_scale" "w w.scale_weight" "l.weight l.weight_scale" \
    "l.weight l.weight_scale_inv" "l.weight l.scale_weight" "l.weight l.qscale_weight" "l.weight l.scale"; do
    weights "${pair% *}" F8_E4M3 1 1 "${pair#* }" F32 1 4 "\\70$half"
    scaled "$pair" " 00 3f "
done
# what belongs to no quantized tensor is a tensor like others
for pair in "w logit_scale" "w x_scale" "weight w_scale" "l.weight m.weight_scale" "w _scale" "w scale"; do
    weights "${pair% *}" F8_E4M3 1 1 "${pair#* }" F32 1 4 "\\70$half"
    quiet convert in out.st --dtype bf16
    holds "$pair" "${pair% *}" " 80 3f "
    holds "$pair" "${pair#* }" " 00 3f "
done
weights w F16 1 2 w_scale F32 1 4 "\\0\\74$half"
quiet convert in out.st --dtype bf16
holds "a scale of F16" w " 80 3f "
holds "a scale of F16" w_scale " 00 3f "
weights w I8 1 1 v_scale F32 1 4 "\\3$half"
quiet convert in out.st --dtype bf16
holds "I8 without a scale" w " 03 "

entry l.weight F8_E4M3 1 1
entry l.scale_weight F32 1 4
entry l.scale_input F32 1 4
entry l.input_scale F32 1 4
entry l.activation_scale F32 1 4
entry l.comfy_quant U8 2 2
entry m.input_scale F32 1 4
entry scaled_fp8 F8_E4M3 2 2
save in "\\70$half$one$one$one{}$half\\0\\0"
applies 1 6 in out.st --dtype bf16
is "what is of use with the scale only" "$(names out.st)" "l.weight m.input_scale "
holds "ComfyUI" l.weight " 00 3f "
holds "an activation scale of no weight" m.input_scale " 00 3f "
cp in comfy

# ---- which tensors ----------------------------------------------------------------------------------------------

# dtypes WANTED: names and dtypes of out.st, sorted
dtypes() {
    st ls --json out.st
    is "$what" "$(sed -n 's/^\[*{"name":"\([^"]*\)","dtype":"\([^"]*\)".*/\1 \2/p' out | sort | tr '\n' ';')" "$1"
}
entry a.weight F8_E4M3 1 1
entry a.weight_scale F32 1 4
entry b.weight F8_E4M3 1 1
entry b.weight_scale F32 1 4
entry b.input_scale F32 1 4
entry scaled_fp8 F8_E4M3 0 0
entry norm F32 1 4
save two "\\70$half\\100$two$one$one"
what="both"
applies 2 4 two out.st --dtype bf16
dtypes "a.weight BF16;b.weight BF16;norm BF16;"
what="a weight that is not converted keeps what belongs to it"
applies 1 1 two out.st --dtype bf16 --except b.weight
dtypes "a.weight BF16;b.input_scale F32;b.weight F8_E4M3;b.weight_scale F32;norm BF16;scaled_fp8 F8_E4M3;"
holds "$what" b.weight_scale " 00 00 00 40 "
what="--only one weight"
applies 1 1 two out.st --dtype bf16 --only a.weight
dtypes "a.weight BF16;b.input_scale F32;b.weight F8_E4M3;b.weight_scale F32;norm F32;scaled_fp8 F8_E4M3;"
what="--except a scale: weights are chosen"
applies 2 4 two out.st --dtype bf16 --except '*_scale'
dtypes "a.weight BF16;b.weight BF16;norm BF16;"
what="--only a scale"
quiet convert two out.st --dtype bf16 --only b.weight_scale
dtypes "a.weight F8_E4M3;a.weight_scale F32;b.input_scale F32;b.weight F8_E4M3;b.weight_scale BF16;norm F32;scaled_fp8 F8_E4M3;"
what="a dtype to itself keeps scales"
quiet convert two out.st --dtype f8_e4m3
dtypes "a.weight F8_E4M3;a.weight_scale F32;b.input_scale F32;b.weight F8_E4M3;b.weight_scale F32;norm F8_E4M3;scaled_fp8 F8_E4M3;"
what="--no-scales"
quiet convert two out.st --dtype bf16 --no-scales
dtypes "a.weight BF16;a.weight_scale BF16;b.input_scale BF16;b.weight BF16;b.weight_scale BF16;norm BF16;scaled_fp8 BF16;"
holds "$what" a.weight " 80 3f "
what="--rename"
applies 2 4 two out.st --dtype bf16 --rename 'a.*=x.*' --rename 'norm=a.weight_scale'
dtypes "a.weight_scale BF16;b.weight BF16;x.weight BF16;"
holds "$what" x.weight " 00 3f "
st convert two out.st --dtype bf16 --json
python "convert --json" "
assert list(o) == ['path', 'tensors', 'bytes', 'file_bytes', 'files', 'scales', 'saturated', 'underflowed', 'became_nan'], o
assert (o['tensors'], o['scales'], o['saturated'], o['underflowed'], o['became_nan']) == (3, 2, 0, 0, 0), o"
weights w I8 1 1 w_scale F32 1 4 "\\3$half"
quiet convert in out.st --dtype bf16 --no-scales
holds "I8 with --no-scales" w " 03 "
quiet convert in out.st --dtype i8 --except w
holds "I8 to I8" w " 03 "
st shard two parts --max-size 1 --no-sync
what="scales in other files"
applies 2 4 parts scaled-parts --dtype bf16 --no-sync
st merge scaled-parts out.st
dtypes "a.weight BF16;b.weight BF16;norm BF16;"
holds "$what" b.weight " 80 40 "

# ---- what is refused --------------------------------------------------------------------------------------------

printf old >old
# refuses WANTED: convert fails and leaves the old file; with --no-scales it works, and so it does without the weight
refuses() {
    fails "$1" convert in old --dtype bf16
    is "convert: $1" "$(cat old)" old
    quiet convert in out.st --dtype bf16 --no-scales
    quiet convert in out.st --dtype bf16 --except w
}
unfit='in: ST_ERR_UNSUPPORTED: "w": expected a scale per tensor, row or block, not the shape of "w_scale"; --no-scales'
shapes() { # SHAPE BYTES SCALE-SHAPE ELEMENTS: a scale that does not fit
    weights w F8_E4M3 "$1" "$2" w_scale F32 "$3" $((4 * $4)) "$(repeat "$2" '\70')$(repeat "$4" "$half")"
    refuses "$unfit"
}
shapes 2,2 4 3 3
shapes 2,2 4 2,3 6
shapes 2,2 4 4,1 4
shapes 2,2 4 0 0
shapes 4,4 16 2 2
shapes 2,4 8 4 4
shapes 2,2 4 1,1,2 2
shapes 2,2,2 8 4,1 4
shapes 6,2 12 4,1 4
shapes 130,1 130 4,1 4
shapes '' 1 2 2
shapes 0,4 0 2,1 2
weights w F8_E4M3 2,2 4 w_scale I32 1 4 "$abcd\\1\\0\\0\\0"
refuses '"w": a scale must be floating-point, or U8 that stands for E8M0, not the dtype of "w_scale"'
weights w F8_E4M3 2,2 4 w_scale BOOL 1 1 "$abcd\\1"
refuses '"w": a scale must be floating-point, or U8 that stands for E8M0, not the dtype of "w_scale"'
weights w F8_E4M3 1,64 64 w_scale U8 1,4 4 "$(repeat 64 '\70')\\176\\176\\176\\176"
refuses '"w": U8 scales are E8M0 of blocks of 32, which does not fit the shape of "w_scale"'
# with LABEL NAME DTYPE BYTES DATA: a weight w with a scale and with a third tensor
with() {
    entry w "$1" 2 2
    entry w_scale F32 1 4
    entry "$2" "$3" 1 "$4"
    save in "\\70\\70$half$5"
}
with F8_E4M3 w_scale_inv F32 4 "$half"
refuses '"w": cannot apply a scale together with "w_scale_inv"; --no-scales'
with F8_E4M3 w_scale_2 F32 4 "$half"
refuses 'cannot apply a scale together with "w_scale_2"'
with F8_E4M3 w_global_scale F32 4 "$half"
refuses 'cannot apply a scale together with "w_global_scale"'
with I8 w_zero_point I8 1 '\1'
refuses 'cannot apply a scale together with "w_zero_point"'
# a scale with a scale: refused, and never a weight itself
entry w F8_E4M3 2 2
entry w_scale F8_E4M3 1 1
entry w_scale_scale F32 3 12
save in "\\70\\70\\70$half$half$half"
refuses 'cannot apply a scale together with "w_scale_scale"'
quiet convert in out.st --dtype bf16 --only w_scale
holds "a scale with a scale" w_scale " 80 3f "
entry w.weight I8 2 2
entry w.weight_scale F32 1 4
entry w.comfy_quant U8 2 2
save in "\\70\\70$half{}"
fails '"w.weight": cannot undo what is described in "w.comfy_quant"' convert in old --dtype bf16
entry w.weight F8_E4M3 2 2
entry w.weight_scale F32 2 8
entry w.comfy_quant U8 2 2
save in "\\70\\70$half$half{}"
fails '"w.weight": cannot undo what is described in "w.comfy_quant"' convert in old --dtype bf16
is "what fails leaves the old file" "$(cat old)" old
fails "two: no tensor matches v" convert two old --dtype bf16 --only v
entry "$(repeat 300 n)" F8_E4M3 2 2
entry "$(repeat 300 n)_scale" F32 3 12
save in "\\70\\70$half$half$half"
fails '; --no-scales converts as stored' convert in old --dtype bf16
st convert two old --no-scales=1 --dtype bf16
code "--no-scales takes no value" 2
entry '\u001b]0;w' F8_E4M3 2 2
entry '\u001b]0;w_scale' F32 3 12
save in "\\70\\70$half$half$half"
st convert in old --dtype bf16
code "a hostile name" 1
lacks_bytes "a hostile name" err ' 1b'

# ---- counts of lost numbers -------------------------------------------------------------------------------------

# loses SATURATED UNDERFLOWED BECAME-NAN DTYPE [OPTIONS]: converts `in` and compares the message and the JSON object
loses() {
    s=$1 u=$2 n=$3 dtype=$4
    shift 4
    st convert in out.st --dtype "$dtype" --json "$@"
    code "losses: $dtype" 0
    is "losses: $dtype" "$(grep -v applied err)" "$([ "$s$u$n" = 000 ] || echo "st convert: $s saturated, $u underflowed to zero, $n became NaN")"
    is "losses: $dtype" "$(key saturated) $(key underflowed) $(key became_nan)" "$s $u $n"
}
# F32: 65520 (rounds to infinity in F16), 65519.996, 464 (rounds to 448 in E4M3), 464.00003, 2^-25 (rounds to 0 in F16),
# 2^-25 + 2^-48, -2^-10, infinity, NaN, 0, -1e38, 1e-40
entry w F32 12 48
save in '\0\360\177\107\377\357\177\107\0\0\350\103\1\0\350\103\0\0\0\63\1\0\0\63\0\0\200\272\0\0\200\177\0\0\300\177\0\0\0\0\231\166\226\376\302\26\1\0'
loses 2 2 0 f16
loses 0 0 0 bf16
loses 5 4 0 f8_e4m3
loses 3 3 0 f8_e5m2
loses 6 3 0 f8_e4m3fnuz
loses 4 3 0 f8_e5m2fnuz
loses 6 4 0 i8
loses 6 4 0 u8
loses 4 4 0 i16
loses 2 4 0 i64
loses 0 0 0 bool
loses 0 0 0 f64
holds "infinity is none in F64" w " 00 00 00 00 00 00 f0 7f " --offset 56 --bytes 8
# I8 rounds -128.5 to -128 and -128.50002 to -129; 127.5 to 128 and -0.5 to 0
entry w F32 6 24
save in '\0\200\0\303\1\200\0\303\0\0\377\102\377\377\376\102\0\0\0\277\1\0\0\277'
loses 2 1 0 i8
loses 3 1 0 u8
# F64: 3.4028235677973366e38 rounds to infinity in F32, the number before it does not; 2^-150 rounds to 0
entry w F64 4 32
save in '\0\0\0\360\377\377\357\107\377\377\377\357\377\377\357\107\0\0\0\0\0\0\220\66\1\0\0\0\0\0\220\66'
loses 1 1 0 f32
entry w I64 3 24
save in '\0\0\0\0\0\0\0\0\377\177\0\0\0\0\0\0\0\200\0\0\0\0\0\0'
loses 1 0 0 i16 --only w
loses 0 0 0 f16 --only w
entry w BF16 3 6
save in '\200\107\177\107\0\63' # 65536, 65280, 2^-25
loses 1 1 0 f16
# 20,000 elements, of which one is just too large (65520) and one just too small (2^-25), wherever in a group they are
for place in 0 1 31 63 64 10000 19998; do
    { repeat $place '\0\0\200\77'; printf '%s' '\0\360\177\107\0\0\0\63'; repeat $((19998 - place)) '\0\0\200\77'; } >data
    printf "$(cat data)" >raw
    st pack in w=F32:20000:raw --no-sync
    loses 1 1 0 f16 --no-sync
done
# elements at the ends of the writer's blocks are counted once: 600,000 of 8.4e37, two bytes each after three bytes
tr '\0' '\176' </dev/zero | head -c 2400000 >raw
printf xyz >three
st pack in b=U8:3:three w=F32:600000:raw --keep-order --no-sync
loses 600000 0 0 f16 --keep-order --no-sync
# scales on the edge: 448 * 146.25 is 65520, 2^-9 * 2^-16 is 2^-25
weights w F8_E4M3 2,1 2 w_scale F32 2,1 8 '\176\1\0\100\022\103\0\0\200\67'
loses 1 1 0 f16
# with scales: 448 * 2^120 is beyond F32; 2^-9 * 2^-127 is 2^-136, 0 in BF16; NaN * 1; 0 * infinity; 1 * NaN; 1 * 0
entry w F8_E4M3 6,1 6
entry w_scale F32 6,1 24
save in '\176\1\177\0\70\70\0\0\200\173\0\0\100\0\0\0\200\77\0\0\200\177\0\0\300\177\0\0\0\0'
loses 1 1 2 bf16
holds "lost numbers, and NaN without a sign" w " 80 7f 00 00 c0 7f c0 7f c0 7f 00 00 "
loses 1 0 2 f32
loses 0 0 2 f64
weights w F8_E4M3 3 3 w_scale F32 1 4 "\\70\\100\\176\\0\\0\\0\\103" # 1, 2, 448 times 128
loses 3 0 0 i8 --only w
holds "scaled and saturated" w " 7f 7f 7f "
# packed TEXT NAME DTYPE BYTES SCALE-NAME: integers that have a scale stay as they are, and st convert says so
packed() {
    weights "$2" "$3" 4 "$4" "$5" F32 1 4 "$(repeat $4 '\70')$two"
    st convert in out.st --dtype f16
    code "packed in $3" 0
    is "packed in $3" "$(cat err)" "$1"
    st cat out.st "$2" && st cat in "$2" && cp out stored && st cat out.st "$2"
    is "packed in $3: the bytes" "$(hex out)" "$(hex stored)"
    for option in --no-scales --except=$2; do
        quiet convert in out.st --dtype f16 $option
        empty "packed in $3: $option" err
    done
}
packed "st convert: w_blocks (U8) stays as it is: packed numbers are not unpacked" w_blocks U8 4 w_scales
packed "st convert: l.weight (I32) stays as it is: packed numbers are not unpacked" l.weight I32 16 l.weight_scale
entry a.weight U8 1 1
entry a.weight_scale F32 1 4
entry b.weight U8 1 1
entry b.weight_scale F32 1 4
save in "\\70$two\\70$two"
st convert in out.st --dtype f16
code "two packed" 0
is "two packed" "$(cat err)" "st convert: a.weight (U8) and 1 more stay as they are: packed numbers are not unpacked"
weights w U8 4 4 w_zero_point F32 1 4 "$(repeat 4 '\70')$two"
quiet convert in out.st --dtype f16
empty "integers without a scale are no packed numbers" err

# ---- memory -----------------------------------------------------------------------------------------------------

if [ $system = posix ] && sh -c 'ulimit -v 40000 && "$0" --version || exit 1' "$tool" >/dev/null 2>&1; then
    weights w F8_E4M3 8192,12288 100663296 w_scale F32 64,96 24576 ''
    dd if=/dev/zero of=in bs=1 count=0 seek=$(($(wc -c <in) + 100663296 + 24576)) 2>/dev/null
    (ulimit -v 40000 && "$tool" convert in out.st --dtype bf16 --no-sync) >out 2>err
    is "96 MiB with scales in 40 MB of memory" "$(cat err)" "st convert: applied 1 scale and left out 1 tensor of the quantization"
    rm -f in out.st
else
    skip "large tensors in little memory: no limit to be had here"
fi

finish
