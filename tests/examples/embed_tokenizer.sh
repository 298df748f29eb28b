#!/bin/sh
# embed_tokenizer.sh: examples/tokenizer gives the ids of the package `tokenizers`: recorded ones, and where the
# package is installed on random texts as well. It refuses what it does not support, and survives damaged files.
check=example-embed-tokenizer
. tests/tools/lib.sh
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
here=tests/examples model=build/models/all-MiniLM-L6-v2
sources=$(MAKEFLAGS= MAKELEVEL= ${MAKE:-make} -s -f Makefile -f - print-tokenizer <<'EOF'
print-tokenizer:
	@echo $(TOKENIZER) $(COMMON)
EOF
)
echo '#include <utf8proc.h>' | ${CC:-cc} -E - >/dev/null 2>&1 || { have utf8proc.h; finish; }
have python3 || finish
python=build/venv/bin/python
[ -x $python ] || python=python3

try "make build/examples/tokenizer without warnings" sh -c "rm -f build/examples/tokenizer && \
    ${MAKE:-make} build/examples/tokenizer CC='${CC:-cc} -std=gnu99 $WARN'" || finish
cp build/examples/tokenizer "$out/tokens"
# the line in the comment of main.c, as it stands there
line=$(sed -n 's/^ \*  *\(cc .*\) -o tokenize$/\1/p' examples/tokenizer/main.c)
try "cc line of main.c" sh -c "$line -O0 -o $out/tokenize"
try "build the driver" ${CC:-cc} -std=gnu99 -O2 $WARN -I. $here/embed_tokenizer.c $sources -lutf8proc -o "$out/characters"
checked=$out/tokens
if have clang-14; then
    checked=$out/tokens-asan
    try "build with clang" clang-14 -std=gnu99 -g -O1 $WARN -fsanitize=address,undefined -fno-sanitize-recover=all -I. \
        examples/tokenizer/main.c $sources -lutf8proc -o "$checked" || finish
fi

# ---- the ids of the reference
rm -rf "$out/models"
try "prepare" $python $here/embed_tokens.py prepare $model $here/embed_bpe.json "$out/models"
[ -d "$out/models/minilm" ] || skip "no $model here: only BPE is compared with the reference"
try "recorded ids" $python $here/embed_tokens.py check "$out/tokens" "$out/characters" "$out/models" $here/embed_tokens.json
expected=../shared/real/minilm_expected.json
if [ -d "$out/models/minilm" ] && [ -f $expected ]; then
    try "ids of minilm_expected.json" $python $here/embed_tokens.py expected "$out/tokens" $model $expected
else
    skip "no $expected or no model here"
fi
if $python -c 'import tokenizers' 2>/dev/null; then
    try "random texts" $python $here/embed_tokens.py fuzz "$checked" "$out/models" 1500
else
    have "Python with tokenizers"
fi

# ids LABEL WANTED DIRECTORY LIMIT <INPUT
ids() {
    printf '%s\n' "$("$checked" "$3" --json-lines --sizes ${4:+--max-length $4} 2>&1)" >"$out/got"
    printf '%s\n' "$2" >"$out/wanted"
    try "$1" diff "$out/wanted" "$out/got"
}
# tokenizer NAME JSON: writes a tokenizer.json
tokenizer() {
    mkdir -p "$out/models/$1"
    printf '%s' "$2" >"$out/models/$1/tokenizer.json"
}
bert='"normalizer":{"type":"BertNormalizer","lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"}'
words='"vocab":{"hello":1,"world":2,"test":3,"##ing":4,"the":104,"[CLS]":7,"[SEP]":8,"[UNK]":9}'
tokenizer v-t5 "{$bert,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",$words}}"
ids "V-T5" "$(printf '105 0\n1\n1 2\n3 4\n104\n9 1')" "$out/models/v-t5" <<'END'
"hello"
"hello world"
"testing"
"the"
"tests HELLO"
END
processing='"post_processor":{"type":"BertProcessing","sep":["[SEP]",8],"cls":["[CLS]",7]}'
tokenizer cut "{$bert,$processing,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",$words}}"
ids "the separator stays" "$(printf '105 0\n7 1 8\n7/0 8/0 8/1')" "$out/models/cut" 3 <<'END'
"hello world test"
["", ""]
END
ids "the separator stays in pairs" "$(printf '105 0\n7/0 1/0 8/0 2/1 3/1 8/1\n7/0 1/0 2/0 8/0 3/1 8/1\n')" "$out/models/cut" 6 <<'END'
["hello the the", "world test the the"]
["hello world the the", "test the the"]
END
ids "no room for special tokens" "$(printf '105 0')" "$out/models/cut" 1 <<'END'
"hello"
END
tokenizer no-unknown "{$bert,\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":5}}}"
ids "an unknown word without [UNK]" "$(printf '6 0\n5\n')" "$out/models/no-unknown" <<'END'
"a"
"a b"
END

for name in spaced plain added; do
    [ -d "$out/models/$name" ] || continue
    for bytes in '\357\277\275' '\377'; do
        printf "a${bytes}b $bytes\\na${bytes}ab ab$bytes Unicode$bytes${bytes}Unicode \303\251${bytes}the\\n" |
            "$checked" "$out/models/$name" --sizes >"$out/bytes-$bytes" 2>&1
    done
    try "bytes that are not UTF-8 with $name" diff "$out/bytes-\357\277\275" "$out/bytes-\377"
done

# ---- what is refused
# refused LABEL MESSAGE DIRECTORY
refused() {
    if "$checked" "$3" >"$out/got" 2>&1 </dev/null; then fail "$1: exit status 0"; else pass; fi
    try "message: $1" grep -F "$2" "$out/got" || sed 's/^/    /' "$out/got"
}
wordpiece="\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",$words}"
number=0
# refuses MESSAGE JSON
refuses() {
    number=$((number + 1))
    tokenizer refused-$number "$2"
    refused "$2" "$1" "$out/models/refused-$number"
}
refuses 'tokenizer.json: model Unigram is not supported' "{$bert,\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",-1.5]]}}"
refuses 'tokenizer.json: model WordLevel is not supported' "{$bert,\"model\":{$words,\"type\":\"WordLevel\"}}"
refuses 'normalizer NFC is not supported' "{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},$wordpiece}"
refuses 'normalizer Sequence is not' "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[]},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},$wordpiece}"
refuses 'pre_tokenizer before WordPiece Whitespace is not' "{\"pre_tokenizer\":{\"type\":\"Whitespace\"},$wordpiece}"
refuses 'pre_tokenizer before WordPiece lacks its type' "{\"pre_tokenizer\":null,$wordpiece}"
refuses 'post_processor Odd is not supported' "{$bert,\"post_processor\":{\"type\":\"Odd\"},$wordpiece}"
refuses 'lacks a special token' "{$bert,\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"</s>\",8],\"cls\":[\"[CLS]\",7]},$wordpiece}"
refuses 'byte_fallback is not supported' '{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","byte_fallback":true,"vocab":{"a":1},"merges":[]}}'
refuses 'merge 1: the vocabulary lacks' '{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":1},"merges":["a b"]}}'
refuses 'merge 2: expected two tokens' '{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":1,"aa":2},"merges":["a a","a"]}}'
refuses 'use_regex must not be off' '{"pre_tokenizer":{"type":"ByteLevel","use_regex":false},"model":{"type":"BPE","vocab":{"a":1},"merges":[]}}'
refuses 'the vocabulary is empty' "{$bert,\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}"
refuses 'expected an integer from 0 to 2147483646' "{$bert,\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":2147483647}}}"
refuses 'a template must have each text once' "{$bert,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[]},$wordpiece}"
item='{"SpecialToken":{"id":"[SEP]","type_id":0}},'
refuses 'a template has more than 16 items' "{$bert,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[$item$item$item$item$item$item$item$item$item$item$item$item$item$item$item$item{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]},$wordpiece}"
refuses 'max_input_chars_per_word is more than 1000' "{$bert,\"model\":{\"type\":\"WordPiece\",\"max_input_chars_per_word\":1001,$words}}"
refuses 'at byte' "{$bert,"
refuses 'the vocabulary is empty' '[]'
refused "an empty directory" 'vocab.json: no such file, and no tokenizer.json or vocab.txt' "$out/empty-does-not-exist"
"$checked" >"$out/got" 2>&1
[ $? = 2 ] && pass || fail "usage: exit status"
try "usage" grep -q '^tokenize: MODEL is missing; see tokenize --help$' "$out/got"
"$checked" --help >"$out/got" 2>&1 && grep -q '^usage: tokenize' "$out/got" && pass || fail "--help"
for line in 'hello' '["a"]' '["a","b","c"]' '"a" "b"' '{}'; do
    printf '"a"\n%s\n' "$line" | "$checked" --json-lines "$out/models/v-t5" >"$out/got" 2>&1
    [ $? = 1 ] && grep -q '^tokenize: line 2: expected a JSON string, or an array of two$' "$out/got" && pass || fail "JSON: $line"
done
if [ -w /dev/full ]; then
    echo hello | "$checked" "$out/models/v-t5" >/dev/full 2>"$out/got"
    [ $? = 1 ] && grep -q 'cannot write' "$out/got" && pass || fail "a full device"
fi
if have clang-14; then
    try "damaged files" $python $here/embed_tokens.py hostile "$checked" "$out/models" 250
fi

# ---- long words take linear time
$python -c 'import json, sys
n = 1000000
print(json.dumps("a" * n)); print(json.dumps("ab" * (n // 2))); print(json.dumps(" \u0301\u302e" * (n // 8))); print(json.dumps("[SEP" * (n // 4)))' >"$out/long"
for name in minilm spaced added; do
    [ ! -d "$out/models/$name" ] || try "long words with $name" timeout 60 "$out/tokens" --json-lines "$out/models/$name" <"$out/long"
done
finish
