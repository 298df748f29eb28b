#!/bin/sh
# minilm.sh: the tensors of the real all-MiniLM-L6-v2, as st ls lists them.
check=example-minilm
. tests/tools/lib.sh
model=build/models/all-MiniLM-L6-v2/model.safetensors
if [ ! -e $model ]; then
    [ "${CI:-}" = true ] && fail "no $model, though tests/tools/install should bring it" || skip "no $model here"
    finish
fi
try "st" ${MAKE:-make} build/st || finish
build/st ls $model | awk '$2 ~ /^(F32|I64)$/ && $3 ~ /^\[/ { print $1, $2, $3 }' | sort >"$out/got"
# 104 tensors: 5 embeddings, 16 in each of 6 layers, and the pooler's 2, besides position_ids
awk 'BEGIN {
    print "embeddings.position_ids I64 [1,512]"
    print "embeddings.word_embeddings.weight F32 [30522,384]"
    print "embeddings.position_embeddings.weight F32 [512,384]"
    print "embeddings.token_type_embeddings.weight F32 [2,384]"
    print "embeddings.LayerNorm.weight F32 [384]"
    print "embeddings.LayerNorm.bias F32 [384]"
    print "pooler.dense.weight F32 [384,384]"
    print "pooler.dense.bias F32 [384]"
    n = split("self.query self.key self.value output.dense", matrices)
    for (i = 0; i < 6; i++) {
        layer = "encoder.layer." i "."
        for (k = 1; k <= n; k++) {
            print layer "attention." matrices[k] ".weight F32 [384,384]"
            print layer "attention." matrices[k] ".bias F32 [384]"
        }
        print layer "intermediate.dense.weight F32 [1536,384]"
        print layer "intermediate.dense.bias F32 [1536]"
        print layer "output.dense.weight F32 [384,1536]"
        print layer "output.dense.bias F32 [384]"
        for (k = 0; k < 2; k++) {
            print layer (k ? "attention." : "") "output.LayerNorm.weight F32 [384]"
            print layer (k ? "attention." : "") "output.LayerNorm.bias F32 [384]"
        }
    }
}' | sort >"$out/wanted"
[ "$(wc -l <"$out/wanted")" = 104 ] && pass || fail "the list of tensors has $(wc -l <"$out/wanted") lines"
try "names, dtypes and shapes" diff "$out/wanted" "$out/got"
finish
