#!/bin/sh
# tool_show.sh [ST]: tests st show as a black box (see tools/blackbox.sh). NumPy 2 printed the expected output.

name=tool_show
. "$(dirname "$0")/tools/blackbox.sh"

# tensor DTYPE SHAPE DATA: writes the file t with the tensor t
tensor() {
    length=$(printf "$3" | wc -c | tr -d ' ')
    model t "{\"t\":{\"dtype\":\"$1\",\"shape\":[$2],\"data_offsets\":[0,$length]}}" "$3"
}
# shown WANTED ARGUMENTS...: st show t t ARGUMENTS prints WANTED
shown() {
    wanted=$1
    shift
    st show t t "$@"
    code "show $*" 0
    empty "show $*" err
    is "show $*" "$(cat out)" "$wanted"
}
one='\0\0\200\077' half='\0\0\0\277' big='\0\0\172\104' nan='\0\0\300\177' inf='\0\0\200\377' tenth='\315\314\314\075'

tensor F32 2,2 "$one$half$big$one"
shown '[[ 1.e+00 -5.e-01]
 [ 1.e+03  1.e+00]]'
tensor F32 2,2 "$one$half$tenth$one"
shown '[[ 1.  -0.5]
 [ 0.1  1. ]]'
shown '[ 1.  -0.5]' 0
shown '[1.  0.1]' :,0
shown '[0.1 1. ]' -- -1
shown '[0.1 1. ]' -1
shown '0.1' 1,0
shown '0.1' -1,-2
shown '[[1. ]
 [0.1]]' :,:1
tensor F32 4 "$one$nan$inf$half"
shown '[ 1.   nan -inf -0.5]'
tensor F32 2 "$nan$inf"
shown '[ nan -inf]'
tensor F32 '' "$tenth"
shown 0.1
tensor F32 0,3 ''
shown '[]'
tensor F64 3 '\0\0\0\0\0\0\360\077\177\303\223\301\037\165\0\103\232\231\231\231\231\231\271\077'
shown '[1.0000000e+00 5.7904736e+14 1.0000000e-01]'
shown '579047359936623.9' 1
tensor F16 3 '\377\173\1\0\0\200'
shown '[ 6.55e+04  5.96e-08 -0.00e+00]'
tensor BF16 2 '\200\077\112\100'
shown '[1.      3.15625]'
tensor F8_E4M3 3 '\70\176\377'
shown '[  1. 448.  nan]'
tensor F4 4 '\42\146'
shown '[1. 1. 4. 4.]'
tensor I8 3 '\377\200\7'
shown '[  -1 -128    7]'
tensor U64 2 '\377\377\377\377\377\377\377\377\0\0\0\0\0\0\0\0'
shown '[18446744073709551615                    0]'
tensor I64 2 '\0\0\0\0\0\0\0\200\1\0\0\0\0\0\0\0'
shown '[-9223372036854775808                    1]'
tensor BOOL 2,2 '\0\1\1\0'
shown '[[False  True]
 [ True False]]'
shown True 1,0
tensor C64 2 "$one$half$half$one"
shown '[ 1. -0.5j -0.5+1.j ]'

# long arrays
numbers() { awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "\\%03o", i % 100 }'; }
tensor U8 40 "$(numbers 40)"
shown '[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39]'
shown '[ 3  8 13]' 3:18:5
shown '[38 39]' -- -2:
shown '[]' 5:5
tensor U8 1001 "$(numbers 1001)"
shown '[ 0  1  2 ... 98 99  0]'
tensor U8 2,7,100 "$(numbers 1400)"
shown '[[[ 0  1  2 ... 97 98 99]
  [ 0  1  2 ... 97 98 99]
  [ 0  1  2 ... 97 98 99]
  ...
  [ 0  1  2 ... 97 98 99]
  [ 0  1  2 ... 97 98 99]
  [ 0  1  2 ... 97 98 99]]

 [[ 0  1  2 ... 97 98 99]
  [ 0  1  2 ... 97 98 99]
  [ 0  1  2 ... 97 98 99]
  ...
  [ 0  1  2 ... 97 98 99]
  [ 0  1  2 ... 97 98 99]
  [ 0  1  2 ... 97 98 99]]]'
shown '[[40 41]
 [40 41]]' 0,::5,40:42

# --stats
tensor U8 2,100 "$(numbers 200)"
shown 'elements  200
NaN       0
infinite  0
min       0
max       99
mean      49.5
std       28.86607
           0 ######################################## 14
       6.188 ##################################       12
       12.38 ##################################       12
       18.56 ##################################       12
       24.75 ##################################       12
       30.94 ######################################## 14
       37.12 ##################################       12
       43.31 ##################################       12
        49.5 ##################################       12
       55.69 ##################################       12
       61.88 ######################################## 14
       68.06 ##################################       12
       74.25 ##################################       12
       80.44 ##################################       12
       86.62 ##################################       12
       92.81 ######################################## 14' --stats
shown 'elements  2
NaN       0
infinite  0
min       98
max       98
mean      98
std       0' --stats :,98
tensor F32 5 "$one$nan$inf$half$inf"
shown 'elements  5
NaN       1
infinite  2
min       -0.5
max       1
mean      0.25
std       0.75
        -0.5 ######################################## 1
     -0.4062                                          0
     -0.3125                                          0
     -0.2188                                          0
      -0.125                                          0
    -0.03125                                          0
      0.0625                                          0
      0.1562                                          0
        0.25                                          0
      0.3438                                          0
      0.4375                                          0
      0.5312                                          0
       0.625                                          0
      0.7188                                          0
      0.8125                                          0
      0.9062 ######################################## 1' --stats
shown 'elements  1
NaN       1
infinite  0' --stats 1
tensor F32 0 ''
shown 'elements  0
NaN       0
infinite  0' --stats
tensor F64 2 '\377\377\377\377\377\377\357\177\377\377\377\377\377\377\357\377'
st show --stats t t
code "numbers as far apart as can be" 0
has "numbers as far apart as can be" out "min       -1.79769313e+308"
tensor C64 1 "$one$half"
st show --stats t t
code "complex numbers" 1
has "complex numbers" err "t: --stats does not support complex numbers"
tensor U8 2,7,100 "$(numbers 1400)"

# wrong command lines and models
refused "MODEL and TENSOR are missing" show
refused "TENSOR is missing" show t
refused "too many arguments: expected MODEL, TENSOR and RANGES" show t t 1 2
for bad in x 1:2:0 1:2:-1 , 0, 0,,1 ::: 18446744073709551616 ' 1' 1.5 '[1]'; do
    refused "RANGES: expected ranges such as 3,0:10,::2, found $bad" show t t "$bad"
done
refused "RANGES: more ranges than the tensor has dimensions: 1,2,3,4" show t t 1,2,3,4
refused "RANGES: a range stops before it starts: 0,3:2" show t t 0,3:2
for bad in 0:3=3,0 2=2,0 -3=-3,0 0,7=7,1 0,-8=-8,1 0,:70=70,1 -18446744073709551615=-18446744073709551615,0; do
    number=${bad#*=}
    refused "RANGES: the tensor has the shape [2,7,100]; ${number%,*} is outside of dimension ${number#*,}" show t t "${bad%=*}"
done
st show t -- t -3
code "a negative index after --" 2
st show t u
code "no such tensor" 1
has "no such tensor" err 't: the model has no tensor u; did you mean t?'
model opaque '{"q\u001b":{"dtype":"Q8","shape":[1],"data_offsets":[0,1]}}' x
st show opaque "$(printf 'q\033')"
code "a dtype not known here" 1
has_line "a dtype not known here" err 'opaque: q\\u001b: cannot print values of the unknown dtype Q8'
st show no-such t
code "no such file" 1
has "no such file" err "no-such: ST_ERR_NOT_FOUND"
dimensions=$(awk 'BEGIN { for (i = 0; i < 65; i++) printf "%s1", i ? "," : "" }')
tensor U8 "$dimensions" x
st show t t
code "65 dimensions" 1
has "65 dimensions" err "t: the tensor has more than 64 dimensions"
tensor U8 "${dimensions#*,}" x
st show t t
code "64 dimensions" 0
tensor U8 4294967295,2,0 ''
shown '[]'
if [ -w /dev/full ] && [ ! "$RUN" ]; then
    "$tool" show t t >/dev/full 2>err
    is "show to a full disk" $? 1
fi

finish
