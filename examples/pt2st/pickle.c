/* pickle.c: a pickle machine that runs no code. A pickle is a program for a stack machine that may call any function of
 * Python. This machine knows the few functions that PyTorch's files need and refuses every other by its name. */
#include "pt2st.h"
#include "../common/text.h"
#include <stdlib.h>
#include <string.h>

/* d makes a dictionary, l a list, r a record (an object with attributes, or of no interest), t and v a tensor, n a number
 * of NumPy; 1 returns its first argument, b turns it from text to bytes, c calls it with the third; S is a type of
 * storages, D a dtype; x, q and m are refused. */
static const struct known {
    char role;
    const char *names; /* with blanks around each */
} known[] = {
    {'d', " collections.OrderedDict collections.defaultdict collections.Counter builtins.dict "},
    {'l', " builtins.list builtins.set builtins.frozenset "},
    {'r', " builtins.object builtins.complex builtins.slice builtins.range argparse.Namespace types.SimpleNamespace "
          "numpy.ndarray numpy.core.multiarray._reconstruct numpy._core.multiarray._reconstruct torch.device "
          "numpy._core.numeric._frombuffer torch.serialization._get_layout torch.Tensor "},
    {'t', " torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2 "},
    {'v', " torch._utils._rebuild_tensor_v3 "},
    {'n', " numpy.core.multiarray.scalar numpy._core.multiarray.scalar "},
    {'1', " builtins.int builtins.float builtins.str builtins.bytes builtins.bytearray torch.Size numpy.dtype "
          "torch._utils._rebuild_parameter torch._utils._rebuild_parameter_with_state torch.nn.parameter.Parameter "
          "torch.nn.parameter.Buffer torch.jit._pickle.build_intlist torch.jit._pickle.build_doublelist "
          "torch.jit._pickle.build_boollist torch.jit._pickle.build_tensorlist torch.jit._pickle.restore_type_tag "},
    {'b', " _codecs.encode "},
    {'c', " torch._tensor._rebuild_from_type_v2 "},
    {'x', " torch._utils._rebuild_sparse_tensor torch._utils._rebuild_sparse_csr_tensor "},
    {'q', " torch._utils._rebuild_qtensor "},
    {'m', " torch._utils._rebuild_meta_tensor_no_storage "},
};

/* what PyTorch calls a dtype, in FloatStorage and FloatTensor and by itself, and what safetensors does */
static const char dtypes[] =
    "Bool bool BOOL  Byte uint8 U8  Untyped uint8 U8  Char int8 I8  Short int16 I16  Int int32 I32  Long int64 I64 "
    "Half float16 F16  BFloat16 bfloat16 BF16  Float float32 F32  Double float64 F64  ComplexFloat complex64 C64 "
    "- uint16 U16  - uint32 U32  - uint64 U64  - float8_e4m3fn F8_E4M3  - float8_e5m2 F8_E5M2 "
    "- float8_e4m3fnuz F8_E4M3FNUZ  - float8_e5m2fnuz F8_E5M2FNUZ  - float8_e8m0fnu F8_E8M0 ";

static value mark = {MARK, 0, 0, {0}};

/* ---- constants --------------------------------------------------------------------------------------------------- */

value *new_value(job *j, kind what) {
    value *v = (value *)allocate(j, sizeof *v);
    v->kind = (uint8_t)what;
    return v;
}

static value *new_integer(job *j, kind what, uint64_t bits) {
    value *v = new_value(j, what);
    memcpy(&v->u, &bits, sizeof bits); /* a number too */
    return v;
}

static uint64_t number_of(const char *bytes, size_t count, int is_signed) {
    uint64_t number = is_signed && count && bytes[count - 1] & 0x80 ? UINT64_MAX : 0;
    while (count-- > 0) number = number << 8 | (unsigned char)bytes[count];
    return number;
}

static value *read_text(job *j, uint64_t bytes) {
    value *v = new_value(j, TEXT);
    char *text;
    if (bytes > j->pickle->bytes - j->pickle->at || bytes >= UINT32_MAX) fail(j, "a text is longer than the file");
    v->u.text = text = (char *)allocate(j, (size_t)bytes + 1);
    v->count = (uint32_t)bytes;
    read_part(j, j->pickle, j->pickle->at, text, (size_t)bytes);
    j->pickle->at += bytes;
    return v;
}

static value *read_line(job *j) {
    part line = *j->pickle;
    value *v;
    while (read_number(j, &line, 1) != '\n') continue;
    v = read_text(j, line.at - 1 - j->pickle->at);
    j->pickle->at++;
    return v;
}

static value *read_long(job *j, uint64_t bytes) {
    value *v = read_text(j, bytes);
    return bytes > 8 ? v : new_integer(j, INTEGER, number_of(v->u.text, v->count, 1)); /* a longer one stays text */
}

static value *read_decimal(job *j) {
    value *line = read_line(j);
    char *end;
    const long long number = strtoll(line->u.text, &end, 10);
    if (line->count == 0 || (*end && *end != 'L')) fail(j, "invalid integer");
    if (line->count > 19) return line;
    return new_integer(j, line->count == 2 && line->u.text[0] == '0' ? BOOL : INTEGER, (uint64_t)number); /* 00, 01 */
}

static value *read_float(job *j) {
    uint64_t bits = 0;
    int i;
    for (i = 0; i < 8; i++) bits = bits << 8 | read_number(j, j->pickle, 1);
    return new_integer(j, NUMBER, bits);
}

/* ---- the stack --------------------------------------------------------------------------------------------------- */

static void push(job *j, value *v) {
    j->stack = (value **)grow(j, j->stack, j->depth, sizeof *j->stack);
    j->stack[j->depth++] = v;
}

static value *top(job *j) {
    if (j->depth == 0 || j->stack[j->depth - 1]->kind == MARK) fail(j, "the stack is empty");
    return j->stack[j->depth - 1];
}

static value *pop(job *j) {
    value *v = top(j);
    j->depth--;
    return v;
}

/* Moves the last `count` values of the stack into a new list, tuple or dictionary; with the mark below if has_mark. */
static value *pop_values(job *j, kind what, size_t count, int has_mark) {
    value *v = new_value(j, what);
    size_t places = 4;
    while (has_mark && count < j->depth && j->stack[j->depth - 1 - count]->kind != MARK) count++;
    if (j->depth < count + (size_t)has_mark || count > UINT32_MAX / 2) fail(j, "the stack has too few values");
    if (what == DICT && count % 2 != 0) fail(j, "a key without a value");
    while (places < count) places *= 2; /* as grow() expects */
    if (what == TUPLE) places = count;
    v->u.items = (value **)allocate(j, places * sizeof *v->u.items);
    v->count = (uint32_t)count;
    if (count) memcpy(v->u.items, j->stack + j->depth - count, count * sizeof *v->u.items);
    j->depth -= count + (size_t)has_mark;
    return v;
}

static void put(job *j, uint64_t index) {
    value *v = top(j), **memo = j->memo;
    if (index > 1 << 28) fail(j, "the memo is too large");
    if (index >= j->memo_places) {
        const size_t places = index < 512 ? 1024 : 2 * (size_t)index;
        j->memo = (value **)allocate(j, places * sizeof *memo);
        if (memo) memcpy(j->memo, memo, j->memo_places * sizeof *memo);
        j->memo_places = places;
    }
    j->memo[index] = v;
    j->memo_count++;
}

static value *get(job *j, uint64_t index) {
    if (index >= j->memo_places || !j->memo[index]) fail(j, "a value is fetched that was not stored");
    return j->memo[index];
}

/* Adds values to a list or a dictionary. */
static void extend(job *j, value *to, const value *added) {
    uint32_t i;
    if (to->kind == RECORD) return; /* a list or a dictionary of a class of its own */
    if (to->kind != added->kind) fail(j, "values are added to what cannot hold them");
    for (i = 0; i < added->count; i++) {
        if (to->count > UINT32_MAX / 2) fail(j, "too many values");
        to->u.items = (value **)grow(j, to->u.items, to->count, sizeof *to->u.items);
        to->u.items[to->count++] = added->u.items[i];
    }
}

/* ---- globals ----------------------------------------------------------------------------------------------------- */

int is_text(const value *v, const char *text) {
    return v->kind == TEXT && v->count == strlen(text) && memcmp(v->u.text, text, v->count) == 0;
}

static int consists_of(const char *text, const char *prefix, const char *suffix) {
    const size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 && strcmp(text + n, suffix) == 0;
}

static value *find_global(job *j, const value *module, const value *name) {
    value *v = new_value(j, GLOBAL);
    const char *of = module->u.text, *text = name->u.text, *d = dtypes, *reason;
    char path[300] = "\n", type[16], plain[16], own[16];
    size_t i;
    int n, is_torch;
    if (module->kind != TEXT || name->kind != TEXT) fail(j, "the name of a global is not text");
    if (is_text(module, "__builtin__")) of = "builtins"; /* its name in Python 2 */
    if (module->count + name->count < 200 && !strpbrk(of, " ") && !strpbrk(text, " "))
        sprintf(path, " %s.%s ", of, text);
    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (strstr(known[i].names, path)) v->role = known[i].role;
    }
    is_torch = !strcmp(of, "torch") || !strcmp(of, "torch.cuda") || !strcmp(of, "torch.storage");
    for (; is_torch && sscanf(d, "%15s %15s %15s%n", type, plain, own, &n) == 3; d += n) {
        const int is_type = consists_of(text, type, "Storage") || consists_of(text, type, "Tensor");
        if (!is_type && strcmp(text, plain) != 0) continue;
        v->role = is_type ? 'S' : 'D';
        (void)st_dtype_from_name(own, &v->u.dtype);
    }
    if (!v->role && (j->flags & ANY_CLASS || strncmp(of, "__torch__", 9) == 0)) v->role = 'r';
    reason = v->role == 'x'   ? "sparse tensors are not supported"
             : v->role == 'q' ? "quantized tensors are not supported"
             : v->role == 'm' ? "tensors on the device meta have no data"
             : !v->role       ? "nothing was run; the file wants a global that is not on the list of safe ones"
                              : NULL;
    if (reason) fail(j, "%s: %.200s.%.200s", reason, of, text);
    return v;
}

static int has_role(const value *v, char role) {
    return v->kind == GLOBAL && v->role == role;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

uint64_t unsigned_of(job *j, const value *v) {
    if (v->kind != INTEGER || v->u.integer < 0)
        fail(j, "a size, an offset, a stride or a key is not a number from 0 on");
    return (uint64_t)v->u.integer;
}

storage *new_storage(job *j, const value *type, uint64_t count) {
    storage *s = (storage *)allocate(j, sizeof *s);
    if (!has_role(type, 'S')) fail(j, "a storage of an unknown type");
    s->dtype = type->u.dtype, s->count = count, s->data.offset = UINT64_MAX;
    s->size = st_dtype_bits(s->dtype) / 8;
    if (count > INT64_MAX / s->size) fail(j, "a storage is too large");
    return s;
}

value *new_tensor(job *j, const storage *from, st_dtype dtype, uint32_t rank) {
    value *v = new_value(j, TENSOR);
    tensor *t = v->u.tensor = (tensor *)allocate(j, sizeof *t);
    if (rank > MAX_RANK) fail(j, "a tensor has more than 64 dimensions");
    t->storage = from, t->dtype = dtype, t->rank = rank, t->size = st_dtype_bits(dtype) / 8;
    t->shape = (uint64_t *)allocate(j, 2 * rank * sizeof *t->shape);
    t->stride = t->shape + rank;
    return v;
}

void place_tensor(job *j, tensor *t, uint64_t offset) {
    const uint64_t places = t->storage->count * t->storage->size / t->size; /* a storage can count bytes */
    uint64_t last = offset, elements = 1;
    uint32_t d;
    for (d = 0; d < t->rank; d++) {
        if (t->shape[d] < 2) t->stride[d] = 0; /* is never used */
        if (t->shape[d] == 0) elements = 0;
    }
    for (d = 0; d < t->rank && elements; d++) {
        if (elements > INT64_MAX / t->size / t->shape[d]) fail(j, "the shape of a tensor is too large");
        elements *= t->shape[d];
        if (last >= places || (t->stride[d] && t->shape[d] - 1 > (places - 1 - last) / t->stride[d])) break;
        last += t->stride[d] * (t->shape[d] - 1);
    }
    if (elements && (d < t->rank || last >= places)) fail(j, "a tensor leaves its storage");
    t->bytes = elements * t->size;
    t->start = elements ? t->storage->start * t->storage->size + offset * t->size : 0;
}

static value *make_tensor(job *j, const value *arguments, int is_v3) {
    value *const *a = arguments->u.items, *v;
    const uint32_t extra = is_v3 ? 7 : 6; /* index of the optional argument */
    uint32_t d;
    if (arguments->count < (is_v3 ? 7 : 4) || a[0]->kind != STORAGE || a[2]->kind != TUPLE || a[3]->kind != TUPLE ||
        a[2]->count != a[3]->count || (is_v3 && !has_role(a[6], 'D'))) {
        fail(j, "a tensor is described in an unknown way, or has an unknown dtype");
    }
    if (arguments->count > extra && a[extra]->kind == DICT && a[extra]->count) {
        fail(j, "conjugated and negated views are not supported");
    }
    v = new_tensor(j, a[0]->u.storage, is_v3 ? a[6]->u.dtype : a[0]->u.storage->dtype, a[2]->count);
    for (d = 0; d < a[2]->count; d++) {
        v->u.tensor->shape[d] = unsigned_of(j, a[2]->u.items[d]);
        v->u.tensor->stride[d] = unsigned_of(j, a[3]->u.items[d]);
    }
    place_tensor(j, v->u.tensor, unsigned_of(j, a[1]));
    return v;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static value *make_scalar(job *j, const value *dtype, const value *bytes) {
    const char code = dtype->kind == TEXT && dtype->count == 2 ? dtype->u.text[0] : '?';
    const kind what = code == 'b' ? BOOL : code == 'i' || code == 'u' ? INTEGER : code == 'f' ? NUMBER : NONE;
    const uint32_t count = bytes->kind == TEXT && bytes->count <= 8 ? bytes->count : 0;
    if (what == NONE || dtype->u.text[1] != (char)('0' + count) || (what == NUMBER && count < 8))
        return new_value(j, NONE);
    return new_integer(j, what, number_of(bytes->u.text, count, code == 'i'));
}

/* Protocol 2 has no bytes: they are written as the text that Latin-1 turns into them. */
static value *encode(job *j, const value *text) {
    value *v = new_value(j, TEXT);
    char *bytes = (char *)allocate(j, text->kind == TEXT ? text->count + 1 : 1);
    uint32_t i, code, n;
    v->u.text = bytes;
    for (i = 0; text->kind == TEXT && i < text->count; i += n) {
        n = (uint32_t)utf8_decode(text->u.text + i, text->count - i, &code);
        if (n == 0 || code > 255) fail(j, "a text that is not Latin-1");
        bytes[v->count++] = (char)(unsigned char)code;
    }
    return v;
}

static value *make_dict(job *j, const value *pairs) {
    value *v = new_value(j, DICT);
    uint32_t i;
    for (i = 0; pairs->kind == LIST && i < pairs->count; i++) {
        value pair = *pairs->u.items[i];
        if ((pair.kind != LIST && pair.kind != TUPLE) || pair.count != 2) fail(j, "a dictionary of what is no pair");
        pair.kind = DICT;
        extend(j, v, &pair);
    }
    return v;
}

static value *call(job *j, const value *function, const value *arguments) {
    value *const *a = arguments->u.items;
    const uint32_t n = arguments->count;
    if (arguments->kind != TUPLE) fail(j, "the arguments of a call are not a tuple");
    switch (function->kind == GLOBAL ? function->role : 0) {
    case 'd': return n ? make_dict(j, a[0]) : new_value(j, DICT);
    case 'l': return n && a[0]->kind == LIST ? a[0] : new_value(j, LIST);
    case 'r': return new_value(j, RECORD);
    case '1': return n ? a[0] : new_value(j, NONE);
    case 't':
    case 'v': return make_tensor(j, arguments, function->role == 'v');
    case 'b': return n ? encode(j, a[0]) : new_value(j, NONE);
    case 'n': return n == 2 ? make_scalar(j, a[0], a[1]) : new_value(j, NONE);
    default: break;
    }
    if (!has_role(function, 'c') || n < 3 || has_role(a[0], 'c')) fail(j, "a call of what is no function");
    return call(j, a[0], a[2]);
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

/* Returns the value that the opcode pushes, or NULL if the opcode is none of those. */
static value *read_value(job *j, int opcode) {
    part *p = j->pickle;
    value *a, *b;
    switch (opcode) {
    case 'N': return new_value(j, NONE);
    case 0x88: return new_integer(j, BOOL, 1);
    case 0x89: return new_integer(j, BOOL, 0);
    case 'I': return read_decimal(j);
    case 'L': return read_decimal(j);
    case 'J': return new_integer(j, INTEGER, (uint64_t)(int32_t)(uint32_t)read_number(j, p, 4));
    case 'K': return new_integer(j, INTEGER, read_number(j, p, 1));
    case 'M': return new_integer(j, INTEGER, read_number(j, p, 2));
    case 'G': return read_float(j);
    case 0x8a: return read_long(j, read_number(j, p, 1));
    case 0x8b: return read_long(j, read_number(j, p, 4));
    case '(': return &mark;
    case ')': return new_value(j, TUPLE);
    case ']': return new_value(j, LIST);
    case 0x8f: return new_value(j, LIST); /* a set */
    case '}': return new_value(j, DICT);
    case 't': return pop_values(j, TUPLE, 0, 1);
    case 'l': return pop_values(j, LIST, 0, 1);
    case 0x91: return pop_values(j, LIST, 0, 1); /* a frozen set */
    case 'd': return pop_values(j, DICT, 0, 1);
    case '2': return top(j);
    case 'h': return get(j, read_number(j, p, 1));
    case 'j': return get(j, read_number(j, p, 4));
    case 'c': a = read_line(j), b = read_line(j); return find_global(j, a, b);
    case 0x93: b = pop(j), a = pop(j); return find_global(j, a, b);
    case 'P': return persistent_value(j, read_line(j));
    case 'Q': return persistent_value(j, pop(j));
    default: break;
    }
    if (opcode == 'U' || opcode == 'C' || opcode == 0x8c) return read_text(j, read_number(j, p, 1)); /* or bytes */
    if (opcode == 'T' || opcode == 'B' || opcode == 'X') return read_text(j, read_number(j, p, 4));
    if (opcode == 0x8d || opcode == 0x8e || opcode == 0x96) return read_text(j, read_number(j, p, 8));
    if (opcode >= 0x85 && opcode <= 0x87) return pop_values(j, TUPLE, (size_t)opcode - 0x84, 0);
    if (opcode != 'R' && opcode != 0x81 && opcode != 0x92) return NULL;
    if (opcode == 0x92) (void)pop(j); /* named arguments */
    b = pop(j), a = pop(j);
    return call(j, a, b);
}

static void run_opcode(job *j, int opcode) {
    value *v;
    switch (opcode) {
    case 0x80: /* protocol */
        if (read_number(j, j->pickle, 1) > 5) fail(j, "a pickle of a protocol later than 5");
        break;
    case 0x95: (void)read_number(j, j->pickle, 8); break; /* frame */
    case '0': (void)pop(j); break;
    case '1': (void)pop_values(j, LIST, 0, 1); break;
    case 'q': put(j, read_number(j, j->pickle, 1)); break;
    case 'r': put(j, read_number(j, j->pickle, 4)); break;
    case 0x94: put(j, j->memo_count); break;
    case 'a': v = pop_values(j, LIST, 1, 0), extend(j, top(j), v); break;
    case 's': v = pop_values(j, DICT, 2, 0), extend(j, top(j), v); break;
    case 'e': v = pop_values(j, LIST, 0, 1), extend(j, top(j), v); break;
    case 0x90: v = pop_values(j, LIST, 0, 1), extend(j, top(j), v); break;
    case 'u': v = pop_values(j, DICT, 0, 1), extend(j, top(j), v); break;
    case 'b': /* attributes; those of a dictionary or a tensor are of no interest */
        v = pop(j);
        if (top(j)->kind == RECORD) top(j)->u.state = v;
        break;
    default: fail(j, "an opcode that PyTorch does not use");
    }
}

value *load_pickle(job *j, part *from) {
    int opcode;
    value *v;
    j->pickle = from;
    j->stack = j->memo = NULL;
    j->depth = j->memo_places = j->memo_count = 0;
    for (;;) {
        j->opcode_at = from->at;
        opcode = (int)read_number(j, from, 1);
        if (opcode == '.') break;
        v = read_value(j, opcode);
        if (v) push(j, v);
        if (!v) run_opcode(j, opcode);
    }
    v = pop(j);
    j->pickle = NULL;
    return v;
}
