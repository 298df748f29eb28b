/* tokenizer_load.c: reads tokenizer.json, or the older files. What this tokenizer does not do is refused by name. */
#include "examples/common/json.h"
#include "examples/common/text.h"
#include "tokens.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 28, PATH_BYTES = 128 };

typedef struct loader {
    tokenizer *t;
    json_reader j;
    const char *directory, *file;
    char *message; /* empty until something fails */
    span *merges;  /* left, right, left, right... */
    size_t merge_span_count;
    span normalizer, pre_tokenizer, post_processor, model, prefix; /* types, and the prefix of WordPiece */
    span unknown, cls, sep, pad, mask;
    struct normalizer normal;
    int32_t longest_word;
    int adds_space, uses_regex, adds_special_tokens, is_roberta, has_normalizer;
    added_token added; /* what is being read: an added token, its text; a template, an item of it, its kind */
    sequence_template sequence;
    template_item item;
    span text_name;
} loader;

/* Keeps the first message. */
static int fail(loader *l, const char *format, ...) {
    va_list values;
    size_t n;
    if (l->message[0]) return 0;
    n = (size_t)snprintf(l->message, TOKENIZER_MESSAGE, "%s: ", l->file);
    va_start(values, format);
    vsnprintf(l->message + n, TOKENIZER_MESSAGE - n, format, values);
    va_end(values);
    return 0;
}

static int equals(span s, const char *text) {
    return s.text && json_is(s.text, s.bytes, text);
}

static int has_type(loader *l, const char *what, span type, const char *supported) {
    if (equals(type, supported)) return 1;
    if (!type.text) return fail(l, "%s lacks its type", what);
    return fail(l, "%s %.*s is not supported", what, (int)(type.bytes < 64 ? type.bytes : 64), type.text);
}

/* Returns the array with room for another element, or NULL. Its capacity is always a power of two. */
static void *with_room(loader *l, void *array, size_t count, size_t element_bytes) {
    void *larger = array;
    if ((count & (count - 1)) == 0) larger = realloc(array, (count ? 2 * count : 1) * element_bytes);
    if (!larger) fail(l, "out of memory");
    return larger;
}

/* Keeps memory until the tokenizer is closed. */
static int keep(loader *l, void *memory) {
    void **kept = with_room(l, l->t->kept, l->t->kept_count, sizeof *kept);
    if (!kept) {
        free(memory);
        return 0;
    }
    l->t->kept = kept;
    kept[l->t->kept_count++] = memory;
    return 1;
}

/* Reads a file of the directory. Returns NULL after a failure, and where there is no such file. */
static char *read_file(loader *l, const char *name, size_t *bytes) {
    char path[4096], *text = NULL;
    long size = -1;
    FILE *file;
    l->file = name;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", l->directory, name) >= sizeof path)
        fail(l, "the path is too long");
    file = l->message[0] ? NULL : fopen(path, "rb");
    if (!file && errno != ENOENT) fail(l, "cannot open: %s", strerror(errno));
    if (!file) return NULL;
    if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size > LARGEST_FILE) fail(l, "the file is larger than 256 MiB");
    if (size >= 0 && size <= LARGEST_FILE && fseek(file, 0, SEEK_SET) == 0) text = malloc((size_t)size + 1);
    *bytes = text ? fread(text, 1, (size_t)size, file) : 0;
    fclose(file);
    if (!text || *bytes != (size_t)size) fail(l, "cannot read the file");
    if (!text || !keep(l, text) || l->message[0]) return NULL;
    text[*bytes] = 0;
    return text;
}

/* ---- tokens and merges -------------------------------------------------------------------------------------- */

static void see_id(loader *l, int32_t id) {
    if ((size_t)id >= l->t->vocabulary) l->t->vocabulary = (size_t)id + 1;
}

static void add_token(loader *l, span s, int32_t id) {
    see_id(l, id);
    if (!token_add(&l->t->tokens, s, id)) fail(l, "out of memory");
}

static const added_token *find_added(const tokenizer *t, span s) {
    size_t i;
    for (i = 0; i < t->added_count; i++) {
        const span other = t->added[i].s;
        if (other.bytes == s.bytes && memcmp(other.text, s.text, s.bytes) == 0) return &t->added[i];
    }
    return NULL;
}

static int32_t find_id(const tokenizer *t, span s) {
    const span none = {"", 0};
    const token *found = s.text ? token_find(&t->tokens, none, s) : NULL;
    const added_token *added = s.text && !found ? find_added(t, s) : NULL;
    return found ? found->id : added ? added->id : -1;
}

static void add_added(loader *l, const added_token *a) {
    added_token *added = with_room(l, l->t->added, l->t->added_count, sizeof *added);
    if (!added) return;
    l->t->added = added;
    added[l->t->added_count++] = *a;
    see_id(l, a->id);
}

static void add_merge(loader *l, span left, span right) {
    const span both[2] = {left, right};
    size_t i;
    for (i = 0; i < 2; i++) {
        span *merges = with_room(l, l->merges, l->merge_span_count, sizeof *merges);
        if (!merges) return;
        l->merges = merges;
        merges[l->merge_span_count++] = both[i];
    }
}

static void split_merge(loader *l, span s) {
    const char *blank = memchr(s.text, ' ', s.bytes);
    const size_t left_bytes = blank ? (size_t)(blank - s.text) : s.bytes;
    const span left = {s.text, left_bytes}, right = {s.text + left_bytes + 1, s.bytes - left_bytes - 1};
    if (!blank || memchr(right.text, ' ', right.bytes)) {
        fail(l, "merge %zu: expected two tokens with a blank between them", l->merge_span_count / 2 + 1);
    } else {
        add_merge(l, left, right);
    }
}

/* ---- JSON --------------------------------------------------------------------------------------------------- */

static span value_text(const loader *l) {
    span s;
    s.text = l->j.string, s.bytes = l->j.string_bytes;
    return s;
}

static int32_t value_id(loader *l, json_kind kind) {
    const double number = kind == JSON_NUMBER ? l->j.number : -1;
    if (number >= 0 && number < INT32_MAX && (double)(int32_t)number == number) return (int32_t)number;
    fail(l, "expected an integer from 0 to 2147483646 at byte %zu", json_position(&l->j));
    return 0;
}

static void read_vocabulary(loader *l, json_kind kind) {
    if (kind != JSON_OBJECT) fail(l, "the vocabulary is not an object");
    while (!l->message[0] && json_member(&l->j)) {
        span s;
        s.text = l->j.key, s.bytes = l->j.key_bytes;
        add_token(l, s, value_id(l, json_value(&l->j)));
    }
}

/* A merge is "a b", or since 2024 ["a","b"]. */
static void read_merges(loader *l, json_kind kind) {
    if (kind != JSON_ARRAY) fail(l, "the merges are not an array");
    while (!l->message[0] && json_element(&l->j)) {
        span both[2];
        size_t i = 0;
        kind = json_value(&l->j);
        while (kind == JSON_ARRAY && json_element(&l->j)) {
            if (json_value(&l->j) == JSON_STRING && i < 2) both[i++] = value_text(l);
        }
        if (kind == JSON_STRING) {
            split_merge(l, value_text(l));
        } else if (i == 2) {
            add_merge(l, both[0], both[1]);
        } else {
            fail(l, "merge %zu: expected two tokens", l->merge_span_count / 2 + 1);
        }
    }
}

/* Where settings are found, and where they go. [] stands for the elements of an array. */
#define TO(member) offsetof(loader, member)
static const struct setting {
    const char *path;
    enum { TEXT, FLAG, ID, REFUSED } kind; /* REFUSED: not supported, unless it is off or empty */
    size_t offset;                         /* of a span, an int or an int32_t */
} settings[] = {
    {"normalizer", REFUSED, 0},
    {"normalizer.type", TEXT, TO(normalizer)},
    {"normalizer.clean_text", FLAG, TO(normal.clean)},
    {"normalizer.handle_chinese_chars", FLAG, TO(normal.blanks_around_ideographs)},
    {"normalizer.strip_accents", FLAG, TO(normal.strips_accents)},
    {"normalizer.lowercase", FLAG, TO(normal.lowers)},
    {"pre_tokenizer", REFUSED, 0},
    {"pre_tokenizer.type", TEXT, TO(pre_tokenizer)},
    {"pre_tokenizer.add_prefix_space", FLAG, TO(adds_space)},
    {"pre_tokenizer.use_regex", FLAG, TO(uses_regex)},
    {"post_processor", REFUSED, 0},
    {"post_processor.type", TEXT, TO(post_processor)},
    {"post_processor.cls[]", TEXT, TO(cls)},
    {"post_processor.sep[]", TEXT, TO(sep)},
    {"template[].SpecialToken.id", TEXT, TO(item.name)},
    {"template[].SpecialToken.type_id", ID, TO(item.type)},
    {"template[].Sequence.id", TEXT, TO(text_name)},
    {"template[].Sequence.type_id", ID, TO(item.type)},
    {"model.type", TEXT, TO(model)},
    {"model.unk_token", TEXT, TO(unknown)},
    {"model.continuing_subword_prefix", TEXT, TO(prefix)},
    {"model.max_input_chars_per_word", ID, TO(longest_word)},
    {"model.dropout", REFUSED, 0},
    {"model.end_of_word_suffix", REFUSED, 0},
    {"model.fuse_unk", REFUSED, 0},
    {"model.byte_fallback", REFUSED, 0},
    {"model.ignore_merges", REFUSED, 0},
    {"padding.pad_token", TEXT, TO(pad)},
    {"added[].id", ID, TO(added.id)},
    {"added[].content", TEXT, TO(added.s)},
    {"added[].single_word", FLAG, TO(added.single_word)},
    {"added[].lstrip", FLAG, TO(added.takes_left)},
    {"added[].rstrip", FLAG, TO(added.takes_right)},
    {"added[].normalized", FLAG, TO(added.is_normalized)},
    {"config.do_lower_case", FLAG, TO(normal.lowers)},
    {"config.strip_accents", FLAG, TO(normal.strips_accents)},
    {"config.tokenize_chinese_chars", FLAG, TO(normal.blanks_around_ideographs)},
    {"config.add_prefix_space", FLAG, TO(adds_space)},
    {"config.unk_token", TEXT, TO(unknown)},
    {"config.cls_token", TEXT, TO(cls)},
    {"config.sep_token", TEXT, TO(sep)},
    {"config.pad_token", TEXT, TO(pad)},
    {"config.mask_token", TEXT, TO(mask)},
};

/* Takes a value that is no object and no array. */
static void set(loader *l, const char *path, json_kind kind) {
    size_t i;
    for (i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct setting *s = &settings[i];
        void *target = (char *)l + s->offset;
        if (strcmp(path, s->path) != 0 || kind == JSON_NULL) continue;
        if (s->kind == TEXT && kind == JSON_STRING) *(span *)target = value_text(l);
        if (s->kind == FLAG) *(int *)target = kind == JSON_TRUE;
        if (s->kind == ID) *(int32_t *)target = value_id(l, kind);
        if (s->kind == REFUSED && json_skip(&l->j, kind)) fail(l, "%s is not supported", path);
    }
    if (strcmp(path, "post_processor.type") == 0) {
        l->is_roberta |= equals(l->post_processor, "RobertaProcessing");
        l->adds_special_tokens |= l->is_roberta || equals(l->post_processor, "BertProcessing");
    }
}

/* Acts at the end of an object or array. */
static void end(loader *l, const char *path) {
    static const added_token next_added = {{NULL, 0}, -1, 0, 0, 0, 0};
    static const template_item next_item = {{NULL, 0}, 0, 0};
    sequence_template *s = &l->sequence;
    if (strcmp(path, "added[]") == 0) {
        if (l->added.id < 0 || !l->added.s.bytes) fail(l, "an added token lacks its id or its content");
        if (!l->message[0]) add_added(l, &l->added);
        l->added = next_added;
    } else if (strcmp(path, "template[]") == 0) {
        if (l->text_name.text) l->item.id = equals(l->text_name, "B") ? SECOND_TEXT : FIRST_TEXT;
        if (s->count == TEMPLATE_ITEMS) fail(l, "a template has more than %d items", TEMPLATE_ITEMS);
        if (s->count < TEMPLATE_ITEMS) s->items[s->count++] = l->item;
        l->item = next_item;
        l->text_name.text = NULL;
    } else if (strcmp(path, "post_processor.single") == 0 || strcmp(path, "post_processor.pair") == 0) {
        *(path[15] == 's' ? &l->t->single : &l->t->pair) = *s;
        s->count = 0;
    } else if (strcmp(path, "normalizer") == 0) {
        l->has_normalizer = has_type(l, path, l->normalizer, "BertNormalizer");
    } else if (strcmp(path, "post_processor") == 0 && !equals(l->post_processor, "TemplateProcessing") &&
               !equals(l->post_processor, "BertProcessing") && !equals(l->post_processor, "RobertaProcessing") &&
               !equals(l->post_processor, "Sequence")) {
        has_type(l, path, l->post_processor, "ByteLevel"); /* which changes only offsets */
    }
}

/* Makes the path of a member or an element. Some parts of the file hold the same things, so they share a path. */
static void make_path(loader *l, char *child, const char *path, json_kind kind) {
    static const char *const shared[][2] = {{"added_tokens[]", "added[]"},
                                            {"post_processor.processors[]", "post_processor"},
                                            {"post_processor.single[]", "template[]"},
                                            {"post_processor.pair[]", "template[]"}};
    size_t i;
    if (strcmp(path, "config.added_tokens_decoder") == 0) { /* its keys are ids */
        const long id = strtol(l->j.key, NULL, 10);
        l->added.id = id >= 0 && id < INT32_MAX ? (int32_t)id : -1;
        path = "added_tokens", kind = JSON_ARRAY;
    }
    if (kind == JSON_ARRAY) snprintf(child, PATH_BYTES, "%s[]", path);
    if (kind == JSON_OBJECT) snprintf(child, PATH_BYTES, "%s%s%s", path, *path ? "." : "", l->j.key);
    for (i = 0; i < sizeof shared / sizeof *shared; i++) {
        if (strcmp(child, shared[i][0]) == 0) strcpy(child, shared[i][1]);
    }
    if (kind == JSON_OBJECT && strncmp(path, "config.", 7) == 0 && json_is(l->j.key, l->j.key_bytes, "content")) {
        strcpy(child, path); /* a token is its content, or an object with it */
    }
}

static void read_value(loader *l, const char *path) {
    const json_kind kind = json_value(&l->j);
    char child[PATH_BYTES];
    if (strcmp(path, "model.vocab") == 0) {
        if (!equals(l->model, "BPE") && l->model.text) has_type(l, "model", l->model, "WordPiece");
        read_vocabulary(l, kind);
    } else if (strcmp(path, "model.merges") == 0) {
        read_merges(l, kind);
    } else if (kind != JSON_OBJECT && kind != JSON_ARRAY) {
        set(l, path, kind);
    } else {
        while (!l->message[0] && (kind == JSON_OBJECT ? json_member(&l->j) : json_element(&l->j))) {
            make_path(l, child, path, kind);
            read_value(l, child);
        }
        if (!l->message[0] && !l->j.fault) end(l, path);
    }
}

/* Parses a file, if there is one. path is that of its top value. */
static int parse(loader *l, const char *name, const char *path) {
    size_t bytes;
    char *text = read_file(l, name, &bytes);
    if (!text) return 0;
    json_begin(&l->j, text, bytes);
    read_value(l, path);
    if (!l->message[0]) json_end(&l->j);
    if (l->j.fault) fail(l, "%s at byte %zu", l->j.fault, json_position(&l->j));
    return 1;
}

/* ---- vocab.txt, vocab.json and merges.txt, tokenizer_config.json --------------------------------------------- */

/* Takes the lines of vocab.txt, or of merges.txt, if there is such a file. */
static int read_lines(loader *l, const char *name, int is_vocabulary) {
    size_t bytes, i, start = 0;
    const char *text = read_file(l, name, &bytes);
    int32_t number = 0;
    if (!text) return 0;
    if (!is_utf8(text, bytes)) return fail(l, "the file is not UTF-8");
    for (i = 0; i <= bytes && !l->message[0]; i++) {
        span line = {text + start, i - start};
        if (i < bytes ? text[i] != '\n' : start == bytes) continue;
        while (line.bytes && strchr(" \t\r", line.text[line.bytes - 1])) line.bytes--;
        start = i + 1;
        if (is_vocabulary) {
            add_token(l, line, number);
        } else if (line.bytes && (number || *line.text != '#')) { /* the first line is a comment with the version */
            split_merge(l, line);
        }
        number++;
    }
    return 1;
}

static span text_of(const char *text) {
    span s;
    s.text = text, s.bytes = strlen(text);
    return s;
}

static void open_plain(loader *l) {
    static const char *const names[2][5] = {{"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"},
                                            {"<unk>", "<s>", "</s>", "<pad>", "<mask>"}};
    span *const tokens[5] = {&l->unknown, &l->cls, &l->sep, &l->pad, &l->mask};
    const char *vocabulary = "vocab.txt";
    size_t i;
    if (!read_lines(l, vocabulary, 1) && !l->message[0]) {
        vocabulary = "vocab.json";
        l->is_roberta = parse(l, vocabulary, "model.vocab") && read_lines(l, "merges.txt", 0);
        if (!l->is_roberta) fail(l, "no such file, and no tokenizer.json or vocab.txt");
    }
    l->adds_special_tokens = 1;
    l->model = text_of(l->is_roberta ? "BPE" : "WordPiece");
    l->pre_tokenizer = text_of(l->is_roberta ? "ByteLevel" : "BertPreTokenizer");
    l->has_normalizer = !l->is_roberta;
    for (i = 0; i < 5; i++) *tokens[i] = text_of(names[l->is_roberta][i]);
    if (!l->message[0]) parse(l, "tokenizer_config.json", "config");
    if (!l->message[0]) l->file = vocabulary; /* for messages */
    for (i = 0; i < 5; i++) {
        added_token a = {*tokens[i], find_id(l->t, *tokens[i]), 0, 0, 0, 0};
        a.takes_left = l->is_roberta && tokens[i] == &l->mask; /* <mask> stands for a word and the blank before it */
        if (a.id >= 0 && !find_added(l->t, *tokens[i])) add_added(l, &a);
    }
}

/* ---- what follows from the settings ------------------------------------------------------------------------- */

static void finish_model(loader *l) {
    tokenizer *t = l->t;
    size_t i;
    t->is_bpe = equals(l->model, "BPE") || (!l->model.text && l->merges); /* old files have no type */
    t->unknown = find_id(t, l->unknown);
    t->padding = find_id(t, l->pad);
    if (t->padding < 0) t->padding = find_id(t, text_of("[PAD]"));
    if (t->padding < 0) t->padding = find_id(t, text_of("<pad>"));
    if (t->padding < 0) t->padding = 0;
    if (!t->tokens.count) fail(l, "the vocabulary is empty");
    if (!t->is_bpe) {
        if (l->model.text || l->longest_word < 0) has_type(l, "model", l->model, "WordPiece");
        has_type(l, "pre_tokenizer before WordPiece", l->pre_tokenizer, "BertPreTokenizer");
        if (l->longest_word > LONGEST_WORD) fail(l, "max_input_chars_per_word is more than %d", LONGEST_WORD);
        t->wordpiece.longest_word = l->longest_word < 0 ? 100 : (size_t)l->longest_word;
        if (!l->prefix.text) l->prefix = text_of("##");
        t->wordpiece.prefix = l->prefix;
        return;
    }
    has_type(l, "pre_tokenizer before BPE", l->pre_tokenizer, "ByteLevel");
    if (l->prefix.bytes) fail(l, "model.continuing_subword_prefix is not supported");
    t->bpe.adds_space = l->adds_space;
    if (!l->uses_regex) fail(l, "pre_tokenizer.use_regex must not be off");
    if (!bpe_begin(&t->bpe, &t->tokens, l->merge_span_count / 2)) fail(l, "out of memory");
    for (i = 0; i + 1 < l->merge_span_count && !l->message[0]; i += 2) {
        if (!bpe_add_merge(&t->bpe, &t->tokens, l->merges[i], l->merges[i + 1])) {
            fail(l, "merge %zu: the vocabulary lacks one of its tokens, or the merged token", i / 2 + 1);
        }
    }
}

/* [CLS] A [SEP], or with a pair [CLS] A [SEP] B [SEP]; RoBERTa has two separators between the texts, and no types. */
static void set_templates(loader *l) {
    const span names[6] = {l->cls, {NULL, 0}, l->sep, l->sep, {NULL, 0}, l->sep};
    tokenizer *t = l->t;
    int i;
    for (i = 0; i < 6; i++) {
        template_item item = {names[i], i == 1 ? FIRST_TEXT : i == 4 ? SECOND_TEXT : 0, 0};
        item.type = !l->is_roberta && i > 3;
        if (item.id == 0 && !l->adds_special_tokens) continue;
        if (i < 3) t->single.items[t->single.count++] = item;
        if (i != 3 || l->is_roberta) t->pair.items[t->pair.count++] = item;
    }
}

/* Finds the ids of the special tokens. Each text must be there once. */
static void finish_template(loader *l, sequence_template *s, int text_count) {
    int counts[2] = {0, 0};
    size_t i;
    for (i = 0; i < s->count; i++) {
        template_item *item = &s->items[i];
        if (item->id < 0) counts[item->id == SECOND_TEXT]++;
        if (item->id < 0) continue;
        item->id = find_id(l->t, item->name);
        if (item->id < 0) fail(l, "the vocabulary lacks a special token of the template");
    }
    if (counts[0] != 1 || counts[1] != text_count - 1) fail(l, "a template must have each text once");
}

/* Sorts the added tokens into those found in raw text and those found in normalized text, which are normalized, too. */
static void finish_added(loader *l) {
    const span none = {"", 0};
    tokenizer *t = l->t;
    size_t i;
    for (i = 0; i < t->added_count && !l->message[0]; i++) {
        added_token *a = &t->added[i];
        added_set *set_of = a->is_normalized ? &t->normalized : &t->raw;
        text_buffer normal = {NULL, 0, 0};
        const token *known = token_find(&t->tokens, none, a->s);
        span s = a->s;
        if (known) a->id = known->id; /* rather than that of the added token, as in the reference */
        if (a->is_normalized) {
            if (!normalize(&t->normalizer, s, &normal)) fail(l, "out of memory");
            if (!keep(l, normal.text)) return;
            s.text = normal.text, s.bytes = normal.bytes;
        }
        if (!s.bytes || s.bytes > LONGEST_WORD) {
            fail(l, "an added token is empty or longer than %d bytes", LONGEST_WORD);
        } else if (!token_add(&set_of->table, s, (int32_t)i)) {
            fail(l, "out of memory");
        } else {
            set_of->starts[(unsigned char)*s.text] = 1;
        }
    }
}

tokenizer *tokenizer_open(const char *directory, char message[TOKENIZER_MESSAGE]) {
    loader l;
    memset(&l, 0, sizeof l);
    l.directory = directory, l.file = "tokenizer.json", l.message = message;
    l.normal.clean = l.normal.blanks_around_ideographs = l.normal.lowers = l.uses_regex = 1;
    l.normal.strips_accents = l.longest_word = l.added.id = -1;
    message[0] = 0;
    l.t = calloc(1, sizeof *l.t);
    if (!l.t) fail(&l, "out of memory");
    if (!l.t) return NULL;
    if (!parse(&l, l.file, "") && !message[0]) open_plain(&l);
    if (l.normal.strips_accents < 0) l.normal.strips_accents = l.normal.lowers;
    if (l.has_normalizer) l.t->normalizer = l.normal;
    if (l.t->single.count == 0) set_templates(&l);
    if (!message[0]) finish_model(&l);
    if (!message[0]) finish_template(&l, &l.t->single, 1);
    if (!message[0]) finish_template(&l, &l.t->pair, 2);
    if (!message[0]) finish_added(&l);
    free(l.merges);
    if (!message[0]) return l.t;
    tokenizer_close(l.t);
    return NULL;
}
