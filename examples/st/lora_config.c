/* lora_config.c: reads the settings of a LoRA: PEFT's adapter_config.json, or what diffusers writes under the key
 * lora_adapter_metadata: the same fields, with the component in front, as in "transformer.lora_alpha". */
#include "../common/json.h"
#include "lora.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG_BYTES = 1 << 20 };

static int config_error(const lora_config *c, const char *what) {
    return report_text(c->path, what);
}

static int field_error(const lora_config *c, const json_reader *j, const char *what) {
    put_string(stderr, c->path);
    fputs(": ", stderr);
    put_text(stderr, j->key, j->key_bytes);
    fprintf(stderr, ": %s\n", what);
    return EXIT_FAILED;
}

/* ---- fields ------------------------------------------------------------------------------------------------- */

static int read_flag(const lora_config *c, json_reader *j, int *flag) {
    const json_kind kind = json_value(j);
    if (j->fault) return EXIT_FINE; /* the caller reports faults */
    *flag = kind == JSON_TRUE;
    if (kind == JSON_TRUE || kind == JSON_FALSE || kind == JSON_NULL) return EXIT_FINE;
    return field_error(c, j, "expected true or false");
}

static int read_number(const lora_config *c, json_reader *j, double *number) {
    const json_kind kind = json_value(j);
    if (j->fault || kind == JSON_NULL) return EXIT_FINE;
    if (kind != JSON_NUMBER || !is_finite(j->number) || j->number < 0) {
        return field_error(c, j, "expected a number, 0 or greater");
    }
    *number = j->number;
    return EXIT_FINE;
}

/* Patterns are regular expressions in PEFT. All that are in use are names, perhaps with ^ or $ or \., and mean the same
 * here; a dot matches itself only. */
static int read_pattern(const lora_config *c, const json_reader *j, lora_pattern *p) {
    const char *from = j->key, *end = j->key + j->key_bytes, *s;
    char *to = c->text + (j->key - c->text); /* the key itself, which is not const in the text */
    p->text = to;
    p->is_anchored = from < end && *from == '^';
    if (p->is_anchored) from++;
    if (from < end && end[-1] == '$') end--;
    for (s = from; s < end; s++) {
        if (*s == '\\' && s + 1 < end && s[1] == '.') continue;
        if (strchr("^$\\*+?()[]{}|", *s)) {
            return field_error(c, j, "regular expressions are not supported; expected a module's name or its end");
        }
    }
    for (s = from; s < end; s++) {
        if (*s != '\\') *to++ = *s;
    }
    p->bytes = (size_t)(to - p->text);
    return EXIT_FINE;
}

static int read_patterns(const lora_config *c, json_reader *j, lora_patterns *patterns) {
    const json_kind kind = json_value(j);
    int code = EXIT_FINE;
    if (j->fault || kind == JSON_NULL) return EXIT_FINE;
    if (kind != JSON_OBJECT) return field_error(c, j, "expected an object of names and numbers");
    while (code == EXIT_FINE && json_member(j)) {
        lora_pattern *items =
            (lora_pattern *)realloc(patterns->items, (patterns->count + 1) * sizeof *items); /* the text is short */
        lora_pattern *p;
        if (!items) return out_of_memory("merge-lora");
        patterns->items = items;
        p = &items[patterns->count++];
        memset(p, 0, sizeof *p);
        p->value = -1;
        code = read_number(c, j, &p->value);
        if (code == EXIT_FINE && !j->fault && p->value < 0) code = field_error(c, j, "expected a number");
        if (code == EXIT_FINE && !j->fault) code = read_pattern(c, j, p);
    }
    return code;
}

/* PiSSA, OLoRA, CorDA, LoftQ and others subtract their start from the weights of the base model. */
static int read_init(const lora_config *c, json_reader *j) {
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    size_t i;
    if (json_value(j) != JSON_STRING) return EXIT_FINE;
    for (i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        if (json_is(j->string, j->string_bytes, harmless[i])) return EXIT_FINE;
    }
    put_string(stderr, c->path);
    fputs(": init_lora_weights \"", stderr);
    put_text(stderr, j->string, j->string_bytes);
    fputs("\" changes the base model before training; convert the adapter to plain LoRA with PEFT, or set "
          "init_lora_weights to true if BASE is the changed model\n",
          stderr);
    return EXIT_FAILED;
}

static int read_type(const lora_config *c, json_reader *j) {
    const json_kind kind = json_value(j);
    if (j->fault || kind == JSON_NULL) return EXIT_FINE;
    if (kind == JSON_STRING && json_is(j->string, j->string_bytes, "LORA")) return EXIT_FINE;
    return field_error(c, j, "expected \"LORA\"; other kinds of adapters are not supported");
}

static int read_field(const lora_config *c, json_reader *j, lora_settings *s, const char *field, size_t bytes) {
    static const char *const unsupported[] = {"use_dora", "use_qalora", "use_bdlora", "layer_replication",
                                              "alora_invocation_tokens"};
    size_t i;
    if (json_is(field, bytes, "peft_type")) return read_type(c, j);
    if (json_is(field, bytes, "r")) return read_number(c, j, &s->rank);
    if (json_is(field, bytes, "lora_alpha")) return read_number(c, j, &s->alpha);
    if (json_is(field, bytes, "use_rslora")) return read_flag(c, j, &s->has_root_scale);
    if (json_is(field, bytes, "fan_in_fan_out")) return read_flag(c, j, &s->is_transposed);
    if (json_is(field, bytes, "rank_pattern")) return read_patterns(c, j, &s->ranks);
    if (json_is(field, bytes, "alpha_pattern")) return read_patterns(c, j, &s->alphas);
    if (json_is(field, bytes, "init_lora_weights")) return read_init(c, j);
    for (i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        if (!json_is(field, bytes, unsupported[i])) continue;
        if (json_skip(j, json_value(j))) {
            put_string(stderr, c->path);
            fprintf(stderr, ": %s is not supported\n", unsupported[i]);
            return EXIT_FAILED;
        }
        return EXIT_FINE;
    }
    json_skip(j, json_value(j));
    return EXIT_FINE;
}

/* ---- the object --------------------------------------------------------------------------------------------- */

static lora_settings *component_of(lora_config *c, const char *prefix, size_t bytes) {
    lora_settings *s = c->components;
    size_t i;
    for (i = 0; i < c->count; i++, s++) {
        if (s->prefix_bytes == bytes && memcmp(s->prefix, prefix, bytes) == 0) return s;
    }
    if (c->count == LORA_COMPONENTS) return NULL;
    c->count++;
    s->prefix = prefix;
    s->prefix_bytes = bytes;
    s->rank = s->alpha = -1;
    return s;
}

/* Fields that are given twice count the last time, as in Python. */
static int parse_config(lora_config *c, size_t bytes) {
    json_reader j;
    int code = EXIT_FINE;
    json_begin(&j, c->text, bytes);
    if (json_value(&j) != JSON_OBJECT && !j.fault) return config_error(c, "expected a JSON object");
    while (code == EXIT_FINE && json_member(&j)) {
        size_t prefix = j.key_bytes;
        lora_settings *s;
        while (prefix && j.key[prefix - 1] != '.') prefix--;
        s = component_of(c, j.key, prefix);
        if (!s) return config_error(c, "more than 16 components");
        code = read_field(c, &j, s, j.key + prefix, j.key_bytes - prefix);
    }
    if (code != EXIT_FINE || json_end(&j)) return code;
    put_string(stderr, c->path);
    fputs(": not JSON: ", stderr);
    fputs(j.fault, stderr);
    fputs(" at byte ", stderr);
    put_number(stderr, json_position(&j));
    putc('\n', stderr);
    return EXIT_FAILED;
}

/* Sets the path of adapter_config.json in the directory of the adapter's file. */
static int set_path(lora_config *c, const char *adapter) {
    static const char name[] = "adapter_config.json";
    size_t n = strlen(adapter);
    c->path = (char *)malloc(n + sizeof name);
    if (!c->path) return out_of_memory("merge-lora");
    while (n && !is_separator(adapter[n - 1])) n--;
    memcpy(c->path, adapter, n);
    memcpy(c->path + n, name, sizeof name);
    return EXIT_FINE;
}

static int read_metadata(lora_config *c, const st_model *adapter, const st_pair *pair) {
    const char *path = adapter->shards[0].path;
    c->path = (char *)malloc(strlen(path) + 1);
    c->text = (char *)malloc(pair->value_bytes + 1);
    if (!c->path || !c->text) return out_of_memory("merge-lora");
    strcpy(c->path, path);
    memcpy(c->text, pair->value, pair->value_bytes);
    c->text[pair->value_bytes] = 0;
    return parse_config(c, pair->value_bytes);
}

int lora_config_read(lora_config *c, const st_model *adapter) {
    const st_pair *pair = st_find_metadata(adapter, "lora_adapter_metadata");
    size_t bytes;
    int code;
    if (pair) return read_metadata(c, adapter, pair);
    code = set_path(c, adapter->shards[0].path);
    if (code != EXIT_FINE) return code;
    if (system_path_kind(c->path) == PATH_MISSING) return EXIT_FINE;
    code = read_whole("merge-lora", c->path, MAX_CONFIG_BYTES, &c->text, &bytes);
    return code == EXIT_FINE ? parse_config(c, bytes) : code;
}

void lora_config_end(lora_config *c) {
    size_t i;
    for (i = 0; i < c->count; i++) {
        free(c->components[i].ranks.items);
        free(c->components[i].alphas.items);
    }
    free(c->text);
    free(c->path);
}

const lora_settings *lora_settings_of(const lora_config *c, const char *name, size_t bytes, const char **rest) {
    static const char peft[] = "base_model.model.";
    const size_t peft_bytes = sizeof peft - 1;
    const lora_settings *found = NULL;
    size_t i;
    for (i = 0; i < c->count; i++) {
        const lora_settings *s = &c->components[i];
        if (s->prefix_bytes > bytes || memcmp(name, s->prefix, s->prefix_bytes) != 0) continue;
        if (!found || s->prefix_bytes > found->prefix_bytes) found = s;
    }
    if (!found) return NULL;
    *rest = name + found->prefix_bytes;
    if (found->prefix_bytes == 0 && bytes >= peft_bytes && memcmp(name, peft, peft_bytes) == 0) *rest += peft_bytes;
    return found;
}

static int matches(const lora_pattern *p, const char *name, size_t bytes) {
    const char *tail;
    if (p->bytes > bytes || (p->is_anchored && p->bytes < bytes)) return 0;
    tail = name + (bytes - p->bytes);
    return memcmp(tail, p->text, p->bytes) == 0 && (tail == name || tail[-1] == '.');
}

double lora_pattern_value(const lora_patterns *patterns, const char *name, size_t bytes, double otherwise) {
    size_t i;
    for (i = 0; i < patterns->count; i++) {
        if (matches(&patterns->items[i], name, bytes)) return patterns->items[i].value;
    }
    return otherwise;
}
