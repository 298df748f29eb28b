/* load.c: reads tokenizer.json, or the older files. What this tokenizer does not do is refused by name. */
#include "examples/common/buffer.h"
#include "examples/common/text.h"
#include "tokens.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct loader {
    tokenizer *t;
    settings s; /* of the file that is being read */
    const char *file;
    char *message; /* empty until something fails */
    span *merges;  /* left, right, left, right... */
    size_t merge_count;
    const char *pre_tokenizer; /* its type, or "" */
    span unknown, cls, sep, pad, mask;
    normalizer normalizer;
    int is_roberta, has_normalizer, adds_special_tokens;
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

static void need_type(loader *l, const char *what, const char *type, const char *supported) {
    if (!*type) fail(l, "%s lacks its type", what);
    if (strcmp(type, supported) != 0) fail(l, "%s %.64s is not supported", what, type);
}

static span span_of(const char *text) {
    const span s = {text, strlen(text)};
    return s;
}

static span text_of(const setting *s) {
    const span text = {s->string, s->string_bytes};
    return text;
}

/* Sets *to if there is a string at the path. */
static void take_text(loader *l, const char *path, span *to) {
    const setting *found = settings_find(&l->s, NULL, path);
    settings_string(&l->s, NULL, path, ""); /* for its fault */
    if (found) *to = text_of(found);
}

/* The memory belongs to the tokenizer, whose tokens point to it. */
static void keep(loader *l, char *memory) {
    l->t->kept[l->t->kept_count++] = memory;
}

/* Starts to read a JSON file, if there is one; end_file follows. */
static int begin_file(loader *l, const char *directory, const char *name) {
    if (!settings_read(&l->s, directory, l->file = name)) return 0;
    keep(l, l->s.text);
    l->s.text = NULL;
    return 1;
}

static void end_file(loader *l) {
    if (l->s.fault[0] && !l->s.is_missing && !l->message[0]) snprintf(l->message, TOKENIZER_MESSAGE, "%s", l->s.fault);
    settings_free(&l->s);
    memset(&l->s, 0, sizeof l->s);
}

/* ---- tokens and merges -------------------------------------------------------------------------------------- */

static void see_id(loader *l, int32_t id) {
    if ((size_t)id >= l->t->vocabulary) l->t->vocabulary = (size_t)id + 1;
}

static void add_token(loader *l, span s, int32_t id) {
    see_id(l, id);
    if (!token_add(&l->t->tokens, s, id)) fail(l, "out of memory");
}

static int32_t value_id(loader *l, const setting *value) {
    const double number = value && value->kind == JSON_NUMBER ? value->number : -1;
    if (number >= 0 && number < INT32_MAX && (double)(int32_t)number == number) return (int32_t)number;
    fail(l, "expected an integer from 0 to 2147483646 as the id of a token");
    return 0;
}

static void read_vocabulary(loader *l, const setting *in) {
    const setting *v = NULL;
    if (in->kind != JSON_OBJECT) fail(l, "the vocabulary is not an object");
    while (!l->message[0] && (v = settings_next(&l->s, in, v)) != NULL) {
        const span key = {v->key, v->key_bytes};
        add_token(l, key, value_id(l, v));
    }
}

static void add_merge(loader *l, span left, span right) {
    span *merges = array_grow(l->merges, l->merge_count, 2 * sizeof *merges);
    if (!merges) {
        fail(l, "out of memory");
        return;
    }
    l->merges = merges;
    merges[2 * l->merge_count] = left;
    merges[2 * l->merge_count++ + 1] = right;
}

static void split_merge(loader *l, span s) {
    const char *blank = s.bytes ? memchr(s.text, ' ', s.bytes) : NULL;
    const size_t left_bytes = blank ? (size_t)(blank - s.text) : s.bytes;
    const span left = {s.text, left_bytes}, right = {s.text + left_bytes + 1, s.bytes - left_bytes - 1};
    if (!blank || memchr(right.text, ' ', right.bytes)) {
        fail(l, "merge %zu: expected two tokens with a blank between them", l->merge_count + 1);
    } else {
        add_merge(l, left, right);
    }
}

/* A merge is "a b", or since 2024 ["a","b"]. */
static void read_merges(loader *l, const setting *in) {
    const setting *m = NULL;
    while (!l->message[0] && (m = settings_next(&l->s, in, m)) != NULL) {
        const setting *left = m->kind == JSON_ARRAY ? settings_next(&l->s, m, NULL) : NULL;
        const setting *right = left ? settings_next(&l->s, m, left) : NULL;
        if (m->kind == JSON_STRING) {
            split_merge(l, text_of(m));
        } else if (right && left->kind == JSON_STRING && right->kind == JSON_STRING && right->end == m->end) {
            add_merge(l, text_of(left), text_of(right));
        } else {
            fail(l, "merge %zu: expected two tokens", l->merge_count + 1);
        }
    }
}

/* ---- added tokens and templates ----------------------------------------------------------------------------- */

static const added_token *find_added(const tokenizer *t, span s) {
    for (size_t i = 0; i < t->added_count; i++) {
        const span other = t->added[i].s;
        if (other.bytes == s.bytes && memcmp(other.text, s.text, s.bytes) == 0) return &t->added[i];
    }
    return NULL;
}

static int32_t find_id(const tokenizer *t, span s) {
    const token *found = s.text ? token_find(&t->tokens, NOTHING, s) : NULL;
    const added_token *added = s.text && !found ? find_added(t, s) : NULL;
    return found ? found->id : added ? added->id : -1;
}

static void add_added(loader *l, const added_token *a) {
    added_token *added = array_grow(l->t->added, l->t->added_count, sizeof *added);
    if (!added) {
        fail(l, "out of memory");
        return;
    }
    l->t->added = added;
    added[l->t->added_count++] = *a;
    see_id(l, a->id);
}

/* The list of tokenizer.json, and the object of tokenizer_config.json, whose keys are ids. */
static void read_added(loader *l, const setting *in) {
    const setting *a = NULL;
    while (in && !l->message[0] && (a = settings_next(&l->s, in, a)) != NULL) {
        const setting *content = settings_find(&l->s, a, "content"), *id = settings_find(&l->s, a, "id");
        added_token added = {NOTHING, -1, 0, 0, 0, 0, NULL};
        char *end;
        const long key = strtol(a->key, &end, 10);
        if (id) added.id = value_id(l, id);
        if (!id && *a->key && !*end && key >= 0 && key < INT32_MAX) added.id = (int32_t)key;
        if (content) added.s = text_of(content);
        added.single_word = settings_flag(&l->s, a, "single_word", 0);
        added.takes_left = settings_flag(&l->s, a, "lstrip", 0);
        added.takes_right = settings_flag(&l->s, a, "rstrip", 0);
        added.is_normalized = settings_flag(&l->s, a, "normalized", 0);
        if (added.id < 0 || !added.s.bytes) fail(l, "an added token lacks its id or its content");
        if (!l->message[0]) add_added(l, &added);
    }
}

static void read_template(loader *l, const setting *in, sequence_template *to) {
    const setting *i = NULL;
    while (in && (i = settings_next(&l->s, in, i)) != NULL) {
        const setting *text = settings_find(&l->s, i, "Sequence");
        const setting *name = settings_find(&l->s, i, text ? "Sequence.id" : "SpecialToken.id");
        const setting *type = settings_find(&l->s, i, text ? "Sequence.type_id" : "SpecialToken.type_id");
        template_item *item = &to->items[to->count];
        if (to->count == TEMPLATE_ITEMS) {
            fail(l, "a template has more than %d items", TEMPLATE_ITEMS);
            return;
        }
        if (name) item->name = text_of(name);
        if (text) item->id = name && strcmp(name->string, "B") == 0 ? SECOND_TEXT : FIRST_TEXT;
        if (type) item->type = value_id(l, type);
        to->count++;
    }
}

static void read_post_processor(loader *l, const setting *in) {
    const char *type = settings_string(&l->s, in, "type", "");
    const setting *cls = settings_find(&l->s, in, "cls"), *sep = settings_find(&l->s, in, "sep"), *p = NULL;
    if (strcmp(type, "Sequence") == 0) {
        const setting *all = settings_find(&l->s, in, "processors");
        while (all && (p = settings_next(&l->s, all, p)) != NULL) read_post_processor(l, p);
    } else if (strcmp(type, "TemplateProcessing") == 0) {
        read_template(l, settings_find(&l->s, in, "single"), &l->t->single);
        read_template(l, settings_find(&l->s, in, "pair"), &l->t->pair);
    } else if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        l->adds_special_tokens = 1;
        l->is_roberta = *type == 'R';
        if (cls && (cls = settings_next(&l->s, cls, NULL)) != NULL) l->cls = text_of(cls); /* [token, id] */
        if (sep && (sep = settings_next(&l->s, sep, NULL)) != NULL) l->sep = text_of(sep);
    } else {
        need_type(l, "post_processor", type, "ByteLevel"); /* which changes only offsets */
    }
}

/* ---- files -------------------------------------------------------------------------------------------------- */

static void read_tokenizer(loader *l) {
    static const char *const refused[] = {"model.dropout", "model.end_of_word_suffix", "model.fuse_unk",
                                          "model.byte_fallback", "model.ignore_merges"};
    settings *s = &l->s;
    normalizer *n = &l->normalizer;
    const setting *vocabulary = settings_find(s, NULL, "model.vocab"), *merges = settings_find(s, NULL, "model.merges");
    const setting *post_processor = settings_find(s, NULL, "post_processor"), *prefix;
    const setting *longest = settings_find(s, NULL, "model.max_input_chars_per_word");
    /* old files have no type */
    const char *model = settings_string(s, NULL, "model.type", merges ? "BPE" : longest ? "WordPiece" : "");
    if (!vocabulary) fail(l, "the vocabulary is empty");
    l->t->is_bpe = strcmp(model, "BPE") == 0;
    if (!l->t->is_bpe) need_type(l, "model", model, "WordPiece");
    l->pre_tokenizer = settings_string(s, NULL, "pre_tokenizer.type", "");
    l->has_normalizer = settings_find(s, NULL, "normalizer") != NULL;
    if (l->has_normalizer)
        need_type(l, "normalizer", settings_string(s, NULL, "normalizer.type", ""), "BertNormalizer");
    n->clean = settings_flag(s, NULL, "normalizer.clean_text", 1);
    n->blanks_around_ideographs = settings_flag(s, NULL, "normalizer.handle_chinese_chars", 1);
    n->lowers = settings_flag(s, NULL, "normalizer.lowercase", 1);
    n->strips_accents = settings_flag(s, NULL, "normalizer.strip_accents", n->lowers);
    l->t->bpe.adds_space = settings_flag(s, NULL, "pre_tokenizer.add_prefix_space", 0);
    if (!settings_flag(s, NULL, "pre_tokenizer.use_regex", 1)) fail(l, "pre_tokenizer.use_regex must not be off");
    prefix = settings_find(s, NULL, "model.continuing_subword_prefix");
    if (prefix) l->t->wordpiece.prefix = text_of(prefix);
    if (prefix && prefix->string_bytes && l->t->is_bpe) fail(l, "model.continuing_subword_prefix is not supported");
    l->t->wordpiece.longest_word = (size_t)settings_size(s, NULL, "model.max_input_chars_per_word", 100);
    if (l->t->wordpiece.longest_word > LONGEST_WORD) fail(l, "max_input_chars_per_word is more than %d", LONGEST_WORD);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) { /* unless it is off or empty */
        const setting *found = settings_find(s, NULL, refused[i]);
        if (found &&
            (found->kind == JSON_TRUE || found->kind > JSON_STRING || found->string_bytes || found->number != 0))
            fail(l, "%s is not supported", refused[i]);
    }
    if (vocabulary) read_vocabulary(l, vocabulary);
    if (merges) read_merges(l, merges);
    read_added(l, settings_find(s, NULL, "added_tokens"));
    if (post_processor) read_post_processor(l, post_processor);
    take_text(l, "model.unk_token", &l->unknown);
    take_text(l, "padding.pad_token", &l->pad);
}

/* Takes the lines of vocab.txt, or of merges.txt, if there is such a file. */
static int read_lines(loader *l, const char *directory, const char *name, int is_vocabulary) {
    const char *fault, *end;
    size_t bytes;
    int is_missing;
    char *text = read_file(directory, l->file = name, &bytes, &fault, &is_missing), *at = text;
    if (!text) return is_missing ? 0 : fail(l, "%s", fault);
    keep(l, text);
    if (!is_utf8(text, bytes)) return fail(l, "the file is not UTF-8");
    end = text + bytes;
    for (int32_t number = 0; at < end && !l->message[0]; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        span line = {at, (size_t)((newline ? newline : end) - at)};
        at += line.bytes + 1;
        while (line.bytes && strchr(" \t\r", line.text[line.bytes - 1])) line.bytes--;
        if (is_vocabulary) {
            add_token(l, line, number);
        } else if (line.bytes && (number || *line.text != '#')) { /* the first line is a comment with the version */
            split_merge(l, line);
        }
    }
    return 1;
}

static void read_plain(loader *l, const char *directory) {
    static const char *const defaults[2][5] = {{"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"},
                                               {"<unk>", "<s>", "</s>", "<pad>", "<mask>"}};
    static const char *const names[5] = {"unk_token", "cls_token", "sep_token", "pad_token", "mask_token"};
    span *const tokens[5] = {&l->unknown, &l->cls, &l->sep, &l->pad, &l->mask};
    const char *vocabulary = "vocab.txt";
    normalizer *n = &l->normalizer;
    if (!read_lines(l, directory, vocabulary, 1) && !l->message[0]) {
        vocabulary = "vocab.json";
        l->is_roberta = begin_file(l, directory, vocabulary);
        if (l->is_roberta) read_vocabulary(l, l->s.list);
        end_file(l);
        l->is_roberta = l->is_roberta && read_lines(l, directory, "merges.txt", 0);
        if (!l->is_roberta) fail(l, "no such file, and no tokenizer.json or vocab.txt");
    }
    l->adds_special_tokens = 1;
    l->t->is_bpe = l->is_roberta;
    l->pre_tokenizer = l->is_roberta ? "ByteLevel" : "BertPreTokenizer";
    l->has_normalizer = !l->is_roberta;
    l->t->wordpiece.longest_word = 100;
    if (!l->message[0]) begin_file(l, directory, "tokenizer_config.json");
    n->clean = 1;
    n->blanks_around_ideographs = settings_flag(&l->s, NULL, "tokenize_chinese_chars", 1);
    n->lowers = settings_flag(&l->s, NULL, "do_lower_case", 1);
    n->strips_accents = settings_flag(&l->s, NULL, "strip_accents", n->lowers);
    l->t->bpe.adds_space = settings_flag(&l->s, NULL, "add_prefix_space", 0);
    read_added(l, settings_find(&l->s, NULL, "added_tokens_decoder"));
    for (int i = 0; i < 5; i++) { /* a token is its content, or an object with it */
        const setting *given = settings_find(&l->s, NULL, names[i]), *content = given;
        added_token a = {NOTHING, -1, 0, 0, 0, 0, NULL};
        if (given && given->kind == JSON_OBJECT) content = settings_find(&l->s, given, "content");
        *tokens[i] = content && content->kind == JSON_STRING ? text_of(content) : span_of(defaults[l->is_roberta][i]);
        a.s = *tokens[i];
        a.id = find_id(l->t, a.s);
        a.takes_left = l->is_roberta && tokens[i] == &l->mask; /* <mask> stands for a word and the blank before it */
        if (a.id >= 0 && !find_added(l->t, a.s)) add_added(l, &a);
    }
    end_file(l);
    l->file = vocabulary; /* for messages */
}

/* ---- what follows from the settings ------------------------------------------------------------------------- */

static void finish_model(loader *l) {
    tokenizer *t = l->t;
    const span pads[3] = {l->pad, span_of("[PAD]"), span_of("<pad>")};
    t->unknown = find_id(t, l->unknown);
    t->padding = -1;
    for (int i = 0; i < 3 && t->padding < 0; i++) t->padding = find_id(t, pads[i]);
    if (t->padding < 0) t->padding = 0;
    if (!t->tokens.count) fail(l, "the vocabulary is empty");
    need_type(l, t->is_bpe ? "pre_tokenizer before BPE" : "pre_tokenizer before WordPiece", l->pre_tokenizer,
              t->is_bpe ? "ByteLevel" : "BertPreTokenizer");
    if (!t->wordpiece.prefix.text) t->wordpiece.prefix = span_of("##");
    if (!t->is_bpe || l->message[0]) return;
    if (!bpe_begin(&t->bpe, &t->tokens, l->merge_count)) fail(l, "out of memory");
    for (size_t i = 0; i < l->merge_count && !l->message[0]; i++) {
        if (!bpe_add_merge(&t->bpe, &t->tokens, l->merges[2 * i], l->merges[2 * i + 1]))
            fail(l, "merge %zu: the vocabulary lacks one of its tokens, or the merged token", i + 1);
    }
}

/* [CLS] A [SEP], or with a pair [CLS] A [SEP] B [SEP]; RoBERTa has two separators between the texts, and no types. */
static void set_templates(loader *l) {
    const span names[6] = {l->cls, NOTHING, l->sep, l->sep, NOTHING, l->sep};
    tokenizer *t = l->t;
    for (int i = 0; i < 6; i++) {
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
    for (template_item *item = s->items; item < s->items + s->count; item++) {
        if (item->id < 0) {
            counts[item->id == SECOND_TEXT]++;
        } else {
            item->id = find_id(l->t, item->name);
            if (item->id < 0) fail(l, "the vocabulary lacks a special token of the template");
        }
    }
    if (counts[0] != 1 || counts[1] != text_count - 1) fail(l, "a template must have each text once");
}

/* Sorts the added tokens into those found in raw text and those found in normalized text, which are normalized, too. */
static void finish_added(loader *l) {
    tokenizer *t = l->t;
    for (size_t i = 0; i < t->added_count && !l->message[0]; i++) {
        added_token *a = &t->added[i];
        added_set *set = a->is_normalized ? &t->normalized : &t->raw;
        text_buffer normal = {NULL, 0, 0};
        const token *known = token_find(&t->tokens, NOTHING, a->s);
        span s = a->s;
        if (known) a->id = known->id; /* rather than that of the added token, as in the reference */
        if (a->is_normalized) {
            if (!normalize(&t->normalizer, s, &normal)) fail(l, "out of memory");
            a->normal = normal.text;
            s.text = normal.text, s.bytes = normal.bytes;
        }
        if (!s.bytes || s.bytes > LONGEST_WORD) {
            fail(l, "an added token is empty or longer than %d bytes", LONGEST_WORD);
        } else if (!token_add(&set->table, s, (int32_t)i)) {
            fail(l, "out of memory");
        } else {
            set->starts[(unsigned char)*s.text] = 1;
        }
    }
}

tokenizer *tokenizer_open(const char *directory, char message[TOKENIZER_MESSAGE]) {
    loader l;
    int is_plain;
    memset(&l, 0, sizeof l);
    l.message = message;
    l.pre_tokenizer = "";
    message[0] = 0;
    l.t = calloc(1, sizeof *l.t);
    if (!l.t) snprintf(message, TOKENIZER_MESSAGE, "out of memory");
    if (!l.t) return NULL;
    if (begin_file(&l, directory, "tokenizer.json")) read_tokenizer(&l);
    is_plain = l.s.is_missing;
    end_file(&l);
    if (is_plain) read_plain(&l, directory);
    if (l.has_normalizer) l.t->normalizer = l.normalizer;
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
