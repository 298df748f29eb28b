/* pickle.c: a pickle machine that runs no code. A pickle is a program for a stack machine that may call any function of
 * Python. This machine knows the few functions that PyTorch's files need and refuses every other by its name. */
#include "pt2st.h"
#include "../common/text.h"
#include <stdlib.h>
#include <string.h>

typedef enum role {
    ROLE_UNKNOWN,
    ROLE_SPARSE, /* the next three are refused with a reason of their own */
    ROLE_QUANTIZED,
    ROLE_META,
    ROLE_DICT,
    ROLE_LIST,
    ROLE_FIRST,  /* returns its first argument */
    ROLE_RECORD, /* an object with attributes, or one of no interest */
    ROLE_ENCODE, /* of text to bytes */
    ROLE_SCALAR, /* of NumPy: a dtype, which is kept as its code, and bytes */
    ROLE_STORAGE,
    ROLE_DTYPE,
    ROLE_TENSOR,
    ROLE_TENSOR_V3,
    ROLE_FROM_TYPE /* calls its first argument with its third */
} role;

typedef struct global {
    role role;
    st_dtype dtype;
} global;

static const struct known {
    role role;
    const char *names; /* with blanks around each */
} known[] = {
    {ROLE_DICT, " collections.OrderedDict collections.defaultdict collections.Counter builtins.dict "},
    {ROLE_LIST, " builtins.list builtins.set builtins.frozenset "},
    {ROLE_FIRST, " builtins.int builtins.float builtins.str builtins.bytes builtins.bytearray torch.Size "
                 "numpy.dtype torch._utils._rebuild_parameter torch._utils._rebuild_parameter_with_state "
                 "torch.nn.parameter.Parameter torch.nn.parameter.Buffer torch.jit._pickle.build_intlist "
                 "torch.jit._pickle.build_doublelist torch.jit._pickle.build_boollist "
                 "torch.jit._pickle.build_tensorlist torch.jit._pickle.restore_type_tag "},
    {ROLE_RECORD, " builtins.object builtins.complex builtins.slice builtins.range argparse.Namespace "
                  "types.SimpleNamespace numpy.ndarray numpy.core.multiarray._reconstruct "
                  "numpy._core.multiarray._reconstruct numpy._core.numeric._frombuffer torch.device torch.Tensor "
                  "torch.serialization._get_layout "},
    {ROLE_ENCODE, " _codecs.encode "},
    {ROLE_SCALAR, " numpy.core.multiarray.scalar numpy._core.multiarray.scalar "},
    {ROLE_TENSOR, " torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2 "},
    {ROLE_TENSOR_V3, " torch._utils._rebuild_tensor_v3 "},
    {ROLE_FROM_TYPE, " torch._tensor._rebuild_from_type_v2 "},
    {ROLE_SPARSE, " torch._utils._rebuild_sparse_tensor torch._utils._rebuild_sparse_csr_tensor "},
    {ROLE_QUANTIZED, " torch._utils._rebuild_qtensor "},
    {ROLE_META, " torch._utils._rebuild_meta_tensor_no_storage "},
};

/* what PyTorch calls a dtype: Float in FloatStorage and FloatTensor, and float32 */
static const struct dtype_name {
    const char *type, *name;
    st_dtype dtype;
} dtype_names[] = {{"Bool", "bool", ST_DTYPE_BOOL},
                   {"Byte", "uint8", ST_DTYPE_U8},
                   {"Untyped", "uint8", ST_DTYPE_U8},
                   {"Char", "int8", ST_DTYPE_I8},
                   {"Short", "int16", ST_DTYPE_I16},
                   {"Int", "int32", ST_DTYPE_I32},
                   {"Long", "int64", ST_DTYPE_I64},
                   {"Half", "float16", ST_DTYPE_F16},
                   {"BFloat16", "bfloat16", ST_DTYPE_BF16},
                   {"Float", "float32", ST_DTYPE_F32},
                   {"Double", "float64", ST_DTYPE_F64},
                   {"ComplexFloat", "complex64", ST_DTYPE_C64},
                   {"", "uint16", ST_DTYPE_U16},
                   {"", "uint32", ST_DTYPE_U32},
                   {"", "uint64", ST_DTYPE_U64},
                   {"", "float8_e4m3fn", ST_DTYPE_F8_E4M3},
                   {"", "float8_e5m2", ST_DTYPE_F8_E5M2},
                   {"", "float8_e4m3fnuz", ST_DTYPE_F8_E4M3FNUZ},
                   {"", "float8_e5m2fnuz", ST_DTYPE_F8_E5M2FNUZ},
                   {"", "float8_e8m0fnu", ST_DTYPE_F8_E8M0}};

typedef struct machine {
    job *job;
    stream *in;
    uint64_t opcode_offset;
    value **stack, **memo;
    size_t depth, memo_places, memo_count;
} machine;

/* Fails with the position of the current opcode. */
static void refuse(const machine *m, const char *what) {
    fail(m->job, "%s, byte %llu: %s", m->in->what, (unsigned long long)m->opcode_offset, what);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

void read_stream(job *j, stream *s, void *dst, size_t bytes) {
    if (bytes > s->part.bytes - s->at) {
        fail(j, "%s, byte %llu: the data ends early", s->what, (unsigned long long)s->at);
    }
    read_part(j, &s->part, s->at, dst, bytes);
    s->at += bytes;
}

static uint64_t read_number(machine *m, size_t bytes) {
    unsigned char number[8];
    read_stream(m->job, m->in, number, bytes);
    return little(number, bytes);
}

value *new_value(job *j, kind what) {
    value *v = (value *)allocate(j, &j->pickle, sizeof *v);
    v->kind = (uint8_t)what;
    return v;
}

static value *new_integer(machine *m, kind what, int64_t integer) {
    value *v = new_value(m->job, what);
    v->u.integer = integer;
    return v;
}

static value *read_text(machine *m, uint64_t bytes) {
    char *text;
    value *v = new_value(m->job, VALUE_TEXT);
    if (bytes > m->in->part.bytes - m->in->at || bytes >= UINT32_MAX) refuse(m, "a text is longer than the file");
    text = (char *)allocate(m->job, &m->job->pickle, (size_t)bytes + 1);
    read_stream(m->job, m->in, text, (size_t)bytes);
    v->u.text = text;
    v->count = (uint32_t)bytes;
    return v;
}

/* Reads to the end of a line, which is not part of the text. */
static value *read_line(machine *m) {
    const uint64_t first = m->in->at;
    uint64_t bytes;
    value *v;
    while (read_number(m, 1) != '\n') continue;
    bytes = m->in->at - 1 - first;
    m->in->at = first;
    v = read_text(m, bytes);
    m->in->at++;
    return v;
}

/* Integers of more than 64 bits, such as the magic number of older files, stay a text of their bytes. */
static value *read_long(machine *m, uint64_t bytes) {
    value *v = read_text(m, bytes);
    uint64_t number;
    if (bytes > 8) return v;
    number = little((const unsigned char *)v->u.text, (size_t)bytes);
    if (bytes > 0 && bytes < 8 && v->u.text[bytes - 1] & 0x80) number |= UINT64_MAX << (8 * bytes);
    return new_integer(m, VALUE_INTEGER, (int64_t)number);
}

static value *read_decimal(machine *m) {
    value *line = read_line(m);
    char *end;
    const long long number = strtoll(line->u.text, &end, 10);
    if (line->count == 0 || (*end && *end != 'L')) refuse(m, "invalid integer");
    if (line->count > 19) return line;
    return new_integer(m, line->count == 2 && line->u.text[0] == '0' ? VALUE_BOOL : VALUE_INTEGER, number); /* 00, 01 */
}

static value *read_float(machine *m) {
    value *v = new_value(m->job, VALUE_NUMBER);
    uint64_t bits = 0;
    int i;
    for (i = 0; i < 8; i++) bits = bits << 8 | read_number(m, 1);
    memcpy(&v->u.number, &bits, sizeof bits);
    return v;
}

/* ---- the stack --------------------------------------------------------------------------------------------------- */

static void push(machine *m, value *v) {
    m->stack = (value **)grow(m->job, &m->job->pickle, m->stack, m->depth, sizeof *m->stack);
    m->stack[m->depth++] = v;
}

static value *top(machine *m) {
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == VALUE_MARK) refuse(m, "the stack is empty");
    return m->stack[m->depth - 1];
}

static value *pop(machine *m) {
    value *v = top(m);
    m->depth--;
    return v;
}

/* Moves the last `count` values of the stack into a new list, tuple or dictionary. */
static value *pop_values(machine *m, kind what, size_t count) {
    value *v = new_value(m->job, what);
    size_t places = 4;
    while (places < count) places *= 2; /* as grow() expects */
    v->u.items = (value **)allocate(m->job, &m->job->pickle, places * sizeof *v->u.items);
    v->count = (uint32_t)count;
    if (m->depth < count || count > UINT32_MAX / 2) refuse(m, "the stack is empty");
    m->depth -= count;
    if (count) memcpy(v->u.items, m->stack + m->depth, count * sizeof *v->u.items);
    if (what == VALUE_DICT && count % 2 != 0) refuse(m, "a key without a value");
    return v;
}

static value *pop_to_mark(machine *m, kind what) {
    size_t count = 0;
    value *v;
    while (count < m->depth && m->stack[m->depth - 1 - count]->kind != VALUE_MARK) count++;
    if (count == m->depth) refuse(m, "the stack has no mark");
    v = pop_values(m, what, count);
    m->depth--;
    return v;
}

static void put(machine *m, uint64_t index) {
    value *v = top(m);
    if (index >= m->memo_places) {
        const size_t places = index < 512 ? 1024 : 2 * (size_t)index;
        value **memo = m->memo;
        if (index > 1 << 28) refuse(m, "the memo is too large");
        m->memo = (value **)allocate(m->job, &m->job->pickle, places * sizeof *memo);
        if (memo) memcpy(m->memo, memo, m->memo_places * sizeof *memo);
        m->memo_places = places;
    }
    m->memo[index] = v;
    m->memo_count++;
}

static void get(machine *m, uint64_t index) {
    if (index >= m->memo_places || !m->memo[index]) refuse(m, "a value is fetched that was not stored");
    push(m, m->memo[index]);
}

/* ---- globals ----------------------------------------------------------------------------------------------------- */

int is_text(const value *v, const char *text) {
    return v->kind == VALUE_TEXT && v->count == strlen(text) && memcmp(v->u.text, text, v->count) == 0;
}

/* Returns whether name is prefix and suffix. */
static int consists_of(const char *name, const char *prefix, const char *suffix) {
    const size_t n = strlen(prefix);
    return n && strncmp(name, prefix, n) == 0 && strcmp(name + n, suffix) == 0;
}

static value *find_global(machine *m, const value *module, const value *name) {
    static const char *const reasons[] = {
        "the file wants a global that is not on the list of safe ones, and nothing was run", "sparse tensors are not supported",
        "quantized tensors are not supported", "tensors on the device meta have no data"};
    value *v = new_value(m->job, VALUE_GLOBAL);
    global *g = (global *)allocate(m->job, &m->job->pickle, sizeof *g);
    char path[300] = " ";
    const char *of = module->u.text;
    size_t i;
    if (module->kind != VALUE_TEXT || name->kind != VALUE_TEXT) refuse(m, "the name of a global is not text");
    if (is_text(module, "__builtin__")) of = "builtins"; /* its name in Python 2 */
    if (module->count < 140 && name->count < 140 && !strchr(name->u.text, ' ') && strlen(name->u.text) == name->count) {
        snprintf(path, sizeof path, " %s.%s ", of, name->u.text);
    }
    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (path[1] && strstr(known[i].names, path)) g->role = known[i].role;
    }
    for (i = 0; i < sizeof dtype_names / sizeof *dtype_names; i++) {
        const struct dtype_name *d = &dtype_names[i];
        const int is_type = consists_of(name->u.text, d->type, "Storage") || consists_of(name->u.text, d->type, "Tensor");
        if (strcmp(of, "torch") != 0 && strcmp(of, "torch.cuda") != 0 && strcmp(of, "torch.storage") != 0) break;
        if (!is_type && !is_text(name, d->name)) continue;
        g->role = is_type ? ROLE_STORAGE : ROLE_DTYPE;
        g->dtype = d->dtype;
    }
    if (g->role == ROLE_UNKNOWN && (m->job->any_class || strncmp(of, "__torch__", 9) == 0)) g->role = ROLE_RECORD;
    if (g->role < ROLE_DICT) {
        fail(m->job, "%s, byte %llu: %s: %.200s.%.200s", m->in->what, (unsigned long long)m->opcode_offset,
             reasons[g->role], of, name->u.text);
    }
    v->u.global = g;
    return v;
}

static role role_of(const value *v) {
    return v->kind == VALUE_GLOBAL ? v->u.global->role : ROLE_UNKNOWN;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

uint64_t unsigned_of(job *j, const value *v, const char *what) {
    if (v->kind != VALUE_INTEGER || v->u.integer < 0) fail(j, "%s is not a number from 0 on", what);
    return (uint64_t)v->u.integer;
}

storage *new_storage(job *j, const value *type, uint64_t count) {
    storage *s = (storage *)allocate(j, &j->pickle, sizeof *s);
    if (role_of(type) != ROLE_STORAGE) fail(j, "a storage of an unknown type");
    s->dtype = type->u.global->dtype;
    s->size = st_dtype_bits(s->dtype) / 8;
    s->count = count;
    s->data.offset = UINT64_MAX;
    if (count > INT64_MAX / s->size) fail(j, "a storage is too large");
    s->data.bytes = count * s->size;
    return s;
}

value *new_tensor(job *j, const storage *from, st_dtype dtype, uint64_t offset, uint32_t rank) {
    value *v = new_value(j, VALUE_TENSOR);
    tensor *t = (tensor *)allocate(j, &j->pickle, sizeof *t);
    if (rank > MAX_RANK) fail(j, "a tensor has more than 64 dimensions");
    t->storage = from, t->dtype = dtype, t->offset = offset, t->rank = rank;
    t->shape = (uint64_t *)allocate(j, &j->pickle, 2 * rank * sizeof *t->shape);
    t->stride = t->shape + rank;
    v->u.tensor = t;
    return v;
}

void check_tensor(job *j, const tensor *t) {
    const uint64_t size = st_dtype_bits(t->dtype) / 8;
    const uint64_t places = t->storage->count * t->storage->size / size; /* a storage can count bytes */
    uint64_t elements = 1, last = t->offset;
    uint32_t d;
    for (d = 0; d < t->rank; d++) {
        if (t->shape[d] < 2) t->stride[d] = 0; /* is never used */
        if (t->shape[d] == 0) elements = 0;
    }
    for (d = 0; d < t->rank && elements; d++) {
        if (elements > INT64_MAX / size / t->shape[d]) fail(j, "the shape of a tensor is too large");
        elements *= t->shape[d];
        if (last >= places || (t->stride[d] && t->shape[d] - 1 > (places - 1 - last) / t->stride[d])) break;
        last += t->stride[d] * (t->shape[d] - 1);
    }
    if (elements && (d < t->rank || last >= places)) fail(j, "a tensor leaves its storage");
}

static value *make_tensor(machine *m, const value *arguments, int is_v3) {
    value *const *a = arguments->u.items, *v;
    const uint32_t extra = is_v3 ? 7 : 6; /* index of the optional argument */
    uint32_t d;
    if (arguments->count < (is_v3 ? 7 : 4) || a[0]->kind != VALUE_STORAGE || a[2]->kind != VALUE_TUPLE ||
        a[3]->kind != VALUE_TUPLE || a[2]->count != a[3]->count || (is_v3 && role_of(a[6]) != ROLE_DTYPE)) {
        refuse(m, "a tensor is described in an unknown way, or has an unknown dtype");
    }
    if (arguments->count > extra && a[extra]->kind == VALUE_DICT && a[extra]->count) {
        refuse(m, "conjugated and negated views are not supported");
    }
    v = new_tensor(m->job, a[0]->u.storage, is_v3 ? a[6]->u.global->dtype : a[0]->u.storage->dtype,
                   unsigned_of(m->job, a[1], "the offset of a tensor"), a[2]->count);
    for (d = 0; d < a[2]->count; d++) {
        v->u.tensor->shape[d] = unsigned_of(m->job, a[2]->u.items[d], "a dimension");
        v->u.tensor->stride[d] = unsigned_of(m->job, a[3]->u.items[d], "a stride");
    }
    check_tensor(m->job, v->u.tensor);
    return v;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static value *make_scalar(machine *m, const value *dtype, const value *bytes) {
    const char code = dtype->kind == VALUE_TEXT && dtype->count == 2 ? dtype->u.text[0] : '?';
    const uint32_t size = bytes->kind == VALUE_TEXT && bytes->count <= 8 ? bytes->count : 0;
    value *v = new_value(m->job, VALUE_NONE);
    uint64_t bits;
    if (code == '?' || !size || dtype->u.text[1] != (char)('0' + size)) return v;
    bits = little((const unsigned char *)bytes->u.text, size);
    if (code == 'i' && bits >> (8 * size - 1) && size < 8) bits |= UINT64_MAX << (8 * size); /* negative */
    if (strchr("iub", code)) return new_integer(m, code == 'b' ? VALUE_BOOL : VALUE_INTEGER, (int64_t)bits);
    if (code != 'f' || size != 8) return v;
    v->kind = VALUE_NUMBER;
    memcpy(&v->u.number, &bits, sizeof bits);
    return v;
}

/* Protocol 2 has no bytes: they are written as the text that Latin-1 turns into them. */
static value *encode(machine *m, const value *text) {
    value *v = new_value(m->job, VALUE_TEXT);
    char *bytes = (char *)allocate(m->job, &m->job->pickle, text->kind == VALUE_TEXT ? text->count + 1 : 1);
    uint32_t i, code, n;
    v->u.text = bytes;
    for (i = 0; text->kind == VALUE_TEXT && i < text->count; i += n) {
        n = (uint32_t)utf8_decode(text->u.text + i, text->count - i, &code);
        if (n == 0 || code > 255) refuse(m, "a text that is not Latin-1");
        bytes[v->count++] = (char)(unsigned char)code;
    }
    return v;
}

static value *make_dict(machine *m, const value *pairs) {
    value *v = new_value(m->job, VALUE_DICT);
    uint32_t i;
    for (i = 0; i < pairs->count && (pairs->kind == VALUE_LIST || pairs->kind == VALUE_TUPLE); i++) {
        const value *pair = pairs->u.items[i];
        if ((pair->kind != VALUE_LIST && pair->kind != VALUE_TUPLE) || pair->count != 2) refuse(m, "expected pairs");
        v->u.items = (value **)grow(m->job, &m->job->pickle, v->u.items, v->count, sizeof *v->u.items);
        memcpy(v->u.items + v->count, pair->u.items, 2 * sizeof *v->u.items);
        v->count += 2;
    }
    return v;
}

static value *call(machine *m, const value *function, const value *arguments) {
    const role what = role_of(function);
    value *const *a = arguments->u.items;
    const uint32_t n = arguments->count;
    if (arguments->kind != VALUE_TUPLE) refuse(m, "the arguments of a call are not a tuple");
    if (what == ROLE_DICT) return n ? make_dict(m, a[0]) : new_value(m->job, VALUE_DICT);
    if (what == ROLE_LIST) return n && a[0]->kind == VALUE_LIST ? a[0] : new_value(m->job, VALUE_LIST);
    if (what == ROLE_FIRST) return n ? a[0] : new_value(m->job, VALUE_NONE);
    if (what == ROLE_ENCODE && n) return encode(m, a[0]);
    if (what == ROLE_SCALAR && n == 2) return make_scalar(m, a[0], a[1]);
    if (what == ROLE_RECORD) return new_value(m->job, VALUE_RECORD);
    if (what == ROLE_TENSOR || what == ROLE_TENSOR_V3) return make_tensor(m, arguments, what == ROLE_TENSOR_V3);
    if (what == ROLE_FROM_TYPE && n > 2 && role_of(a[0]) != ROLE_FROM_TYPE) return call(m, a[0], a[2]);
    refuse(m, "a call of what is no function, or with too few arguments");
    return NULL;
}

/* Adds values to the list or dictionary on top of the stack. */
static void extend(machine *m, const value *added) {
    value *to = top(m);
    uint32_t i;
    if (to->kind == VALUE_RECORD) return; /* a list or a dictionary of a class of its own */
    if (to->kind != added->kind) refuse(m, "values are added to what cannot hold them");
    for (i = 0; i < added->count; i++) {
        to->u.items = (value **)grow(m->job, &m->job->pickle, to->u.items, to->count, sizeof *to->u.items);
        to->u.items[to->count++] = added->u.items[i];
        if (to->count > UINT32_MAX / 2) refuse(m, "too many values");
    }
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

/* Returns the constant that the opcode pushes, or NULL if the opcode is another. */
static value *read_constant(machine *m, unsigned opcode) {
    switch (opcode) {
    case 'N': return new_value(m->job, VALUE_NONE);
    case 0x88: return new_integer(m, VALUE_BOOL, 1);
    case 0x89: return new_integer(m, VALUE_BOOL, 0);
    case 'I':
    case 'L': return read_decimal(m);
    case 'J': return new_integer(m, VALUE_INTEGER, (int32_t)(uint32_t)read_number(m, 4));
    case 'K': return new_integer(m, VALUE_INTEGER, (int64_t)read_number(m, 1));
    case 'M': return new_integer(m, VALUE_INTEGER, (int64_t)read_number(m, 2));
    case 'G': return read_float(m);
    case 0x8a: return read_long(m, read_number(m, 1));
    case 0x8b: return read_long(m, read_number(m, 4));
    case 'U': /* texts and bytes */
    case 'C':
    case 0x8c: return read_text(m, read_number(m, 1));
    case 'T':
    case 'B':
    case 'X': return read_text(m, read_number(m, 4));
    case 0x8d:
    case 0x8e:
    case 0x96: return read_text(m, read_number(m, 8));
    case '(': return new_value(m->job, VALUE_MARK);
    case ')': return new_value(m->job, VALUE_TUPLE);
    case ']':
    case 0x8f: return new_value(m->job, VALUE_LIST); /* a set too */
    case '}': return new_value(m->job, VALUE_DICT);
    case 't': return pop_to_mark(m, VALUE_TUPLE);
    case 'l':
    case 0x91: return pop_to_mark(m, VALUE_LIST);
    case 'd': return pop_to_mark(m, VALUE_DICT);
    case 0x85:
    case 0x86:
    case 0x87: return pop_values(m, VALUE_TUPLE, opcode - 0x84);
    default: return NULL;
    }
}

static void run_opcode(machine *m, unsigned opcode) {
    value *a, *b;
    switch (opcode) {
    case 0x80: /* protocol */
        if (read_number(m, 1) > 5) refuse(m, "a pickle of a protocol later than 5");
        break;
    case 0x95: (void)read_number(m, 8); break; /* frame */
    case '0': (void)pop(m); break;
    case '1': (void)pop_to_mark(m, VALUE_LIST); break;
    case '2': push(m, top(m)); break;
    case 'q': put(m, read_number(m, 1)); break;
    case 'r': put(m, read_number(m, 4)); break;
    case 0x94: put(m, m->memo_count); break;
    case 'h': get(m, read_number(m, 1)); break;
    case 'j': get(m, read_number(m, 4)); break;
    case 'a': extend(m, pop_values(m, VALUE_LIST, 1)); break;
    case 's': extend(m, pop_values(m, VALUE_DICT, 2)); break;
    case 'e':
    case 0x90: extend(m, pop_to_mark(m, VALUE_LIST)); break;
    case 'u': extend(m, pop_to_mark(m, VALUE_DICT)); break;
    case 'b': /* attributes; those of a dictionary or a tensor are of no interest */
        a = pop(m);
        if (top(m)->kind == VALUE_RECORD) top(m)->u.state = a;
        break;
    case 'c': a = read_line(m), b = read_line(m), push(m, find_global(m, a, b)); break;
    case 0x93: b = pop(m), a = pop(m), push(m, find_global(m, a, b)); break;
    case 'P': push(m, persistent_value(m->job, read_line(m))); break;
    case 'Q': push(m, persistent_value(m->job, pop(m))); break;
    case 0x92: /* a new object, also with named arguments */
        (void)pop(m);
        /* fall through */
    case 0x81:
    case 'R': b = pop(m), a = pop(m), push(m, call(m, a, b)); break;
    default: refuse(m, "an opcode that PyTorch does not use");
    }
}

value *load_pickle(job *j, stream *s) {
    machine m;
    memset(&m, 0, sizeof m);
    m.job = j;
    m.in = s;
    for (;;) {
        unsigned opcode;
        value *constant;
        m.opcode_offset = s->at;
        opcode = (unsigned)read_number(&m, 1);
        if (opcode == '.') return pop(&m);
        constant = read_constant(&m, opcode);
        if (constant) {
            push(&m, constant);
        } else {
            run_opcode(&m, opcode);
        }
    }
}
