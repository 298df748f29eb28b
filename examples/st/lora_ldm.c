/* lora_ldm.c: translates names within the U-Net of Stable Diffusion, with "_" for ".": from those of diffusers, which
 * kohya's tools use, to those of the original checkpoints. */
#include "lora.h"
#include <string.h>

typedef struct ldm_rule { /* # is a digit of a block and of a layer in `from`, and 3 * block + layer + added in `to` */
    const char *from, *to;
    unsigned added;
    int is_resnet;
} ldm_rule;

/* A rule that ends with "_" applies to what is below it. An upsampler comes after the attention, if there is one. */
static const ldm_rule rules[LORA_LDM_RULES] = {
    {"conv_in", "input_blocks_0_0", 0, 0},
    {"conv_out", "out_2", 0, 0},
    {"time_embedding_linear_1", "time_embed_0", 0, 0},
    {"time_embedding_linear_2", "time_embed_2", 0, 0},
    {"down_blocks_#_resnets_#_", "input_blocks_#_0_", 1, 1},
    {"down_blocks_#_attentions_#_", "input_blocks_#_1_", 1, 0},
    {"down_blocks_#_downsamplers_0_conv", "input_blocks_#_0_op", 3, 0},
    {"mid_block_resnets_0_", "middle_block_0_", 0, 1},
    {"mid_block_attentions_0_", "middle_block_1_", 0, 0},
    {"mid_block_resnets_1_", "middle_block_2_", 0, 1},
    {"up_blocks_#_resnets_#_", "output_blocks_#_0_", 0, 1},
    {"up_blocks_#_attentions_#_", "output_blocks_#_1_", 0, 0},
    {"up_blocks_#_upsamplers_0_conv", "output_blocks_#_1_conv", 2, 0},
    {"up_blocks_#_upsamplers_0_conv", "output_blocks_#_2_conv", 2, 0},
};

static const char *const resnet_parts[][2] = {
    {"conv1", "in_layers_2"},
    {"conv2", "out_layers_3"},
    {"time_emb_proj", "emb_layers_1"},
    {"conv_shortcut", "skip_connection"},
};

/* Returns the number of bytes that `from` matches, or 0, and sets *number to 3 * block + layer. */
static size_t match(const char *from, const char *name, size_t bytes, unsigned *number) {
    const size_t n = strlen(from);
    unsigned weight = 3;
    size_t i;
    *number = 0;
    if (n > bytes || (n < bytes && from[n - 1] != '_')) return 0;
    for (i = 0; i < n; i++) {
        if (from[i] != '#' && from[i] != name[i]) return 0;
        if (from[i] != '#') continue;
        if (name[i] < '0' || name[i] > '9') return 0;
        *number += weight * (unsigned)(name[i] - '0');
        weight = 1; /* of the layer, which comes second */
    }
    return n;
}

static size_t put_prefix(const char *rule, unsigned number, char *to) {
    char *begin = to;
    for (; *rule; rule++) {
        if (*rule != '#') {
            *to++ = *rule;
            continue;
        }
        if (number >= 10) *to++ = (char)('0' + number / 10);
        *to++ = (char)('0' + number % 10);
    }
    return (size_t)(to - begin);
}

size_t lora_ldm_name(size_t rule, const char *name, size_t bytes, char *to) {
    const ldm_rule *r = &rules[rule];
    unsigned number;
    size_t i, n = match(r->from, name, bytes, &number), written;
    if (n == 0) return 0;
    name += n;
    bytes -= n;
    written = put_prefix(r->to, number + r->added, to);
    if (!r->is_resnet) {
        memcpy(to + written, name, bytes);
        return written + bytes;
    }
    for (i = 0; i < sizeof resnet_parts / sizeof *resnet_parts; i++) {
        const char *part = resnet_parts[i][1];
        if (strlen(resnet_parts[i][0]) != bytes || memcmp(name, resnet_parts[i][0], bytes) != 0) continue;
        memcpy(to + written, part, strlen(part));
        return written + strlen(part);
    }
    return 0;
}
