#!/bin/sh
# tool_lora.sh [ST]: tests st merge-lora as a black box (see tools/blackbox.sh): names, alpha, shapes, refusals.

name=tool_lora
. "$(dirname "$0")/tools/blackbox.sh"

# ---- files ----------------------------------------------------------------------------------------------------

# floats NUMBER...: prints F32 in file order
floats() {
    for number; do
        case $number in
        0) printf '\0\0\0\0' ;;
        1) printf '\0\0\200\77' ;;
        2) printf '\0\0\0\100' ;;
        3) printf '\0\0\100\100' ;;
        4) printf '\0\0\200\100' ;;
        5) printf '\0\0\240\100' ;;
        6) printf '\0\0\300\100' ;;
        2^-8) printf '\0\0\200\73' ;;
        2^-30) printf '\0\0\200\60' ;;
        nan) printf '\0\0\300\177' ;;
        *) echo "no such number: $number" >&2 ;;
        esac
    done
}
floats 1 2 3 4 5 6 >w # [2,3]
floats 1 2 3 >down    # [1,3]
floats 1 2 >up        # [2,1]
floats 2 >two
floats nan >nan
# what W becomes: by factor
once='[[ 2. 4. 6.] [ 6. 9. 12.]]' twice='[[ 3. 6. 9.] [ 8. 13. 18.]]' half='[[1.5 3. 4.5] [5. 7. 9. ]]' zero='[[1. 2. 3.] [4. 5. 6.]]'
# base NAME...: writes a model of such weights to the file base
base() {
    rm -rf base
    for t; do
        set -- "$@" "$t=F32:2,3:w"
        shift
    done
    quiet pack base --meta format=pt same=F32:3:down "$@"
}
# adapter NAME...: writes the matrices and alphas of these names to the file lora
adapter() {
    for t; do
        case $t in
        *.alpha) set -- "$@" "$t=F32::two" ;;
        *down.weight | *A.weight | *A.default.weight) set -- "$@" "$t=F32:1,3:down" ;;
        *up.weight | *B.weight | *B.default.weight) set -- "$@" "$t=F32:2,1:up" ;;
        *) set -- "$@" "$t=F32:2:up" ;;
        esac
        shift
    done
    quiet pack lora "$@"
}
shown() { # FILE TENSOR: its values in a line
    st show "$1" "$2"
    tr -s ' \n' '  ' <out | sed 's/ $//'
}
# merged LABEL TENSOR WANTED OPTIONS...: the tensor has these values after merging
merged() {
    label=$1 tensor=$2 wanted=$3
    shift 3
    rm -rf merged
    quiet merge-lora base lora merged "$@"
    is "$label" "$(shown merged "$tensor")" "$wanted"
    is "$label: other tensors" "$(shown merged same)" "[1. 2. 3.]"
}
# wrong WANTED OPTIONS...: merging fails with this message, and writes nothing
wrong() {
    wanted=$1
    shift
    rm -rf merged
    fails "$wanted" merge-lora base lora merged "$@"
    is "nothing is written: $wanted" "$(ls merged 2>/dev/null)" ""
}

# ---- names ----------------------------------------------------------------------------------------------------

# kohya
base a.b_c.0.to_q.weight other.weight
adapter lora_unet_a_b_c_0_to_q.lora_down.weight lora_unet_a_b_c_0_to_q.lora_up.weight
merged "kohya without alpha" a.b_c.0.to_q.weight "$once"
is "another weight" "$(shown merged other.weight)" "$zero"
st meta merged
is "the metadata of BASE" "$(cat out)" "format: pt"
adapter lora_unet_a_b_c_0_to_q.lora_down.weight lora_unet_a_b_c_0_to_q.lora_up.weight lora_unet_a_b_c_0_to_q.alpha
merged "kohya with alpha" a.b_c.0.to_q.weight "$twice"
merged "--alpha" a.b_c.0.to_q.weight "$once" --alpha 1
merged "--alpha and --scale" a.b_c.0.to_q.weight "$twice" --alpha=4 --scale .5
merged "--scale" a.b_c.0.to_q.weight "$once" --scale 0.5
merged "--scale 0" a.b_c.0.to_q.weight "$zero" --scale 0
quiet merge-lora base lora merged --scale 1.5
quiet merge-lora merged lora merged2 --scale -1.5
is "a LoRA taken away again" "$(shown merged2 a.b_c.0.to_q.weight)" "$zero"
for prefix in model.diffusion_model. diffusion_model. unet. transformer.; do
    base ${prefix}x.y.weight
    adapter lora_unet_x_y.lora_down.weight lora_unet_x_y.lora_up.weight
    merged "kohya in BASE of $prefix" ${prefix}x.y.weight "$once"
done
for pair in lora_te_=cond_stage_model.transformer. lora_te1_=conditioner.embedders.0.transformer. lora_te2_=text_encoder_2. \
    lora_te3_=text_encoders.t5xxl.transformer. lora_te1_= lora_transformer_=; do
    base ${pair#*=}x.y_z.weight
    adapter ${pair%=*}x_y_z.lora_down.weight ${pair%=*}x_y_z.lora_up.weight
    merged "kohya: $pair" ${pair#*=}x.y_z.weight "$once"
done
# diffusers' names of the U-Net, and a checkpoint of Stable Diffusion
while read -r module tensor; do
    base model.diffusion_model.$tensor.weight
    adapter lora_unet_$module.lora_down.weight lora_unet_$module.lora_up.weight
    merged "U-Net: $module" model.diffusion_model.$tensor.weight "$once"
done <<'END'
conv_in input_blocks.0.0
conv_out out.2
time_embedding_linear_2 time_embed.2
down_blocks_0_resnets_0_conv1 input_blocks.1.0.in_layers.2
down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_q input_blocks.2.1.transformer_blocks.0.attn1.to_q
down_blocks_0_downsamplers_0_conv input_blocks.3.0.op
down_blocks_2_attentions_0_proj_in input_blocks.7.1.proj_in
down_blocks_3_resnets_1_conv2 input_blocks.11.0.out_layers.3
mid_block_resnets_0_time_emb_proj middle_block.0.emb_layers.1
mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj middle_block.1.transformer_blocks.0.ff.net.0.proj
mid_block_resnets_1_conv1 middle_block.2.in_layers.2
up_blocks_0_resnets_0_conv_shortcut output_blocks.0.0.skip_connection
up_blocks_0_upsamplers_0_conv output_blocks.2.1.conv
up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0 output_blocks.3.1.transformer_blocks.0.attn2.to_out.0
up_blocks_1_upsamplers_0_conv output_blocks.5.2.conv
up_blocks_3_attentions_2_proj_out output_blocks.11.1.proj_out
END
base model.diffusion_model.input_blocks.1.0.in_layers.2.weight
for module in down_blocks_x_resnets_0_conv1 down_blocks_0_resnets_0_conv3 down_blocks_0_resnets_0_conv1_x down_blocks_0_resnets_0_ down_blocks_0; do
    adapter lora_unet_$module.lora_down.weight lora_unet_$module.lora_up.weight
    wrong "lora_unet_$module: BASE has no tensor"
done
base a.b.weight a_b.weight
adapter lora_unet_a_b.lora_down.weight lora_unet_a_b.lora_up.weight
wrong "lora: lora_unet_a_b: could mean a.b.weight or a_b.weight"
base a.b.weight unet.a.b.weight
wrong "lora: lora_unet_a_b: could mean a.b.weight or unet.a.b.weight"
base a.b.bias a.c.weight
wrong 'lora: lora_unet_a_b: BASE has no tensor of this name, with any "_" as "."'
base a.b.weight
adapter lora_te1_a_b.lora_down.weight lora_te1_a_b.lora_up.weight lora_te2_a_b.lora_down.weight lora_te2_a_b.lora_up.weight
wrong "lora: lora_te2_a_b: changes a.b.weight, and so does lora_te1_a_b"
merged "--only" a.b.weight "$once" --only 'lora_te1_*'
merged "--except" a.b.weight "$once" --except 'lora_te1_*'
wrong "lora: no tensor matches lora_te3_*" --except 'lora_te3_*'

# PEFT
base model.layers.0.q.weight
adapter base_model.model.model.layers.0.q.lora_A.weight base_model.model.model.layers.0.q.lora_B.weight
wrong "lora: alpha is unknown: expected adapter_config.json beside the file, or --alpha N, or --scale X"
merged "PEFT with --alpha" model.layers.0.q.weight "$twice" --alpha 2
merged "PEFT with --scale" model.layers.0.q.weight "$half" --scale 0.5
base layers.0.q.weight
merged "PEFT: BASE without head" layers.0.q.weight "$once" --alpha 1
adapter base_model.model.layers.0.q.lora_A.default.weight base_model.model.layers.0.q.lora_B.default.weight
merged "PEFT: the adapter's name" layers.0.q.weight "$once" --alpha 1
base model.layers.0.q.weight
merged "PEFT of a model without head" model.layers.0.q.weight "$once" --alpha 1
adapter base_model.model.transformer.h.0.c.lora_A.weight base_model.model.transformer.h.0.c.lora_B.weight
base h.0.c.weight
merged "PEFT: BASE without transformer." h.0.c.weight "$once" --alpha 1
base h.0.d.weight
wrong "lora: base_model.model.transformer.h.0.c: BASE has no tensor h.0.c.weight; did you mean h.0.d.weight?" --alpha 1
merged "--rename" h.0.d.weight "$once" --alpha 1 --rename 'base_model.model.transformer.h.0.c.*=h.0.d.*'

# diffusers
base blocks.0.attn1.to_q.weight
for from in unet.=.lora_A,.lora_B transformer.=.lora_A,.lora_B unet.=.lora.down,.lora.up text_encoder.=.lora_linear_layer.down,.lora_linear_layer.up \
    diffusion_model.=.lora_down,.lora_up =.lora_down,.lora_up; do
    endings=${from#*=} module=${from%%=*}blocks.0.attn1.to_q
    adapter $module${endings%,*}.weight $module${endings#*,}.weight
    merged "diffusers: $from" blocks.0.attn1.to_q.weight "$once"
    adapter $module${endings%,*}.weight $module${endings#*,}.weight $module.alpha
    merged "diffusers with alpha: $from" blocks.0.attn1.to_q.weight "$twice"
done
for prefix in unet. ''; do
    adapter ${prefix}blocks.0.attn1.processor.to_q_lora.down.weight ${prefix}blocks.0.attn1.processor.to_q_lora.up.weight
    merged "diffusers: ${prefix}processor" blocks.0.attn1.to_q.weight "$once"
done
base unet.x.to_out.0.weight
adapter unet.x.processor.to_out_lora.down.weight unet.x.processor.to_out_lora.up.weight
merged "diffusers: to_out" unet.x.to_out.0.weight "$once"
base model.diffusion_model.x.weight
adapter transformer.x.lora_A.weight transformer.x.lora_B.weight
merged "diffusers in a checkpoint" model.diffusion_model.x.weight "$once"

# ---- adapter_config.json --------------------------------------------------------------------------------------

base model.q.weight
mkdir peft
adapter base_model.model.model.q.lora_A.weight base_model.model.model.q.lora_B.weight
cp lora peft/adapter_model.safetensors
cp w peft/optimizer.safetensors
rm lora && ln -s peft lora 2>/dev/null || mkdir lora
config() {
    printf '%s' "$1" >peft/adapter_config.json
    [ -h lora ] || cp peft/* lora
}
config '{"r": 1, "lora_alpha": 2, "peft_type": "LORA", "use_rslora": false, "fan_in_fan_out": null, "rank_pattern": {},
  "alpha_pattern": null, "init_lora_weights": true, "target_modules": ["q", "k"], "x": [{"y": [1.5e-3, -0, null]}, "\u00e9\ud83d\ude00\"\n"],
  "use_dora": false, "layer_replication": null, "bias": "none", "modules_to_save": null}'
merged "adapter_config.json in a directory" model.q.weight "$twice"
merged "--alpha counts more than adapter_config.json" model.q.weight "$once" --alpha 1
quiet merge-lora base lora/adapter_model.safetensors merged
is "adapter_config.json beside a file" "$(shown merged model.q.weight)" "$twice"
config '{"lora_alpha": 2, "alpha_pattern": {"k": 5, "model.q": 1}}'
merged "alpha_pattern" model.q.weight "$once"
for pattern in q '^model.q' 'model\\.q$' model.q; do
    config "{\"lora_alpha\": 2, \"alpha_pattern\": {\"$pattern\": 1, \"q\": 4}}"
    merged "alpha_pattern $pattern" model.q.weight "$once"
done
for pattern in odel.q '^q' l.q el.model.q model; do
    config "{\"lora_alpha\": 2, \"alpha_pattern\": {\"$pattern\": 1}}"
    merged "alpha_pattern $pattern" model.q.weight "$twice"
done
config '{"r": 8, "lora_alpha": 2, "rank_pattern": {"q": 1}}'
merged "rank_pattern" model.q.weight "$twice"
config '{"r": 8, "lora_alpha": 2}'
wrong "lora: base_model.model.model.q: rank 8 in lora/adapter_config.json, but the matrices have rank 1"
config '{"r": 1}'
wrong "lora: alpha is unknown"
# bad LABEL JSON: refused with this message
bad() {
    config "$2"
    wrong "adapter_config.json: $1"
    lacks_bytes "config: $1" err ' 1b' ' 07'
}
bad 'not JSON: expected a value at byte 0' ''
bad 'expected a JSON object' '[]'
bad 'not JSON: expected a value at byte 5' '{"r":}'
bad 'not JSON: expected a value at byte 5' '{"r":NaN}'
bad "not JSON: expected ',' or '}' after an object member at byte 6" '{"r":01}'
bad "not JSON: expected a key in quotes at byte 7" '{"r":1,}'
bad "not JSON: expected the end of the text at byte 8" '{"r":1} x'
bad "not JSON: expected ':' after a key" '{"r" 1}'
bad "not JSON: the text ends within a string" '{"r'
bad "not JSON: half of a surrogate pair" '{"\ud800x":1}'
bad "not JSON: unknown escape in a string" '{"\x":1}'
bad "not JSON: text is not UTF-8" "$(printf '{"\377":1}')"
bad "not JSON: more than 64 levels" "{\"x\":$(awk 'BEGIN { for (i = 0; i < 100; i++) printf "[" }')"
bad "r: expected a number, 0 or greater" '{"r":"8"}'
bad "lora_alpha: expected a number, 0 or greater" '{"lora_alpha":-1}'
bad "lora_alpha: expected a number, 0 or greater" '{"lora_alpha":1e999}'
bad "use_rslora: expected true or false" '{"use_rslora":1}'
bad "alpha_pattern: expected an object" '{"alpha_pattern":[1]}'
bad "q: expected a number" '{"alpha_pattern":{"q":null}}'
bad '.*\u001b[q]: regular expressions are not supported' '{"alpha_pattern":{".*\u001b[q]":1}}'
bad 'peft_type: expected "LORA"' '{"peft_type":"LOHA"}'
bad 'use_dora is not supported' '{"lora_alpha":1,"use_dora":true}'
bad 'layer_replication is not supported' '{"lora_alpha":1,"layer_replication":[[0,4],[2,5]]}'
bad 'init_lora_weights "pissa_niter_4" changes the base model' '{"lora_alpha":1,"init_lora_weights":"pissa_niter_4"}'
config '{"lora_alpha":1,"init_lora_weights":"gaussian"}'
merged "init_lora_weights that change nothing" model.q.weight "$once"
awk 'BEGIN { printf "{\"x\":\""; for (i = 0; i < 1048576; i++) printf "x"; printf "\"}" }' >long
config "$(cat long)"
wrong "adapter_config.json: too large: expected at most 1048576 bytes"
rm -rf lora peft long

# diffusers' settings are in the metadata
base x.weight
quiet pack lora transformer.x.lora_A.weight=F32:1,3:down transformer.x.lora_B.weight=F32:2,1:up \
    --meta 'lora_adapter_metadata={"transformer.r":1,"transformer.lora_alpha":2,"text_encoder.lora_alpha":7}'
merged "lora_adapter_metadata" x.weight "$twice"
quiet pack lora transformer.x.lora_A.weight=F32:1,3:down transformer.x.lora_B.weight=F32:2,1:up \
    --meta 'lora_adapter_metadata={"transformer.use_dora":true}'
wrong "lora: use_dora is not supported"

# ---- rank, shapes ---------------------------------------------------------------------------------------------

floats 1 2 3 4 5 6 >six
floats 1 0 0 1 >four # [2,2]
quiet pack base x.weight=F32:2,3:w same=F32:3:down
quiet pack lora lora_unet_x.lora_down.weight=F32:2,3:six lora_unet_x.lora_up.weight=F32:2,2:four lora_unet_x.alpha=F32:1:two
merged "rank 2" x.weight "[[ 2. 4. 6.] [ 8. 10. 12.]]"
quiet pack lora x.lora_A.weight=F32:2,3:six x.lora_B.weight=F32:2,2:four --meta 'lora_adapter_metadata={"use_rslora":true,"lora_alpha":2}'
fine merge-lora base lora --dry-run
has_line "use_rslora" out "x -> x.weight  rank 2  alpha 2  factor 1.41421"
quiet pack lora x.lora_down.weight=F32:1,3:down x.lora_up.weight=F32:2,1:up
fine merge-lora base lora nowhere/out --dry-run
is "--dry-run" "$(cat out)" "x -> x.weight  rank 1  alpha 1  factor 1
1 of 2 tensors change"
fine merge-lora base lora --dry-run --json
is "--dry-run --json" "$(cat out)" \
    '{"modules":[{"module":"x","tensor":"x.weight","rank":1,"alpha":1,"factor":1,"transposed":false}],"changed":1,"tensors":2}'
fine merge-lora base lora merged --json
is "--json" "$(key tensors) $(key bytes)" "2 36"

# convolutions: [out,in,1,1] and [out,in,3,1], with linear matrices or kernels
quiet pack base x.weight=F32:2,3,1,1:w same=F32:3:down
quiet merge-lora base lora merged
st show merged x.weight :,:,0,0
is "a convolution of 1x1 with linear matrices" "$(tr -s ' \n' '  ' <out)" "$once "
quiet pack lora x.lora_down.weight=F32:1,3,1,1:down x.lora_up.weight=F32:2,1,1,1:up
quiet merge-lora base lora merged
st show merged x.weight :,:,0,0
is "a convolution of 1x1" "$(tr -s ' \n' '  ' <out)" "$once "
quiet pack base x.weight=F32:2,1,3,1:w same=F32:3:down
quiet pack lora x.lora_down.weight=F32:1,1,3,1:down x.lora_up.weight=F32:2,1,1,1:up
quiet merge-lora base lora merged
st show merged x.weight :,0,:,0
is "a convolution of 3x1" "$(tr -s ' \n' '  ' <out)" "$once "
quiet pack base x.weight=F32:2,3:w same=F32:3:down
quiet pack lora x.lora_down.weight=F32:1,3,1,1:down x.lora_up.weight=F32:2,1,1,1:up
merged "linear with matrices of a convolution" x.weight "$once"
# transposed: W is [in,out] = [2,3], down [1,2], up [3,1]
quiet pack lora x.lora_A.weight=F32:1,2:up x.lora_B.weight=F32:3,1:down --meta 'lora_adapter_metadata={"fan_in_fan_out":true,"lora_alpha":1}'
merged "fan_in_fan_out" x.weight "$once"
quiet pack lora x.lora_A.weight=F32:1,2:up x.lora_B.weight=F32:3,1:down
wrong "x: found F32 [3,1] x F32 [1,2], but x.weight is F32 [2,3]; it would fit transposed (fan_in_fan_out" --alpha 1
quiet pack lora x.lora_A.weight=F32:1,3:down x.lora_B.weight=F32:2,1:up --meta 'lora_adapter_metadata={"fan_in_fan_out":true,"lora_alpha":1}'
wrong "but x.weight is F32 [2,3]; fan_in_fan_out is set"

shapes() { # WANTED SHAPE-OF-DOWN SHAPE-OF-UP: refused
    head -c $(($(echo "$2" | tr , '*') * 4)) /dev/zero >d
    head -c $(($(echo "$3" | tr , '*') * 4)) /dev/zero >u
    quiet pack lora x.lora_down.weight=F32:$2:d x.lora_up.weight=F32:$3:u
    wrong "lora: x: $1"
}
shapes "found F32 [2,1] x F32 [1,4], but x.weight is F32 [2,3]" 1,4 2,1
shapes "found F32 [3,1] x F32 [1,3], but x.weight is F32 [2,3]" 1,3 3,1
shapes "found F32 [2,1] x F32 [1,3,2], but x.weight is F32 [2,3]" 1,3,2 2,1
shapes "expected [out,rank] x [rank,in] with one rank over 0, found F32 [2,2] x F32 [1,3]" 1,3 2,2
shapes "expected [out,rank] x [rank,in] with one rank over 0, found F32 [2,0] x F32 [0,3]" 0,3 2,0
shapes "expected matrices, found F32 [2,1] x F32 [3]" 3 2,1
shapes "a kernel in the up matrix is not supported: F32 [2,1,3,3] x F32 [1,3,1,1]" 1,3,1,1 2,1,3,3

# ---- dtypes ---------------------------------------------------------------------------------------------------

base x.weight
adapter lora_unet_x.lora_down.weight lora_unet_x.lora_up.weight
cp base base.f32
for dtype in f64 f16 bf16; do
    quiet convert base.f32 base --dtype $dtype
    merged "BASE of $dtype" x.weight "$once"
done
cp base.f32 base
for dtype in f64 f16 bf16 f8_e4m3 f8_e5m2; do
    quiet convert lora lora.$dtype --dtype $dtype
    quiet merge-lora base lora.$dtype merged
    is "LORA of $dtype" "$(shown merged x.weight)" "$once"
done
# 1 + 2^-8 + 2^-30 is over the middle between two BF16; rounded to F32 first it would be the middle
floats 1 >one && floats 2^-8 2^-30 >small && floats 1 1 >ones
quiet pack base.f32 x.weight=F32:1,1:one
quiet pack lora x.lora_down.weight=F32:2,1:small x.lora_up.weight=F32:1,2:ones
quiet convert base.f32 base --dtype bf16
quiet merge-lora base lora merged
is "rounded once to BF16" "$(shown merged x.weight)" "[[1.0078125]]"
quiet pack lora x.lora_down.weight=F32:2,1:small x.lora_up.weight=F32:1,2:ones
quiet merge-lora base lora merged --scale -2
is "rounded once to BF16: away from zero" "$(shown merged x.weight)" "[[0.9921875]]"
floats 1 2 3 4 5 6 >w
for bad in i32 f8_e4m3 bool; do
    base x.weight
    quiet convert base base.bad --dtype $bad --only x.weight
    mv base.bad base
    adapter lora_unet_x.lora_down.weight lora_unet_x.lora_up.weight
    wrong "lora_unet_x: x.weight of BASE is $(echo $bad | tr a-z A-Z); expected F64, F32, F16 or BF16. Convert BASE first: st convert"
done
base x.weight
quiet convert lora lora.int --dtype i8
rm -f merged
fails "expected floating-point numbers, found I8 [2,1] x I8 [1,3]" merge-lora base lora.int merged
quiet pack lora lora_unet_x.lora_down.weight=F32:1,3:down lora_unet_x.lora_up.weight=F32:2,1:up lora_unet_x.alpha=F32::nan
wrong "lora_unet_x: alpha: expected a finite number"
quiet pack lora lora_unet_x.lora_down.weight=F32:1,3:down lora_unet_x.lora_up.weight=F32:2,1:up lora_unet_x.alpha=F32:2:up
wrong "lora_unet_x: alpha: expected one number"
printf '\2\0\0\0\0\0\0\0' >int
quiet pack lora lora_unet_x.lora_down.weight=F32:1,3:down lora_unet_x.lora_up.weight=F32:2,1:up lora_unet_x.alpha=I64::int
merged "alpha of I64" x.weight "$twice"

# ---- every tensor of LORA is used or named --------------------------------------------------------------------

base x.weight y.weight
complete="lora_unet_x.lora_down.weight lora_unet_x.lora_up.weight"
for pair in "lora_unet_y.lora_down.weight=lora_unet_y: has a down matrix (lora_A), but no up matrix (lora_B)" \
    "lora_unet_y.lora_up.weight=lora_unet_y: has an up matrix (lora_B), but no down matrix (lora_A)" \
    "lora_unet_y.alpha=lora_unet_y: has an alpha, but no matrices" \
    "lora_unet_x.lora_mid.weight=lora_unet_x.lora_mid.weight: the middle matrix of a CP decomposition" \
    "lora_unet_y.hada_w1_a=lora_unet_y.hada_w1_a: LoHa is" "lora_unet_y.lokr_w1=lora_unet_y.lokr_w1: LoKr is" \
    "lora_unet_x.dora_scale=lora_unet_x.dora_scale: DoRA is" "x.lora_magnitude_vector=x.lora_magnitude_vector: DoRA is" \
    "x.lora_embedding_A=x.lora_embedding_A: LoRA of an embedding" "x.lora_B.bias=x.lora_B.bias: a bias is not supported" \
    "base_model.model.y.bias=base_model.model.y.bias: a bias" "y.modules_to_save.weight=y.modules_to_save.weight: a whole weight" \
    "lora_unet_y.diff=lora_unet_y.diff: a whole difference" \
    "y.weight=y.weight: expected a name that ends with lora_A.weight" "x.lora_A.other.weight=x.lora_A.other.weight: expected a name"; do
    adapter $complete ${pair%%=*}
    wrong "lora: ${pair#*=}"
    merged "--except ${pair%%=*}" x.weight "$once" --except ${pair%%=*}
done
adapter $complete x.lora_A.weight x.lora_B.weight
wrong "lora: x: changes x.weight, and so does lora_unet_x"
adapter x.lora_A.weight x.lora_B.weight x.lora_down.weight
wrong "lora: x.lora_"
has "two down matrices" err "the same matrix as x.lora_"
quiet pack lora a=F32:2:up
wrong "lora: a: expected a name"
quiet copy lora none --except '*'
mv none lora
wrong "lora: no LoRA matrices found"
adapter $(awk 'BEGIN { for (i = 100; i < 115; i++) printf "z%d.hada_w1_a ", i }')
wrong "lora: 5 more problems"
lines "problems are cut short" err 12
has "problems: what to do" err "st merge-lora: nothing is written; --except leaves out tensors of LORA"
quiet pack lora "$(printf 'x\033[31m.lora_mid.weight')=F32:2:up"
wrong 'x\u001b[31m.lora_mid.weight: the middle'

# ---- blocks, files --------------------------------------------------------------------------------------------

zeros() { head -c $(($1 * 4)) /dev/zero; }
# a row longer than a block
{ zeros 65535 && floats 2 3 && zeros 34 && floats 4; } >down.long # [1,65572]: elements 65535, 65536 and 65571
{ zeros 65572 && zeros 65571 && floats 1; } >w.long
quiet pack base x.weight=F32:2,65572:w.long same=F32:3:down
quiet pack lora x.lora_down.weight=F32:1,65572:down.long x.lora_up.weight=F32:2,1:up
quiet merge-lora base lora merged
st show merged x.weight 1,65534:65538
is "where blocks meet in a row" "$(cat out)" "[0. 4. 6. 0.]"
st show merged x.weight :,-1
is "the end of a row" "$(cat out)" "[4. 9.]"
st show --stats merged x.weight
has_line "a row longer than a block" out 'max *9'
# more rows than a block has, of 21 columns
{ zeros 65540 && zeros 16 && floats 1 2 3 4 5 6; } >w.tall # [3122,21]
{ zeros 3120 && floats 2 3; } >up.tall
{ zeros 15 && floats 1 2 3 4 5 6; } >down.tall
quiet pack base x.weight=F32:3122,21:w.tall same=F32:3:down
quiet pack lora x.lora_down.weight=F32:1,21:down.tall x.lora_up.weight=F32:3122,1:up.tall
quiet merge-lora base lora merged
st show merged x.weight 3119:,15:18
is "more rows than a block" "$(tr -s ' \n' '  ' <out)" "[[ 0. 0. 0.] [ 2. 4. 6.] [ 4. 8. 12.]] "
st show merged x.weight -1
is "the last row" "$(tr -s ' \n' '  ' <out)" "[ 0. 0. 0. 0. 0. 0. 0. 0. 0. 0. 0. 0. 0. 0. 0. 4. 8. 12. 16. 20. 24.] "

# BASE of several files
quiet pack one a.x.weight=F32:2,3:w b.x.weight=F32:2,3:w c=F32:3:down --meta format=pt
quiet shard one base.parts --max-size 24
adapter lora_unet_a_x.lora_down.weight lora_unet_a_x.lora_up.weight lora_unet_b_x.lora_down.weight lora_unet_b_x.lora_up.weight \
    lora_unet_b_x.alpha
quiet merge-lora base.parts lora merged.parts
is "as many files as BASE" "$(ls merged.parts)" "$(ls base.parts)"
is "several files: a" "$(shown merged.parts a.x.weight)" "$once"
is "several files: b" "$(shown merged.parts b.x.weight)" "$twice"
st diff base.parts merged.parts
has_line "several files: the rest" out "2 changed, 1 tensor is the same"
if [ $system = posix ]; then
    quiet merge-lora one lora one
    is "BASE is replaced" "$(shown one b.x.weight)" "$twice"
else
    fails "one: ST_ERR_IO: the file is open or mapped by a program" merge-lora one lora one
fi
quiet merge-lora base.parts lora merged.parts --keep-order --align 4096 --slack 10 --no-sync

# BASE of 64 MiB in 40 MB of memory
if [ $system = posix ] && sh -c 'ulimit -v 40000 && "$0" --version || exit 1' "$tool" >/dev/null 2>&1; then
    written sparse '{"x.weight":{"dtype":"F16","shape":[4096,8192],"data_offsets":[0,67108864]}}'
    dd if=/dev/zero of=sparse bs=1 count=0 seek=$(($(wc -c <sparse) + 67108864)) 2>/dev/null
    { zeros 8191 && floats 2; } >down.wide
    { zeros 4095 && floats 3; } >up.high
    quiet pack lora x.lora_down.weight=F32:1,8192:down.wide x.lora_up.weight=F32:4096,1:up.high
    (ulimit -v 40000 && "$tool" merge-lora --no-sync sparse lora merged) >out 2>err
    empty "64 MiB in 40 MB of memory" err
    st show merged x.weight 4094:,-2:
    is "64 MiB in 40 MB of memory" "$(tr -s ' \n' '  ' <out)" "[[0. 0.] [0. 6.]] "
    rm -f sparse merged
else
    skip "merging in little memory: not here"
fi

# ---- the command line -----------------------------------------------------------------------------------------

st merge-lora --help
code "help" 0
has "help" out "usage: st merge-lora [OPTIONS] BASE LORA OUT"
for option in alpha scale dry-run only except rename rename-file name keep-order align slack no-sync direct json variant partial; do has "help" out "  --$option"; done
is "help fits 80 columns" "$(awk 'length($0) > 80' out)" ""
adapter lora_unet_a_x.lora_down.weight lora_unet_a_x.lora_up.weight
refused "expected BASE, LORA and OUT" merge-lora
refused "expected BASE, LORA and OUT" merge-lora one --dry-run
refused "OUT is missing" merge-lora one lora
refused "too many arguments" merge-lora one lora out.st more
for bad in x '' 1x nan inf 1e999; do
    refused "--alpha: expected a number, found $bad" merge-lora one lora out.st "--alpha=$bad"
    refused "--scale: expected a number, found $bad" merge-lora one lora out.st "--scale=$bad"
done
fails "no-such: ST_ERR_NOT_FOUND" merge-lora no-such lora out.st
fails "no-such: ST_ERR_NOT_FOUND" merge-lora one no-such out.st
fails "no-such/out.st: ST_ERR_NOT_FOUND" merge-lora one lora no-such/out.st
head -c 100 one >cut
fails "cut: ST_ERR_TRUNCATED" merge-lora cut lora out.st
mkdir empty
fails "empty: ST_ERR_NOT_FOUND" merge-lora one empty out.st
mkdir diffusers
cp lora diffusers/pytorch_lora_weights.safetensors
quiet merge-lora one diffusers out.st

# ---- what st copy has, too --------------------------------------------------------------------------------------

cp out.st wanted
st merge-lora one lora -
code "standard output" 0
same "standard output" out wanted
refused "--json: cannot read back" merge-lora one lora - --json
quiet merge-lora one lora direct --direct
same "--direct" direct wanted
fails "ST_ERR_UNSUPPORTED: --direct cannot write to a file of IN" merge-lora one lora one --direct
fails "ST_ERR_UNSUPPORTED: --direct cannot write to a file of IN" merge-lora one lora lora --direct
fails "OUT is one file: --name is for several" merge-lora one lora out.st --name unet
fine merge-lora one lora out.st --json
same "--json" out.st wanted
python "--json" "assert o['path'] == 'out.st' and o['files'] == 1"
rm -rf parts out.parts && quiet shard one parts --max-size 1 --name unet
quiet merge-lora parts lora out.parts
quiet merge out.parts merged
same "several files" merged wanted
is "the names of BASE" "$(ls out.parts | head -n 1)" "$(ls parts | head -n 1)"
rm -rf out.parts && quiet merge-lora parts lora out.parts --name other
is "--name" "$(ls out.parts | head -n 1)" "$(ls parts | head -n 1 | sed s/unet/other/)"
rm parts/*.json
fails "found no index" merge-lora parts lora out.parts
rm -rf out.parts && quiet merge-lora parts lora out.parts --no-index
quiet merge out.parts merged
same "--no-index" merged wanted
fails "found no .safetensors file" merge-lora parts lora out.parts --variant fp16
st copy lora renamed --rename 'lora_unet_*=x_*'
code "copy --rename" 0
fails "renamed: " merge-lora one renamed out.st
echo 'x_*=lora_*' >rules
quiet merge-lora one renamed out.st --rename-file rules --rename 'lora_*=lora_unet_*'
same "--rename-file" out.st wanted
refused "--rename: expected FROM=TO" merge-lora one lora out.st --rename x
# BASE in pieces: two rows of W in two files
mkdir pieces
for i in 1 2; do
    info="{\\\"a.x.weight\\\":{\\\"saved_offsets\\\":[$((i - 1)),0]}}"
    h="{\"__metadata__\":{\"DCP_SHARDING_INFO\":\"$info\"},\"a.x.weight\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[0,12]}}"
    model pieces/shard-0000$i-model-00001-of-00001.safetensors "$h" ''
    tail -c +$((12 * i - 11)) w | head -c 12 >>pieces/shard-0000$i-model-00001-of-00001.safetensors
done
quiet merge-lora pieces lora merged
is "pieces" "$(shown merged a.x.weight)" "$once"
finish
