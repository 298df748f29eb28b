/* rebuild.c: the functions of Python that PyTorch's files need. Every other is refused by its name. */
#include "pt2st.h"
#include "../common/text.h"
#include <string.h>

/* d makes a dictionary, l a list, r a record (an object with attributes, or of no interest), t and v a tensor, n a number
 * of NumPy; 1 returns its first argument, b turns it from text to bytes, c calls it with the third; S is a type of
 * storages, D a dtype. */
static const struct known {
    char role;
    const char *refused, *names; /* refused: why, or NULL; names: with blanks around each */
} known[] = {
    {'d', NULL, " collections.OrderedDict collections.defaultdict collections.Counter builtins.dict "},
    {'l', NULL, " builtins.list builtins.set builtins.frozenset "},
    {'r', NULL,
     " builtins.object builtins.complex builtins.slice builtins.range argparse.Namespace types.SimpleNamespace "
     "numpy.ndarray numpy.core.multiarray._reconstruct numpy._core.multiarray._reconstruct torch.device "
     "numpy._core.numeric._frombuffer torch.serialization._get_layout torch.Tensor "},
    {'t', NULL, " torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2 "},
    {'v', NULL, " torch._utils._rebuild_tensor_v3 "},
    {'n', NULL, " numpy.core.multiarray.scalar numpy._core.multiarray.scalar "},
    {'1', NULL,
     " builtins.int builtins.float builtins.str builtins.bytes builtins.bytearray torch.Size numpy.dtype "
     "torch._utils._rebuild_parameter torch._utils._rebuild_parameter_with_state torch.nn.parameter.Parameter "
     "torch.nn.parameter.Buffer torch.jit._pickle.build_intlist torch.jit._pickle.build_doublelist "
     "torch.jit._pickle.build_boollist torch.jit._pickle.build_tensorlist torch.jit._pickle.restore_type_tag "},
    {'b', NULL, " _codecs.encode "},
    {'c', NULL, " torch._tensor._rebuild_from_type_v2 "},
    {0, "sparse tensors are not supported",
     " torch._utils._rebuild_sparse_tensor torch._utils._rebuild_sparse_csr_tensor "},
    {0, "quantized tensors are not supported", " torch._utils._rebuild_qtensor "},
    {0, "tensors on the device meta have no data", " torch._utils._rebuild_meta_tensor_no_storage "},
};

/* what PyTorch calls a dtype, in FloatStorage and FloatTensor and by itself, and what safetensors does */
static const char dtypes[] =
    "Bool bool BOOL  Byte uint8 U8  Untyped uint8 U8  Char int8 I8  Short int16 I16  Int int32 I32  Long int64 I64 "
    "Half float16 F16  BFloat16 bfloat16 BF16  Float float32 F32  Double float64 F64  ComplexFloat complex64 C64 "
    "- uint16 U16  - uint32 U32  - uint64 U64  - float8_e4m3fn F8_E4M3  - float8_e5m2 F8_E5M2 "
    "- float8_e4m3fnuz F8_E4M3FNUZ  - float8_e5m2fnuz F8_E5M2FNUZ  - float8_e8m0fnu F8_E8M0 ";

/* ---- globals ----------------------------------------------------------------------------------------------------- */

static void know_global(void *user, value *v, const value *module, const value *name) {
    job *j = (job *)user;
    const char *of = is_text(module, "__builtin__") ? "builtins" : module->u.text; /* its name in Python 2 */
    const char *text = name->u.text, *d = dtypes;
    const char *reason = "nothing was run; the file wants a global that is not on the list of safe ones";
    char path[300] = "\n", type[16], plain[16], own[16];
    st_dtype dtype;
    size_t i;
    int n, is_torch;
    if (module->count + name->count < 200 && !strpbrk(of, " ") && !strpbrk(text, " "))
        sprintf(path, " %s.%s ", of, text);
    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strstr(known[i].names, path)) continue;
        v->role = known[i].role, reason = known[i].refused;
    }
    is_torch = !strcmp(of, "torch") || !strcmp(of, "torch.cuda") || !strcmp(of, "torch.storage");
    for (; is_torch && sscanf(d, "%15s %15s %15s%n", type, plain, own, &n) == 3; d += n) {
        const char *rest = strncmp(text, type, strlen(type)) == 0 ? text + strlen(type) : "";
        const int is_type = strcmp(rest, "Storage") == 0 || strcmp(rest, "Tensor") == 0;
        if ((!is_type && strcmp(text, plain) != 0) || st_dtype_from_name(own, &dtype) != ST_OK) continue;
        v->role = is_type ? 'S' : 'D';
        v->u.integer = dtype;
    }
    if (!v->role && (j->any_class || strncmp(of, "__torch__", 9) == 0)) v->role = 'r';
    if (!v->role) fail(j, "%s: %.200s.%.200s", reason, of, text);
}

static int has_role(const value *v, char role) {
    return v->kind == GLOBAL && v->role == role;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

value *new_thing(job *j, int what, void *thing) {
    value *v = new_value(&j->guard, (kind)what);
    v->u.thing = thing;
    return v;
}

uint64_t unsigned_of(job *j, const value *v) {
    if (v->kind != INTEGER || v->u.integer < 0) fail(j, "a size, offset, stride or key is not a number from 0 on");
    return (uint64_t)v->u.integer;
}

tensor *new_tensor(job *j, st_dtype dtype, uint64_t rank) {
    tensor *t = (tensor *)allocate(j, sizeof *t);
    if (rank > MAX_RANK) fail(j, "a tensor has more than 64 dimensions");
    t->dtype = dtype, t->rank = (uint32_t)rank, t->size = st_dtype_bits(dtype) / 8;
    t->shape = (uint64_t *)allocate(j, 2 * t->rank * sizeof *t->shape);
    t->stride = t->shape + rank;
    return t;
}

tensor *new_storage(job *j, const value *type, uint64_t count) {
    tensor *s;
    if (!has_role(type, 'S')) fail(j, "a storage of an unknown type");
    s = new_tensor(j, (st_dtype)type->u.integer, 0);
    if (count > INT64_MAX / s->size) fail(j, "a storage is too large");
    s->data = (part *)allocate(j, sizeof *s->data), s->data->offset = UINT64_MAX;
    s->bytes = count * s->size;
    return s;
}

void place_tensor(job *j, tensor *t, const tensor *storage, uint64_t offset) {
    const uint64_t places = storage->bytes / t->size;
    uint64_t room = offset < places ? places - 1 - offset : 0, elements = 1; /* room: behind the last element */
    int is_outside = offset >= places;
    uint32_t d;
    for (d = 0; d < t->rank; d++) {
        if (t->shape[d] < 2) t->stride[d] = 0; /* is never used */
        if (t->shape[d] == 0) elements = 0;
    }
    for (d = 0; d < t->rank && elements; d++) {
        if (elements > INT64_MAX / t->size / t->shape[d]) fail(j, "the shape of a tensor is too large");
        elements *= t->shape[d];
        is_outside |= t->stride[d] && t->shape[d] - 1 > room / t->stride[d];
        if (!is_outside) room -= t->stride[d] * (t->shape[d] - 1);
    }
    if (elements && is_outside) fail(j, "a tensor leaves its storage");
    t->data = storage->data;
    t->bytes = elements * t->size;
    t->start = elements ? storage->start + offset * t->size : 0;
}

static value *make_tensor(job *j, const value *arguments, int is_v3) {
    value *const *a = arguments->u.items;
    const uint32_t extra = is_v3 ? 7 : 6; /* index of the optional argument */
    const tensor *storage;
    tensor *t;
    uint32_t d;
    if (arguments->count < (is_v3 ? 7 : 4) || a[0]->kind != STORAGE || a[2]->kind != TUPLE || a[3]->kind != TUPLE ||
        a[2]->count != a[3]->count || (is_v3 && !has_role(a[6], 'D'))) {
        fail(j, "a tensor is described in an unknown way, or has an unknown dtype");
    }
    if (arguments->count > extra && a[extra]->kind == DICT && a[extra]->count) {
        fail(j, "conjugated and negated views are not supported");
    }
    storage = (const tensor *)a[0]->u.thing;
    t = new_tensor(j, is_v3 ? (st_dtype)a[6]->u.integer : storage->dtype, a[2]->count);
    for (d = 0; d < t->rank; d++) {
        t->shape[d] = unsigned_of(j, a[2]->u.items[d]);
        t->stride[d] = unsigned_of(j, a[3]->u.items[d]);
    }
    place_tensor(j, t, storage, unsigned_of(j, a[1]));
    return new_thing(j, TENSOR, t);
}

/* ---- other calls ------------------------------------------------------------------------------------------------- */

static value *make_scalar(job *j, const value *dtype, const value *bytes) {
    const char code = dtype->kind == TEXT && dtype->count == 2 ? dtype->u.text[0] : '?';
    const kind what = code == 'b' ? BOOL : code == 'i' || code == 'u' ? INTEGER : code == 'f' ? NUMBER : NONE;
    const uint32_t count = bytes->kind == TEXT && bytes->count <= 8 ? bytes->count : 0;
    if (what == NONE || dtype->u.text[1] != (char)('0' + count) || (what == NUMBER && count < 8)) {
        return new_value(&j->guard, NONE);
    }
    return new_number(&j->guard, what, little_number(bytes->u.text, count, code == 'i'));
}

/* Protocol 2 has no bytes: they are written as the text that Latin-1 turns into them. */
static value *encode(job *j, const value *text) {
    value *v = new_value(&j->guard, TEXT);
    char *bytes = (char *)allocate(j, text->kind == TEXT ? text->count + (size_t)1 : 1);
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
    value *v = new_value(&j->guard, DICT);
    uint32_t i;
    for (i = 0; pairs->kind == LIST && i < pairs->count; i++) {
        value pair = *pairs->u.items[i];
        if ((pair.kind != LIST && pair.kind != TUPLE) || pair.count != 2) fail(j, "a dictionary of what is no pair");
        pair.kind = DICT;
        extend_value(&j->guard, v, &pair);
    }
    return v;
}

static value *call(void *user, const value *function, const value *arguments) {
    job *j = (job *)user;
    value *const *a = arguments->u.items;
    const uint32_t n = arguments->count;
    switch (function->role) {
    case 'd': return n ? make_dict(j, a[0]) : new_value(&j->guard, DICT);
    case 'l': return n && a[0]->kind == LIST ? a[0] : new_value(&j->guard, LIST);
    case 'r': return new_value(&j->guard, RECORD);
    case '1': return n ? a[0] : new_value(&j->guard, NONE);
    case 't':
    case 'v': return make_tensor(j, arguments, function->role == 'v');
    case 'b': return n ? encode(j, a[0]) : new_value(&j->guard, NONE);
    case 'n': return n == 2 ? make_scalar(j, a[0], a[1]) : new_value(&j->guard, NONE);
    default: break;
    }
    if (function->role != 'c' || n < 3 || a[0]->kind != GLOBAL || has_role(a[0], 'c') || a[2]->kind != TUPLE) {
        fail(j, "a call of what is no function");
    }
    return call(j, a[0], a[2]);
}

static void read_pickle(void *user, uint64_t at, void *dst, size_t bytes) {
    job *j = (job *)user;
    read_part(j, j->pickled, at, dst, bytes);
}

value *load_pickle(job *j, part *from) {
    pickle machine = {&j->guard, j,    read_pickle, know_global, call, persistent_value, from->at, from->bytes,
                      NULL,      NULL, 0,           0,           0};
    value *root;
    j->pickled = from;
    root = pickle_load(&machine);
    from->at = machine.at;
    return root;
}
