/* tokenizer_load.c: reads tokenizer.json, or the older files. What this tokenizer does not do is refused by name. */
#include "examples/common/json.h"
#include "examples/common/text.h"
#include "tokenizer.h"
#include "tokens.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 28 }; /* bytes; the largest vocabularies have 20 MB */

typedef struct string {
    const char *text; /* NULL if it was not found */
    size_t bytes;
} string;

typedef struct merge_text {
    string left, right;
} merge_text;

typedef struct loader {
    tokenizer *t;
    json_reader j;
    const char *directory, *file;
    char *message; /* empty until something fails */
    merge_text *merges;
    size_t merge_count;
    string pre_tokenizer, model, unknown, prefix, cls, sep, padding, mask;
    int32_t longest_word;
    int adds_special_tokens, is_roberta; /* without a template: [CLS] and [SEP], in BERT's or RoBERTa's way */
    int clean, splits_ideographs, strips_accents, lowers;
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

static int out_of_memory(loader *l) {
    return fail(l, "out of memory");
}

/* Returns the array with room for another element, or NULL. Its capacity is always a power of two. */
static void *with_room(loader *l, void *array, size_t count, size_t element_bytes) {
    void *larger;
    if (count & (count - 1)) return array;
    larger = realloc(array, (count ? 2 * count : 1) * element_bytes);
    if (!larger) out_of_memory(l);
    return larger;
}

/* Frees the memory with the tokenizer. */
static int own(loader *l, void *memory) {
    void **owned = with_room(l, l->t->owned, l->t->owned_count, sizeof *owned);
    if (!owned) {
        free(memory);
        return 0;
    }
    l->t->owned = owned;
    owned[l->t->owned_count++] = memory;
    return 1;
}

/* Reads a file of the directory. Returns NULL after a failure, and where there is no such file. */
static char *read_file(loader *l, const char *name, size_t *bytes) {
    char path[4096], *text = NULL;
    size_t n = 0, capacity = 0;
    FILE *file;
    l->file = name;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", l->directory, name) >= sizeof path) {
        return (void)fail(l, "the path is too long"), NULL;
    }
    file = fopen(path, "rb");
    if (!file) return errno == ENOENT ? NULL : ((void)fail(l, "cannot open: %s", strerror(errno)), NULL);
    do {
        char *larger = capacity > LARGEST_FILE ? NULL : realloc(text, capacity = capacity ? 2 * capacity : 1 << 16);
        if (!larger) {
            fail(l, capacity > LARGEST_FILE ? "larger than 256 MiB" : "out of memory");
            break;
        }
        text = larger;
        n += fread(text + n, 1, capacity - 1 - n, file);
    } while (n == capacity - 1);
    if (ferror(file)) fail(l, "cannot read: %s", strerror(errno));
    fclose(file);
    if (l->message[0]) {
        free(text);
        return NULL;
    }
    text[n] = 0;
    *bytes = n;
    return own(l, text) ? text : NULL;
}

/* ---- values of JSON ----------------------------------------------------------------------------------------- */

static int key_is(const loader *l, const char *key) {
    return json_is(l->j.key, l->j.key_bytes, key);
}

static int equals(string s, const char *text) {
    return s.text && json_is(s.text, s.bytes, text);
}

/* Enters an object or array. Returns 0 for null, and after a failure. */
static int enter(loader *l, const char *what, json_kind kind) {
    const json_kind found = json_value(&l->j);
    if (found == kind) return 1;
    if (found != JSON_NULL && found != JSON_FAULT) {
        fail(l, "%s: expected %s", what, kind == JSON_OBJECT ? "an object" : "an array");
    }
    json_skip(&l->j, found);
    return 0;
}

static void read_string(loader *l, string *s) {
    const json_kind kind = json_value(&l->j);
    if (kind == JSON_STRING)
        s->text = l->j.string, s->bytes = l->j.string_bytes;
    else
        json_skip(&l->j, kind);
}

/* null leaves the flag as it is. */
static void read_flag(loader *l, int *flag) {
    const json_kind kind = json_value(&l->j);
    if (kind == JSON_TRUE || kind == JSON_FALSE)
        *flag = kind == JSON_TRUE;
    else if (kind != JSON_NULL)
        fail(l, "expected true or false at byte %zu", json_position(&l->j));
}

static int32_t read_id(loader *l) {
    if (json_value(&l->j) == JSON_NUMBER && l->j.number >= 0 && l->j.number < INT32_MAX) {
        const int32_t id = (int32_t)l->j.number;
        if ((double)id == l->j.number) return id;
    }
    return fail(l, "expected an id, an integer from 0 to 2147483646, at byte %zu", json_position(&l->j));
}

typedef struct field {
    const char *key;
    enum { TEXT, FLAG, ID, REFUSED } kind; /* REFUSED: an option that is not supported, unless it is off */
    void *target;                          /* a string, an int or an int32_t */
} field;

/* Reads the value of the last key. Skips it if `fields` lacks the key. */
static void read_field(loader *l, const field *fields, size_t count) {
    size_t i = 0;
    while (i < count && !key_is(l, fields[i].key)) i++;
    if (i == count) {
        json_skip(&l->j, json_value(&l->j));
    } else if (fields[i].kind == TEXT) {
        read_string(l, fields[i].target);
    } else if (fields[i].kind == FLAG) {
        read_flag(l, fields[i].target);
    } else if (fields[i].kind == ID) {
        *(int32_t *)fields[i].target = read_id(l);
    } else if (json_skip(&l->j, json_value(&l->j))) {
        fail(l, "the option %s is not supported", fields[i].key);
    }
}

static void read_fields(loader *l, const field *fields, size_t count) {
    while (json_member(&l->j)) read_field(l, fields, count);
}

#define FIELDS(fields) fields, sizeof(fields) / sizeof *(fields)

static int has_type(loader *l, const char *what, string type, const char *supported) {
    if (equals(type, supported)) return 1;
    return fail(l, "%s %.*s is not supported", what, type.text ? (int)(type.bytes < 64 ? type.bytes : 64) : 12,
                type.text ? type.text : "without type");
}

/* ---- added tokens ------------------------------------------------------------------------------------------- */

static void see_id(tokenizer *t, int32_t id) {
    if ((size_t)id >= t->vocabulary) t->vocabulary = (size_t)id + 1;
}

static const added_token *find_added(const tokenizer *t, string s) {
    size_t i;
    for (i = 0; i < t->added_count; i++) {
        if (t->added[i].bytes == s.bytes && memcmp(t->added[i].text, s.text, s.bytes) == 0) return &t->added[i];
    }
    return NULL;
}

static int32_t find_id(const tokenizer *t, string s) {
    const token *found = s.text ? token_find(&t->tokens, "", 0, s.text, s.bytes) : NULL;
    const added_token *added = s.text && !found ? find_added(t, s) : NULL;
    return found ? found->id : added ? added->id : -1;
}

static int add_token(loader *l, const added_token *a) {
    added_token *added = with_room(l, l->t->added, l->t->added_count, sizeof *added);
    if (!added) return 0;
    l->t->added = added;
    added[l->t->added_count++] = *token;
    see_id(l->t, token->id);
    return 1;
}

/* Reads the token's object. The id is -1, or that of the key in added_tokens_decoder. */
static void read_added_token(loader *l, int32_t id) {
    added_token a = {NULL, 0, id, 0, 0, 0, 0};
    string content = {NULL, 0};
    const field fields[] = {{"id", ID, &a.id},
                            {"content", TEXT, &content},
                            {"single_word", FLAG, &a.single_word},
                            {"lstrip", FLAG, &a.takes_left},
                            {"rstrip", FLAG, &a.takes_right},
                            {"normalized", FLAG, &a.is_normalized}};
    if (!enter(l, "added token", JSON_OBJECT)) return;
    read_fields(l, FIELDS(fields));
    a.text = content.text, a.bytes = content.bytes;
    if (!a.bytes || a.id < 0) {
        fail(l, "an added token lacks its id or its content");
    } else {
        add_token(l, &a);
    }
}

static int add_to_set(loader *l, added_set *set, const char *text, size_t bytes, size_t index) {
    if (bytes == 0 || bytes > LONGEST_WORD) return fail(l, "an added token is empty or longer than 1000 bytes");
    set->starts[(unsigned char)*text] = 1;
    return token_add(&set->table, text, bytes, (int32_t)index) || out_of_memory(l);
}

/* Sorts the added tokens into those found in raw text and those found in normalized text, which are normalized, too. */
static int finish_added(loader *l) {
    tokenizer *t = l->t;
    size_t i;
    for (i = 0; i < t->added_count; i++) {
        added_token *a = &t->added[i];
        const string content = {a->text, a->bytes};
        text_buffer normal = {NULL, 0, 0};
        a->id = find_id(t, content); /* where the vocabulary has the token, its id counts */
        if (!a->is_normalized) {
            if (!add_to_set(l, &t->raw, a->text, a->bytes, i)) return 0;
        } else {
            if (!normalize(&t->normalizer, a->text, a->bytes, &normal)) return out_of_memory(l);
            if (!own(l, normal.text) || !add_to_set(l, &t->normalized, normal.text, normal.bytes, i)) return 0;
        }
    }
    return 1;
}

/* ---- tokenizer.json ----------------------------------------------------------------------------------------- */

static void read_normalizer(loader *l) {
    string type = {NULL, 0};
    const field fields[] = {{"type", TEXT, &type},
                            {"clean_text", FLAG, &l->clean},
                            {"handle_chinese_chars", FLAG, &l->splits_ideographs},
                            {"strip_accents", FLAG, &l->strips_accents},
                            {"lowercase", FLAG, &l->lowers}};
    l->clean = l->splits_ideographs = l->lowers = 1;
    if (enter(l, "normalizer", JSON_OBJECT)) {
        read_fields(l, FIELDS(fields));
        has_type(l, "normalizer", type, "BertNormalizer");
    } else {
        l->clean = l->splits_ideographs = l->strips_accents = l->lowers = 0;
    }
}

static void read_pre_tokenizer(loader *l) {
    int uses_regex = 1;
    const field fields[] = {{"type", TEXT, &l->pre_tokenizer},
                            {"add_prefix_space", FLAG, &l->t->bpe.adds_space},
                            {"use_regex", FLAG, &uses_regex}};
    if (!enter(l, "pre_tokenizer", JSON_OBJECT)) return;
    read_fields(l, FIELDS(fields));
    if (!uses_regex) fail(l, "a pre-tokenizer without its regular expression is not supported");
}

/* Items are {"SpecialToken":{"id":"[CLS]","type_id":0}} and {"Sequence":{"id":"A","type_id":0}}. */
static void read_template(loader *l, sequence_template *s) {
    s->count = 0;
    if (!enter(l, "template", JSON_ARRAY)) return;
    while (json_element(&l->j)) {
        template_item item = {NULL, 0, 0, 0};
        string id = {NULL, 0};
        const field fields[] = {{"id", TEXT, &id}, {"type_id", ID, &item.type}};
        if (!enter(l, "template item", JSON_OBJECT) || !json_member(&l->j)) return;
        if (key_is(l, "Sequence")) item.id = SECOND_TEXT;
        if (!enter(l, "template item", JSON_OBJECT)) return;
        read_fields(l, FIELDS(fields));
        if (item.id == SECOND_TEXT && equals(id, "A")) item.id = FIRST_TEXT;
        item.name = id.text, item.name_bytes = id.bytes;
        if (json_member(&l->j) || s->count == TEMPLATE_ITEMS) {
            fail(l, "a template has more than %d items", TEMPLATE_ITEMS);
            return;
        }
        s->items[s->count++] = item;
    }
}

/* ["[SEP]",102] */
static void read_named_id(loader *l, string *name) {
    if (!enter(l, "special token", JSON_ARRAY)) return;
    if (json_element(&l->j)) read_string(l, name);
    while (json_element(&l->j)) read_id(l);
}

static void read_post_processor(loader *l) {
    string type = {NULL, 0};
    const field fields[] = {{"type", TEXT, &type}};
    if (!enter(l, "post_processor", JSON_OBJECT)) return;
    while (json_member(&l->j)) {
        if (key_is(l, "single") || key_is(l, "pair")) {
            read_template(l, key_is(l, "pair") ? &l->t->pair : &l->t->single);
        } else if (key_is(l, "cls") || key_is(l, "sep")) {
            read_named_id(l, key_is(l, "cls") ? &l->cls : &l->sep);
        } else if (key_is(l, "processors") && enter(l, "processors", JSON_ARRAY)) {
            while (json_element(&l->j)) read_post_processor(l);
        } else {
            read_field(l, FIELDS(fields));
        }
    }
    l->is_roberta |= equals(type, "RobertaProcessing");
    l->adds_special_tokens |= l->is_roberta || equals(type, "BertProcessing");
    if (l->adds_special_tokens || equals(type, "TemplateProcessing") || equals(type, "Sequence")) return;
    has_type(l, "post-processor", type, "ByteLevel"); /* which changes only offsets */
}

static void read_vocabulary(loader *l) {
    if (!enter(l, "vocab", JSON_OBJECT)) return;
    while (json_member(&l->j)) {
        const string s = {l->j.key, l->j.key_bytes};
        const int32_t id = read_id(l);
        if (l->message[0]) return;
        see_id(l->t, id);
        if (!token_add(&l->t->tokens, s.text, s.bytes, id)) out_of_memory(l);
    }
}

static void add_merge(loader *l, string left, string right) {
    merge_text *merges = with_room(l, l->merges, l->merge_count, sizeof *merges);
    if (!merges) return;
    l->merges = merges;
    merges[l->merge_count].left = left, merges[l->merge_count++].right = right;
}

static void split_merge(loader *l, const char *text, size_t bytes) {
    const char *blank = memchr(text, ' ', bytes);
    const string left = {text, blank ? (size_t)(blank - text) : 0};
    const string right = {blank + 1, bytes - left.bytes - 1};
    if (!blank || memchr(right.text, ' ', right.bytes)) {
        fail(l, "merge %zu: expected two tokens with a blank between them", l->merge_count + 1);
    } else {
        add_merge(l, left, right);
    }
}

/* Merges are "a b", or since 2024 ["a","b"]. */
static void read_merges(loader *l) {
    if (!enter(l, "merges", JSON_ARRAY)) return;
    while (json_element(&l->j) && !l->message[0]) {
        const json_kind kind = json_value(&l->j);
        string both[2] = {{NULL, 0}, {NULL, 0}};
        size_t i = 0;
        if (kind == JSON_STRING) {
            split_merge(l, l->j.string, l->j.string_bytes);
            continue;
        }
        while (kind == JSON_ARRAY && json_element(&l->j)) read_string(l, &both[i++ > 0]);
        if (i != 2 || !both[0].text || !both[1].text) {
            fail(l, "merge %zu: expected two tokens", l->merge_count + 1);
            return;
        }
        add_merge(l, both[0], both[1]);
    }
}

static void read_model(loader *l) {
    const field fields[] = {{"type", TEXT, &l->model},
                            {"unk_token", TEXT, &l->unknown},
                            {"continuing_subword_prefix", TEXT, &l->prefix},
                            {"max_input_chars_per_word", ID, &l->longest_word},
                            {"dropout", REFUSED, NULL},
                            {"end_of_word_suffix", REFUSED, NULL},
                            {"fuse_unk", REFUSED, NULL},
                            {"byte_fallback", REFUSED, NULL},
                            {"ignore_merges", REFUSED, NULL}};
    if (!enter(l, "model", JSON_OBJECT)) return;
    while (json_member(&l->j)) {
        if (key_is(l, "vocab")) {
            if (l->model.text && !equals(l->model, "BPE") && !has_type(l, "model", l->model, "WordPiece")) return;
            read_vocabulary(l);
        } else if (key_is(l, "merges")) {
            read_merges(l);
        } else {
            read_field(l, FIELDS(fields));
        }
    }
}

static void read_padding(loader *l) {
    const field fields[] = {{"pad_token", TEXT, &l->padding}, {"pad_id", ID, &l->t->padding}};
    if (enter(l, "padding", JSON_OBJECT)) read_fields(l, FIELDS(fields));
}

static void read_tokenizer(loader *l) {
    const field none[] = {{"version", TEXT, NULL}};
    if (!enter(l, "the file", JSON_OBJECT)) return;
    while (json_member(&l->j) && !l->message[0]) {
        if (key_is(l, "normalizer")) {
            read_normalizer(l);
        } else if (key_is(l, "pre_tokenizer")) {
            read_pre_tokenizer(l);
        } else if (key_is(l, "post_processor")) {
            read_post_processor(l);
        } else if (key_is(l, "model")) {
            read_model(l);
        } else if (key_is(l, "padding")) {
            read_padding(l);
        } else if (key_is(l, "added_tokens") && enter(l, "added_tokens", JSON_ARRAY)) {
            while (json_element(&l->j)) read_added_token(l, -1);
        } else {
            read_field(l, none, 0);
        }
    }
}

/* ---- vocab.txt, vocab.json and merges.txt, tokenizer_config.json --------------------------------------------- */

/* Reads "[SEP]" or {"content":"[SEP]",...}. */
static void read_token_name(loader *l, string *name) {
    const field fields[] = {{"content", TEXT, name}};
    const json_kind kind = json_value(&l->j);
    if (kind == JSON_STRING) {
        name->text = l->j.string, name->bytes = l->j.string_bytes;
    } else if (kind == JSON_OBJECT) {
        read_fields(l, FIELDS(fields));
    } else {
        json_skip(&l->j, kind);
    }
}

static void read_config(loader *l) {
    static const char *const names[] = {"unk_token", "cls_token", "sep_token", "pad_token", "mask_token"};
    string *const targets[] = {&l->unknown, &l->cls, &l->sep, &l->padding, &l->mask};
    const field fields[] = {{"do_lower_case", FLAG, &l->lowers},
                            {"strip_accents", FLAG, &l->strips_accents},
                            {"tokenize_chinese_chars", FLAG, &l->splits_ideographs},
                            {"add_prefix_space", FLAG, &l->t->bpe.adds_space}};
    if (!enter(l, "the file", JSON_OBJECT)) return;
    while (json_member(&l->j)) {
        size_t i = 0;
        while (i < 5 && !key_is(l, names[i])) i++;
        if (i < 5) {
            read_token_name(l, targets[i]);
        } else if (key_is(l, "added_tokens_decoder") && enter(l, "added_tokens_decoder", JSON_OBJECT)) {
            while (json_member(&l->j)) read_added_token(l, (int32_t)strtol(l->j.key, NULL, 10));
        } else {
            read_field(l, FIELDS(fields));
        }
    }
}

/* Parses a file, if there is one. */
static int parse(loader *l, const char *name, void (*read)(loader *)) {
    size_t bytes;
    char *text = read_file(l, name, &bytes);
    if (!text) return 0;
    json_begin(&l->j, text, bytes);
    read(l);
    json_end(&l->j);
    if (l->j.fault) fail(l, "%s at byte %zu", l->j.fault, json_position(&l->j));
    return 1;
}

/* Calls read_line for the lines of a file, if there is one. */
static int read_lines(loader *l, const char *name, void (*read_line)(loader *, size_t, const char *, size_t)) {
    size_t bytes, i, start = 0, number = 0;
    const char *text = read_file(l, name, &bytes);
    if (!text) return 0;
    if (!is_utf8(text, bytes)) return fail(l, "the file is not UTF-8");
    for (i = 0; i <= bytes && !l->message[0]; i++) {
        size_t end = i;
        if (i < bytes ? text[i] != '\n' : start == bytes) continue;
        while (end > start && strchr(" \t\r", text[end - 1])) end--;
        read_line(l, number++, text + start, end - start);
        start = i + 1;
    }
    return 1;
}

static void read_vocabulary_line(loader *l, size_t number, const char *line, size_t bytes) {
    see_id(l->t, (int32_t)number);
    if (!token_add(&l->t->tokens, line, bytes, (int32_t)number)) out_of_memory(l);
}

static void read_merge_line(loader *l, size_t number, const char *line, size_t bytes) {
    if (bytes && (number || *line != '#')) split_merge(l, line, bytes); /* the first line can be "#version: 0.2" */
}

static string text_of(const char *text) {
    string s = {NULL, 0};
    s.text = text, s.bytes = strlen(text);
    return s;
}

static void set_names(loader *l, const char *unknown, const char *cls, const char *sep, const char *padding,
                      const char *mask) {
    l->unknown = text_of(unknown), l->cls = text_of(cls), l->sep = text_of(sep);
    l->padding = text_of(padding), l->mask = text_of(mask);
    l->adds_special_tokens = 1;
}

static void open_plain(loader *l) {
    const string *names[5];
    size_t i;
    if (read_lines(l, "vocab.txt", read_vocabulary_line)) {
        set_names(l, "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]");
        l->model = text_of("WordPiece"), l->pre_tokenizer = text_of("BertPreTokenizer");
        l->clean = l->splits_ideographs = l->lowers = 1;
    } else if (!l->message[0] && parse(l, "vocab.json", read_vocabulary) &&
               read_lines(l, "merges.txt", read_merge_line)) {
        set_names(l, "<unk>", "<s>", "</s>", "<pad>", "<mask>");
        l->model = text_of("BPE"), l->pre_tokenizer = text_of("ByteLevel"), l->is_roberta = 1;
    } else {
        fail(l, "there is no such file, and no tokenizer.json or vocab.txt");
    }
    if (!l->message[0]) parse(l, "tokenizer_config.json", read_config);
    names[0] = &l->unknown, names[1] = &l->cls, names[2] = &l->sep, names[3] = &l->padding, names[4] = &l->mask;
    for (i = 0; i < 5; i++) {
        added_token a = {names[i]->text, names[i]->bytes, find_id(l->t, *names[i]), 0, 0, 0, 0};
        a.takes_left = l->is_roberta && i == 4; /* <mask> stands for a word and the blank before it */
        if (a.id >= 0 && !find_added(l->t, *names[i])) add_token(l, &a);
    }
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

static void finish_model(loader *l) {
    tokenizer *t = l->t;
    size_t i;
    t->is_bpe = equals(l->model, "BPE") || (!l->model.text && l->merge_count); /* old files have no type */
    if (!t->tokens.count) fail(l, "the vocabulary is empty");
    if (!t->is_bpe) {
        if (l->model.text || l->longest_word < 0) has_type(l, "model", l->model, "WordPiece");
        has_type(l, "WordPiece after the pre-tokenizer", l->pre_tokenizer, "BertPreTokenizer");
        if (l->longest_word > LONGEST_WORD) fail(l, "max_input_chars_per_word is larger than %d", LONGEST_WORD);
        t->wordpiece.longest_word = l->longest_word < 0 ? 100 : (size_t)l->longest_word;
        if (!l->prefix.text) l->prefix = text_of("##");
        t->wordpiece.prefix = l->prefix.text, t->wordpiece.prefix_bytes = l->prefix.bytes;
        return;
    }
    if (l->prefix.bytes) fail(l, "the option continuing_subword_prefix is not supported");
    has_type(l, "BPE after the pre-tokenizer", l->pre_tokenizer, "ByteLevel");
    if (!bpe_begin(&t->bpe, &t->tokens, l->merge_count)) out_of_memory(l);
    for (i = 0; i < l->merge_count && !l->message[0]; i++) {
        const merge_text *m = &l->merges[i];
        if (!bpe_add_merge(&t->bpe, &t->tokens, m->left.text, m->left.bytes, m->right.text, m->right.bytes)) {
            fail(l, "merge %zu: the vocabulary lacks one of its tokens, or the merged token", i + 1);
        }
    }
}

/* [CLS] A [SEP], or with a pair [CLS] A [SEP] B [SEP]; RoBERTa has two separators between the texts, and no types. */
static void set_templates(loader *l) {
    const string names[6] = {l->cls, {NULL, 0}, l->sep, l->sep, {NULL, 0}, l->sep};
    tokenizer *t = l->t;
    int i;
    t->single.count = t->pair.count = 0;
    for (i = 0; i < 6; i++) {
        template_item item = {names[i].text, names[i].bytes, i == 1 ? FIRST_TEXT : i == 4 ? SECOND_TEXT : 0, 0};
        item.type = !l->is_roberta && i > 3;
        if (item.id >= 0 && !l->adds_special_tokens) continue;
        if (i < 3) t->single.items[t->single.count++] = item;
        if (i != 3 || l->is_roberta) t->pair.items[t->pair.count++] = item;
    }
}

/* Finds the ids of the template's special tokens. Each text must be there once. */
static void finish_template(loader *l, sequence_template *s, int text_count) {
    int first = 0, second = 0;
    size_t i;
    for (i = 0; i < s->count; i++) {
        template_item *item = &s->items[i];
        const string name = {item->name, item->name_bytes};
        first += item->id == FIRST_TEXT;
        second += item->id == SECOND_TEXT;
        if (item->id < 0) continue;
        item->id = find_id(l->t, name);
        if (item->id < 0) fail(l, "the vocabulary lacks a special token of the template");
    }
    if (first != 1 || second != text_count - 1) fail(l, "a template must have each text once");
}

tokenizer *tokenizer_open(const char *directory, char message[TOKENIZER_MESSAGE]) {
    loader l;
    memset(&l, 0, sizeof l);
    l.directory = directory, l.file = "tokenizer.json", l.message = message;
    l.longest_word = l.strips_accents = -1;
    message[0] = 0;
    l.t = calloc(1, sizeof *l.t);
    if (!l.t) return (void)out_of_memory(&l), NULL;
    l.t->padding = -1;
    if (!parse(&l, l.file, read_tokenizer) && !message[0]) open_plain(&l);
    l.t->normalizer.clean = l.clean, l.t->normalizer.blanks_around_ideographs = l.splits_ideographs;
    l.t->normalizer.strips_accents = l.strips_accents < 0 ? l.lowers : l.strips_accents; /* null follows lowercase */
    l.t->normalizer.lowers = l.lowers;
    l.t->unknown = find_id(l.t, l.unknown);
    if (l.t->padding < 0) l.t->padding = find_id(l.t, l.padding);
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
