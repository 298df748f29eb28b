/* lora_names.c: groups the tensors of a LoRA into modules and checks each of them. */
#include "lora.h"
#include <stdlib.h>
#include <string.h>

typedef enum tensor_role { ROLE_DOWN, ROLE_UP, ROLE_ALPHA } tensor_role;

typedef struct name_ending {
    const char *text;
    tensor_role role;
    int is_peft, is_processor;
} name_ending;

static const name_ending endings[] = {
    {".lora_down.weight", ROLE_DOWN, 0, 0}, /* kohya */
    {".lora_up.weight", ROLE_UP, 0, 0},
    {".alpha", ROLE_ALPHA, 0, 0},
    {".lora_A.weight", ROLE_DOWN, 1, 0}, /* PEFT and diffusers */
    {".lora_B.weight", ROLE_UP, 1, 0},
    {".lora_A.default.weight", ROLE_DOWN, 1, 0},
    {".lora_B.default.weight", ROLE_UP, 1, 0},
    {".lora.down.weight", ROLE_DOWN, 0, 0}, /* older diffusers */
    {".lora.up.weight", ROLE_UP, 0, 0},
    {"_lora.down.weight", ROLE_DOWN, 0, 1},
    {"_lora.up.weight", ROLE_UP, 0, 1},
    {".lora_linear_layer.down.weight", ROLE_DOWN, 0, 0},
    {".lora_linear_layer.up.weight", ROLE_UP, 0, 0},
};

/* Parts of names that are known, but not supported; the first that a name contains counts. */
static const struct {
    const char *part, *what;
} unsupported[] = {
    {"lora_mid.", "the middle matrix of a CP decomposition is not supported"},
    {"hada_", "LoHa is not supported"},
    {"lokr_", "LoKr is not supported"},
    {"dora_scale", "DoRA is not supported"},
    {"lora_magnitude_vector", "DoRA is not supported"},
    {"lora_embedding_", "LoRA of an embedding is not supported"},
    {"oft_", "OFT is not supported"},
    {"boft_", "BOFT is not supported"},
    {"ia3_", "IA3 is not supported"},
    {"vera_", "VeRA is not supported"},
    {"modules_to_save", "a whole weight (modules_to_save) is not supported"},
    {".bias", "a bias is not supported"},
    {".diff", "a whole difference is not supported"},
};

typedef struct name_part { /* a tensor of LoRA, with its name split */
    const char *name;
    size_t bytes;
    const st_tensor *tensor;
    const name_ending *ending;
} name_part;

enum { SHOWN_PROBLEMS = 10 };

int lora_problem(lora *l, const char *name, size_t bytes) {
    if (l->problems++ >= SHOWN_PROBLEMS) return 0;
    put_string(stderr, l->path);
    fputs(": ", stderr);
    put_text(stderr, name, bytes);
    fputs(": ", stderr);
    return 1;
}

void lora_problem_end(void) {
    putc('\n', stderr);
}

static void report_module(lora *l, const lora_module *m, const char *what) {
    if (!lora_problem(l, m->name, m->bytes)) return;
    fputs(what, stderr);
    lora_problem_end();
}

/* ---- names -------------------------------------------------------------------------------------------------- */

static int contains(const st_tensor *t, const char *part) {
    const size_t n = strlen(part);
    size_t i;
    for (i = 0; i + n <= t->name_bytes; i++) {
        if (memcmp(t->name + i, part, n) == 0) return 1;
    }
    return 0;
}

static void report_unsupported(lora *l, const st_tensor *t) {
    const char *what =
        "expected a name that ends with lora_A.weight, lora_B.weight, lora_down.weight, lora_up.weight or "
        "alpha; other weights are not supported";
    size_t i;
    for (i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        if (!contains(t, unsupported[i].part)) continue;
        what = unsupported[i].what;
        break;
    }
    if (!lora_problem(l, t->name, t->name_bytes)) return;
    fputs(what, stderr);
    lora_problem_end();
}

static int split_name(const st_tensor *t, name_part *part) {
    size_t i;
    for (i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t n = strlen(endings[i].text);
        if (t->name_bytes <= n || memcmp(t->name + t->name_bytes - n, endings[i].text, n) != 0) continue;
        part->name = t->name;
        part->bytes = t->name_bytes - n;
        part->tensor = t;
        part->ending = &endings[i];
        return 1;
    }
    return 0;
}

static int compare_parts(const void *left, const void *right) {
    const name_part *a = (const name_part *)left, *b = (const name_part *)right;
    return compare_text(a->name, a->bytes, b->name, b->bytes);
}

static int by_name_and_place(const void *left, const void *right) {
    const name_part *a = (const name_part *)left, *b = (const name_part *)right;
    const int order = compare_parts(a, b);
    return order ? order : a->tensor < b->tensor ? -1 : a->tensor > b->tensor;
}

/* Adds a tensor to its module. */
static void add_part(lora *l, lora_module *m, const name_part *part) {
    const name_ending *e = part->ending;
    const st_tensor **place = e->role == ROLE_DOWN ? &m->down : e->role == ROLE_UP ? &m->up : &m->alpha_tensor;
    if (*place) {
        if (!lora_problem(l, part->tensor->name, part->tensor->name_bytes)) return;
        fputs("the same matrix as ", stderr);
        put_text(stderr, (*place)->name, (*place)->name_bytes);
        lora_problem_end();
        return;
    }
    *place = part->tensor;
    m->is_peft |= e->is_peft;
    m->is_processor |= e->is_processor;
}

static int group_parts(lora *l, name_part *parts, size_t count) {
    size_t i, kept = 0;
    l->modules = (lora_module *)calloc(count + 1, sizeof *l->modules);
    if (!l->modules) return out_of_memory("merge-lora");
    qsort(parts, count, sizeof *parts, by_name_and_place);
    for (i = 0; i < count; i++) {
        if (i == 0 || compare_parts(&parts[i - 1], &parts[i]) != 0) {
            l->modules[l->count].name = parts[i].name;
            l->modules[l->count++].bytes = parts[i].bytes;
        }
        add_part(l, &l->modules[l->count - 1], &parts[i]);
    }
    for (i = 0; i < l->count; i++) {
        const lora_module *m = &l->modules[i];
        if (m->down && m->up) {
            l->modules[kept++] = *m;
        } else {
            report_module(l, m,
                          m->down ? "has a down matrix (lora_A), but no up matrix (lora_B)"
                          : m->up ? "has an up matrix (lora_B), but no down matrix (lora_A)"
                                  : "has an alpha, but no matrices");
        }
    }
    l->count = kept;
    return EXIT_FINE;
}

static int list_modules(lora *l) {
    name_part *parts = (name_part *)calloc(l->chosen.count + 1, sizeof *parts);
    size_t i, count = 0;
    int code;
    if (!parts) return out_of_memory("merge-lora");
    for (i = 0; i < l->chosen.count; i++) {
        const st_tensor *t = &l->chosen.tensors[i];
        if (split_name(t, &parts[count])) {
            count++;
        } else {
            report_unsupported(l, t);
        }
    }
    code = group_parts(l, parts, count);
    free(parts);
    return code;
}

/* ---- shapes and dtypes -------------------------------------------------------------------------------------- */

static uint32_t rank_without_ones(const st_tensor *t) {
    uint32_t rank = t->rank;
    while (rank > 1 && t->shape[rank - 1] == 1) rank--;
    return rank;
}

static void put_tensor(const char *title, const st_tensor *t) {
    fprintf(stderr, "%s %s ", title, t->dtype_name);
    put_shape(stderr, t);
}

static void report_shapes(lora *l, const lora_module *m, const char *what, const char *hint) {
    if (!lora_problem(l, m->name, m->bytes)) return;
    put_tensor(what, m->up);
    put_tensor(" x", m->down);
    if (m->base) {
        fputs(", but ", stderr);
        put_text(stderr, m->base->name, m->base->name_bytes);
        put_tensor(" is", m->base);
    }
    fputs(hint, stderr);
    lora_problem_end();
}

/* up is [out, rank] and down [rank, in, kernel...]; ones at the end do not count. */
static int has_shape_of_product(const lora_module *m) {
    const uint32_t down = rank_without_ones(m->down), base = rank_without_ones(m->base);
    uint32_t i;
    if (m->base->rank < 1 || m->base->shape[0] != m->up->shape[0] || base != down) return 0;
    for (i = 1; i < base; i++) {
        if (m->base->shape[i] != m->down->shape[i]) return 0;
    }
    return 1;
}

static int has_transposed_shape(const lora_module *m) {
    return m->base->rank == 2 && rank_without_ones(m->down) <= 2 && m->base->shape[0] == m->down->shape[1] &&
           m->base->shape[1] == m->up->shape[0];
}

static int check_rank(lora *l, lora_module *m) {
    if (m->up->rank < 2 || m->down->rank < 2) {
        report_shapes(l, m, "expected matrices, found", "");
    } else if (m->down->shape[0] == 0 || m->up->shape[1] != m->down->shape[0]) {
        report_shapes(l, m, "expected [out,rank] x [rank,in] with one rank over 0, found", "");
    } else if (rank_without_ones(m->up) > 2) {
        report_shapes(l, m, "a kernel in the up matrix is not supported:", "");
    } else {
        m->rank = m->down->shape[0];
        return 1;
    }
    return 0;
}

static void check_shape(lora *l, lora_module *m) {
    const st_tensor *base = m->base;
    m->base = NULL; /* not part of messages about the rank */
    if (!check_rank(l, m)) return;
    m->base = base;
    m->is_transposed = m->is_transposed && base->rank == 2;
    if (m->is_transposed ? has_transposed_shape(m) : has_shape_of_product(m)) return;
    report_shapes(l, m, "found",
                  m->is_transposed          ? "; fan_in_fan_out is set, so it is expected transposed"
                  : has_transposed_shape(m) ? "; it would fit transposed (fan_in_fan_out in adapter_config.json)"
                                            : "");
}

static int is_adapter_dtype(st_dtype dtype) {
    switch (dtype) {
    case ST_DTYPE_F64:
    case ST_DTYPE_F32:
    case ST_DTYPE_F16:
    case ST_DTYPE_BF16:
    case ST_DTYPE_F8_E4M3:
    case ST_DTYPE_F8_E5M2: return 1;
    default: return 0;
    }
}

static void check_dtypes(lora *l, const lora_module *m) {
    const st_dtype dtype = m->base->dtype;
    if (!is_adapter_dtype(m->down->dtype) || !is_adapter_dtype(m->up->dtype)) {
        report_shapes(l, m, "expected floating-point numbers, found", "");
    } else if (dtype != ST_DTYPE_F64 && dtype != ST_DTYPE_F32 && dtype != ST_DTYPE_F16 && dtype != ST_DTYPE_BF16) {
        if (!lora_problem(l, m->name, m->bytes)) return;
        put_text(stderr, m->base->name, m->base->name_bytes);
        fprintf(stderr,
                " of BASE is %s; expected F64, F32, F16 or BF16. Convert BASE first: st convert BASE NEW --dtype bf16",
                m->base->dtype_name);
        lora_problem_end();
    }
}

/* ---- alpha -------------------------------------------------------------------------------------------------- */

static int read_alpha(lora *l, lora_module *m) {
    const st_tensor *t = m->alpha_tensor;
    st_error error;
    if (!has_numbers(t) || number_count(t) != 1) {
        report_module(l, m, "alpha: expected one number");
        return EXIT_FINE;
    }
    if (read_numbers(l->adapter, t, 0, 1, ST_DTYPE_F64, &m->alpha, &error) != ST_OK) return report(l->path, &error);
    if (!is_finite(m->alpha)) report_module(l, m, "alpha: expected a finite number");
    return EXIT_FINE;
}

/* Who writes lora_A after one of these takes the rank where no alpha is given. PEFT never does. */
static int has_component(const lora_module *m) {
    static const char *const components[] = {"unet.", "transformer.", "text_encoder", "diffusion_model."};
    size_t i;
    for (i = 0; i < sizeof components / sizeof *components; i++) {
        const size_t n = strlen(components[i]);
        if (m->bytes > n && memcmp(m->name, components[i], n) == 0) return 1;
    }
    return 0;
}

/* Sets alpha, or -1, and returns what it is divided by. */
static double use_settings(lora *l, lora_module *m) {
    const char *rest = m->name;
    const lora_settings *s = m->is_peft ? lora_settings_of(&l->config, m->name, m->bytes, &rest) : NULL;
    const size_t bytes = m->bytes - (size_t)(rest - m->name);
    double rank, divisor = (double)m->rank;
    m->alpha = -1;
    if (!s) return divisor;
    rank = lora_pattern_value(&s->ranks, rest, bytes, s->rank);
    m->alpha = lora_pattern_value(&s->alphas, rest, bytes, s->alpha);
    if (s->has_root_scale) divisor = square_root((double)m->rank);
    if (rank < 0 || rank == (double)m->rank) return divisor;
    if (!lora_problem(l, m->name, m->bytes)) return divisor;
    fputs("rank ", stderr);
    put_double(stderr, rank, 17);
    fputs(" in ", stderr);
    put_string(stderr, l->config.path);
    fputs(", but the matrices have rank ", stderr);
    put_number(stderr, m->rank);
    lora_problem_end();
    return divisor;
}

/* alpha: --alpha, else the tensor of the module, else the settings, else the rank. PEFT's matrices alone do not tell
 * alpha; then --scale is taken as the whole factor. */
static int find_factor(lora *l, lora_module *m) {
    const double divisor = use_settings(l, m);
    int code = EXIT_FINE;
    if (l->alpha_given) {
        m->alpha = l->alpha;
    } else if (m->alpha_tensor) {
        code = read_alpha(l, m);
    } else if (m->alpha < 0) {
        m->alpha = (double)m->rank;
        l->needs_alpha |= m->is_peft && !has_component(m) && !l->scale_given;
    }
    m->factor = m->alpha / divisor * l->scale;
    return code;
}

/* ---- all modules -------------------------------------------------------------------------------------------- */

/* Notes which tensor the module changes. */
static void take_base(lora *l, lora_module *m) {
    const lora_module **changed = &l->changed[m->base - l->base->tensors];
    if (!*changed) {
        *changed = m;
        return;
    }
    if (!lora_problem(l, m->name, m->bytes)) return;
    fputs("changes ", stderr);
    put_text(stderr, m->base->name, m->base->name_bytes);
    fputs(", and so does ", stderr);
    put_text(stderr, (*changed)->name, (*changed)->bytes);
    lora_problem_end();
}

static int check_modules(lora *l) {
    size_t i;
    int code = EXIT_FINE;
    l->changed = (const lora_module **)calloc(l->base->count + 1, sizeof *l->changed);
    if (!l->changed) return out_of_memory("merge-lora");
    for (i = 0; code == EXIT_FINE && i < l->count; i++) {
        lora_module *m = &l->modules[i];
        const char *rest;
        const lora_settings *s = m->is_peft ? lora_settings_of(&l->config, m->name, m->bytes, &rest) : NULL;
        if (!m->base) continue; /* reported */
        m->is_transposed = s && s->is_transposed;
        take_base(l, m);
        check_shape(l, m);
        if (!m->rank) continue;
        check_dtypes(l, m);
        code = find_factor(l, m);
    }
    return code;
}

static int put_problems(const lora *l) {
    if (l->problems > SHOWN_PROBLEMS) {
        put_string(stderr, l->path);
        fputs(": ", stderr);
        put_number(stderr, l->problems - SHOWN_PROBLEMS);
        fputs(" more problems\n", stderr);
    }
    if (!l->problems) {
        return l->needs_alpha
                   ? report_text(l->path,
                                 "alpha is unknown: expected adapter_config.json beside the file, or --alpha N, "
                                 "or --scale X as the whole factor")
                   : EXIT_FINE;
    }
    begin_message("merge-lora");
    fputs("nothing is written; --except leaves out tensors of LORA, --rename changes their names\n", stderr);
    return EXIT_FAILED;
}

int lora_pair(lora *l) {
    int code = list_modules(l);
    if (code != EXIT_FINE) return code;
    if (l->count == 0 && !l->problems) return report_text(l->path, "no LoRA matrices found");
    code = lora_find_bases(l);
    if (code == EXIT_FINE) code = check_modules(l);
    return code == EXIT_FINE ? put_problems(l) : code;
}

void lora_pair_end(lora *l) {
    free(l->changed);
    free(l->modules);
}
