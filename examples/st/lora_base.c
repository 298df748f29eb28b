/* lora_base.c: finds the tensor of BASE that a module of a LoRA changes. */
#include "lora.h"
#include <stdlib.h>
#include <string.h>

typedef struct prefix_rule { /* a module called `adapter` + x changes the tensor `base` + x + ".weight" */
    const char *adapter, *base;
} prefix_rule;

/* In the order in which they are tried. The first that exists counts. BASE can be the model with or without its head,
 * one component of a pipeline, or a checkpoint with all components. */
static const prefix_rule dotted_rules[] = {
    {"", ""},
    {"base_model.model.", ""},
    {"base_model.model.model.", ""},
    {"base_model.model.transformer.", ""},
    {"base_model.model.", "model."},
    {"base_model.model.", "transformer."},
    {"unet.", ""},
    {"unet.", "model.diffusion_model."},
    {"transformer.", ""},
    {"transformer.", "model.diffusion_model."},
    {"diffusion_model.", ""},
    {"diffusion_model.", "model.diffusion_model."},
    {"text_encoder.", ""},
    {"text_encoder.", "cond_stage_model.transformer."},
    {"text_encoder.", "conditioner.embedders.0.transformer."},
    {"text_encoder_2.", ""},
    {"text_encoder_3.", ""},
};

/* Of modules whose names have "_" for every "." */
static const prefix_rule mangled_rules[] = {
    {"lora_unet_", ""},
    {"lora_unet_", "model.diffusion_model."},
    {"lora_unet_", "diffusion_model."},
    {"lora_unet_", "unet."},
    {"lora_unet_", "transformer."},
    {"lora_transformer_", ""},
    {"lora_transformer_", "transformer."},
    {"lora_te_", ""},
    {"lora_te_", "cond_stage_model.transformer."},
    {"lora_te_", "text_encoder."},
    {"lora_te1_", ""},
    {"lora_te1_", "conditioner.embedders.0.transformer."},
    {"lora_te1_", "text_encoder."},
    {"lora_te1_", "text_encoders.clip_l.transformer."},
    {"lora_te2_", ""},
    {"lora_te2_", "text_encoder_2."},
    {"lora_te2_", "text_encoders.clip_g.transformer."},
    {"lora_te3_", ""},
    {"lora_te3_", "text_encoder_3."},
    {"lora_te3_", "text_encoders.t5xxl.transformer."},
    {"lycoris_", ""},
};

enum {
    DOTTED_RULES = sizeof dotted_rules / sizeof *dotted_rules,
    MANGLED_RULES = sizeof mangled_rules / sizeof *mangled_rules,
    ADDED_BYTES = 64 /* more than the longest base prefix, ".0", ".weight" and a NUL have */
};

static const char weight[] = ".weight";
enum { WEIGHT_BYTES = sizeof weight - 1 };

typedef struct mangled_name { /* of a tensor of BASE, without .weight and with "_" for "." */
    const char *name;
    size_t bytes;
    const st_tensor *tensor;
} mangled_name;

typedef struct search {
    lora *l;
    char *name; /* room for any candidate */
    char *text; /* the mangled names */
    mangled_name *names;
    size_t count;
} search;

static int starts_with(const lora_module *m, const char *prefix) {
    const size_t n = strlen(prefix);
    return m->bytes >= n && memcmp(m->name, prefix, n) == 0;
}

/* Writes rule->base and the module's name without rule->adapter to s->name; returns the length. */
static size_t compose(const search *s, const lora_module *m, const prefix_rule *rule) {
    const size_t skipped = strlen(rule->adapter);
    size_t n = strlen(rule->base);
    memcpy(s->name, rule->base, n);
    memcpy(s->name + n, m->name + skipped, m->bytes - skipped);
    return n + m->bytes - skipped;
}

/* ---- names with dots ---------------------------------------------------------------------------------------- */

/* x.processor.to_q_lora belongs to x.to_q, and x.processor.to_out_lora to x.to_out.0 */
static size_t without_processor(char *name, size_t bytes, int is_processor) {
    static const char processor[] = ".processor.", out[] = ".to_out";
    const size_t n = sizeof processor - 2, out_bytes = sizeof out - 1; /* the second dot stays */
    size_t i = 0;
    while (i + n < bytes) {
        if (memcmp(name + i, processor, n + 1) == 0) {
            memmove(name + i, name + i + n, bytes - i - n);
            bytes -= n;
        } else {
            i++;
        }
    }
    if (is_processor && bytes >= out_bytes && memcmp(name + bytes - out_bytes, out, out_bytes) == 0) {
        memcpy(name + bytes, ".0", 2);
        bytes += 2;
    }
    return bytes;
}

static const st_tensor *find_dotted(const search *s, const lora_module *m, const prefix_rule *rule) {
    size_t bytes = without_processor(s->name, compose(s, m, rule), m->is_processor);
    memcpy(s->name + bytes, weight, WEIGHT_BYTES + 1);
    return st_find_n(s->l->base, s->name, bytes + WEIGHT_BYTES);
}

static void report_dotted(search *s, const lora_module *m) {
    nearest_names nearest;
    size_t i, rule = 0;
    if (!lora_problem(s->l, m->name, m->bytes)) return;
    for (i = 0; i < DOTTED_RULES; i++) {
        if (starts_with(m, dotted_rules[i].adapter) && !*dotted_rules[i].base) rule = i; /* the longest one */
    }
    find_dotted(s, m, &dotted_rules[rule]);
    fputs("BASE has no tensor ", stderr);
    put_string(stderr, s->name);
    nearest_begin(&nearest, s->name);
    nearest_tensors(&nearest, s->l->base);
    put_nearest(stderr, &nearest);
    lora_problem_end();
}

static void find_dotted_base(search *s, lora_module *m) {
    size_t i;
    for (i = 0; i < DOTTED_RULES && !m->base; i++) {
        if (starts_with(m, dotted_rules[i].adapter)) m->base = find_dotted(s, m, &dotted_rules[i]);
    }
    if (!m->base) report_dotted(s, m);
}

/* ---- names with underscores --------------------------------------------------------------------------------- */

static void mangle(char *name, size_t bytes) {
    size_t i;
    for (i = 0; i < bytes; i++) {
        if (name[i] == '.') name[i] = '_';
    }
}

static int compare_names(const void *left, const void *right) {
    const mangled_name *a = (const mangled_name *)left, *b = (const mangled_name *)right;
    return compare_text(a->name, a->bytes, b->name, b->bytes);
}

/* qsort orders equal elements in another way on each system. */
static int by_name_and_place(const void *left, const void *right) {
    const mangled_name *a = (const mangled_name *)left, *b = (const mangled_name *)right;
    const int order = compare_names(a, b);
    return order ? order : a->tensor < b->tensor ? -1 : a->tensor > b->tensor;
}

static int list_mangled_names(search *s) {
    const st_model *base = s->l->base;
    size_t i, total = 0;
    char *to;
    for (i = 0; i < base->count; i++) total += base->tensors[i].name_bytes; /* they are in memory, so they fit */
    s->text = to = (char *)malloc(total + 1);
    s->names = (mangled_name *)calloc(base->count + 1, sizeof *s->names);
    if (!s->text || !s->names) return out_of_memory("merge-lora");
    for (i = 0; i < base->count; i++) {
        const st_tensor *t = &base->tensors[i];
        mangled_name *n = &s->names[s->count];
        if (t->name_bytes < WEIGHT_BYTES) continue;
        n->name = to;
        n->bytes = t->name_bytes - WEIGHT_BYTES;
        n->tensor = t;
        if (memcmp(t->name + n->bytes, weight, WEIGHT_BYTES) != 0) continue;
        memcpy(to, t->name, n->bytes);
        mangle(to, n->bytes);
        to += n->bytes;
        s->count++;
    }
    qsort(s->names, s->count, sizeof *s->names, by_name_and_place);
    return EXIT_FINE;
}

/* Returns the index of the first name that is not less. */
static size_t lower_bound(const search *s, const mangled_name *wanted) {
    size_t low = 0, high = s->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_names(&s->names[middle], wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void report_ambiguous(lora *l, const lora_module *m, const st_tensor *other) {
    if (!lora_problem(l, m->name, m->bytes)) return;
    fputs("could mean ", stderr);
    put_text(stderr, m->base->name, m->base->name_bytes);
    fputs(" or ", stderr);
    put_text(stderr, other->name, other->name_bytes);
    lora_problem_end();
}

/* Takes the tensor that is called s->name. Several can have one name once every "." is "_", and BASE can have several
 * components: returns 0 after a message if the module has another tensor already. */
static int take_mangled(search *s, lora_module *m, size_t bytes) {
    mangled_name wanted;
    size_t i;
    memset(&wanted, 0, sizeof wanted);
    wanted.name = s->name;
    wanted.bytes = bytes;
    mangle(s->name, bytes);
    for (i = lower_bound(s, &wanted); i < s->count && compare_names(&s->names[i], &wanted) == 0; i++) {
        if (m->base) {
            report_ambiguous(s->l, m, s->names[i].tensor);
            return 0;
        }
        m->base = s->names[i].tensor;
    }
    return 1;
}

static void find_mangled_base(search *s, lora_module *m) {
    static const char unet[] = "lora_unet_", ldm[] = "model.diffusion_model.";
    const size_t skipped = sizeof unet - 1, ldm_bytes = sizeof ldm - 1;
    size_t i, n;
    for (i = 0; i < MANGLED_RULES; i++) {
        if (!starts_with(m, mangled_rules[i].adapter)) continue;
        if (!take_mangled(s, m, compose(s, m, &mangled_rules[i]))) return;
    }
    for (i = 0; i < LORA_LDM_RULES && starts_with(m, unet); i++) {
        memcpy(s->name, ldm, ldm_bytes);
        n = lora_ldm_name(i, m->name + skipped, m->bytes - skipped, s->name + ldm_bytes);
        if (n && !take_mangled(s, m, ldm_bytes + n)) return;
    }
    if (m->base || !lora_problem(s->l, m->name, m->bytes)) return;
    fputs("BASE has no tensor of this name, with any \"_\" as \".\"", stderr);
    lora_problem_end();
}

/* ---- all modules -------------------------------------------------------------------------------------------- */

static int is_mangled(const lora_module *m) {
    size_t i;
    for (i = 0; i < MANGLED_RULES; i++) {
        if (starts_with(m, mangled_rules[i].adapter)) return memchr(m->name, '.', m->bytes) == NULL;
    }
    return 0;
}

static int find_bases(search *s) {
    lora *l = s->l;
    size_t i, longest = 0;
    int code = EXIT_FINE;
    for (i = 0; i < l->count; i++) {
        if (l->modules[i].bytes > longest) longest = l->modules[i].bytes;
    }
    s->name = (char *)malloc(longest + ADDED_BYTES);
    if (!s->name) return out_of_memory("merge-lora");
    for (i = 0; code == EXIT_FINE && i < l->count; i++) {
        lora_module *m = &l->modules[i];
        if (!is_mangled(m)) {
            find_dotted_base(s, m);
            continue;
        }
        if (!s->names) code = list_mangled_names(s);
        if (code == EXIT_FINE) find_mangled_base(s, m);
    }
    return code;
}

int lora_find_bases(lora *l) {
    search s;
    int code;
    memset(&s, 0, sizeof s);
    s.l = l;
    code = find_bases(&s);
    free(s.names);
    free(s.text);
    free(s.name);
    return code;
}
