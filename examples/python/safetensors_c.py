"""safetensors_c: the C library from Python, through ctypes, in one file.

    cc -O2 -shared -fPIC -x c -DST_IMPLEMENTATION safetensors.h -o libsafetensors_c.so     # beside this file

    import safetensors_c
    tensors = safetensors_c.load_file("model.safetensors")    # name -> Tensor; nothing is copied
    weight = tensors["embed.weight"].numpy()                   # a read-only view of the mapped file
    weight = numpy.from_dlpack(tensors["embed.weight"])        # the same through DLPack; torch, jax, cupy ... too
    safetensors_c.save_file({"embed.weight": weight}, "new.safetensors", metadata={"format": "np"})

A tensor keeps its model open, and so does every array and capsule made of it: the mapping ends when the last of them is
gone, whatever the order of del and of the garbage collector. Mapped tensors are read-only. load_file(path, copy=True)
reads into memory of its own, which may be written to.

Only Python's standard library is needed. Tensor.numpy() wants numpy, and ml_dtypes for BF16 and F8.
"""
import ctypes
import gc
import os
import sys

__all__ = ["SafetensorsError", "Tensor", "Model", "load", "load_file", "load_into", "save", "save_file"]

# ---- the structs and calls of safetensors.h ------------------------------------------------------------------------

_VERSION_WANTED = (0, 5)  # before 1.0 each minor version may change the structs below


class _Error(ctypes.Structure):
    _fields_ = [("position", ctypes.c_uint64), ("expected", ctypes.c_uint64), ("actual", ctypes.c_uint64),
                ("status", ctypes.c_int), ("sys", ctypes.c_int), ("item", ctypes.c_size_t),
                ("subject", ctypes.c_char * 64), ("message", ctypes.c_char * 240)]


class _Pair(ctypes.Structure):
    _fields_ = [("key", ctypes.c_void_p), ("value", ctypes.c_void_p),
                ("key_bytes", ctypes.c_size_t), ("value_bytes", ctypes.c_size_t)]


class _Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("dtype", ctypes.c_int), ("rank", ctypes.c_uint32),
                ("shape", ctypes.POINTER(ctypes.c_uint64)), ("data", ctypes.c_void_p), ("name_bytes", ctypes.c_size_t),
                ("bytes", ctypes.c_uint64), ("elements", ctypes.c_uint64), ("offset", ctypes.c_uint64),
                ("dtype_name", ctypes.c_char_p), ("shard", ctypes.c_uint32)]


class _Model(ctypes.Structure):
    _fields_ = [("tensors", ctypes.POINTER(_Tensor)), ("count", ctypes.c_size_t),
                ("metadata", ctypes.POINTER(_Pair)), ("metadata_count", ctypes.c_size_t),
                ("shards", ctypes.c_void_p), ("shard_count", ctypes.c_size_t), ("bytes", ctypes.c_uint64),
                ("index", ctypes.POINTER(_Pair)), ("index_count", ctypes.c_size_t), ("stem", ctypes.c_char_p)]


class _Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_uint64), ("stop", ctypes.c_uint64), ("step", ctypes.c_uint64)]


class _View(ctypes.Structure):
    _fields_ = [("ranges", ctypes.POINTER(_Range)), ("range_count", ctypes.c_uint32),
                ("axes", ctypes.POINTER(ctypes.c_uint32))]


class _Contents(ctypes.Structure):
    _fields_ = [("tensors", ctypes.POINTER(_Tensor)), ("count", ctypes.c_size_t),
                ("metadata", ctypes.POINTER(_Pair)), ("metadata_count", ctypes.c_size_t),
                ("index", ctypes.POINTER(_Pair)), ("index_count", ctypes.c_size_t), ("source", ctypes.c_void_p)]


_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Sink(ctypes.Structure):
    _fields_ = [("user", ctypes.c_void_p), ("write", _WRITE)]


class _SaveOptions(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint), ("align", ctypes.c_size_t), ("slack", ctypes.c_size_t),
                ("max_shard_bytes", ctypes.c_uint64), ("sink", ctypes.POINTER(_Sink)), ("fill", ctypes.c_void_p),
                ("progress", ctypes.c_void_p), ("user", ctypes.c_void_p), ("allocator", ctypes.c_void_p),
                ("work", ctypes.c_void_p), ("work_bytes", ctypes.c_size_t), ("stem", ctypes.c_char_p)]


def _open_library():
    folder = os.path.dirname(os.path.abspath(__file__))
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    path = os.environ.get("SAFETENSORS_C_LIBRARY") or os.path.join(folder, "libsafetensors_c" + suffix)
    if not os.path.exists(path):
        raise ImportError("no %s: build it from safetensors.h as the first lines of safetensors_c.py say, "
                          "or set SAFETENSORS_C_LIBRARY" % path)
    library = ctypes.CDLL(path)
    model, error = ctypes.POINTER(_Model), ctypes.POINTER(_Error)
    for name, result, arguments in (
            ("st_version", ctypes.c_uint, []),
            ("st_status_name", ctypes.c_char_p, [ctypes.c_int]),
            ("st_dtype_bits", ctypes.c_uint, [ctypes.c_int]),
            ("st_dtype_from_name", ctypes.c_int, [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)]),
            ("st_open", ctypes.c_int, [ctypes.POINTER(model), ctypes.c_char_p, ctypes.c_void_p, error]),
            ("st_open_memory", ctypes.c_int,
             [ctypes.POINTER(model), ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, error]),
            ("st_read_as", ctypes.c_int, [model, ctypes.POINTER(_Tensor), ctypes.POINTER(_View), ctypes.c_int,
                                          ctypes.c_void_p, ctypes.c_size_t, error]),
            ("st_save", ctypes.c_int,
             [ctypes.c_char_p, ctypes.POINTER(_Contents), ctypes.POINTER(_SaveOptions), error]),
            ("st_close", None, [model])):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    version = library.st_version() // 10000, library.st_version() // 100 % 100
    if version != _VERSION_WANTED:
        raise ImportError("%s is version %d.%d of safetensors.h, but this file was written for %d.%d"
                          % ((path,) + version + _VERSION_WANTED))
    return library


_library = _open_library()


class SafetensorsError(Exception):
    """What st_error says. `status` is the name of the status, such as "ST_ERR_JSON"."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def _check(status, error):
    if status:
        name = _library.st_status_name(status).decode()
        raise SafetensorsError(name, error.message.decode("utf-8", "replace"))


# ---- dtypes --------------------------------------------------------------------------------------------------------

_ML_DTYPES = {"BF16": "bfloat16", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu",
              "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz"}
_NUMPY_NAMES = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "F16": "float16",
                "U32": "uint32", "I32": "int32", "F32": "float32", "U64": "uint64", "I64": "int64", "F64": "float64",
                "C64": "complex64", **_ML_DTYPES}
_DTYPE_OF_NAME = {numpy_name: name for name, numpy_name in _NUMPY_NAMES.items()}

# DLPack's type codes: 0 signed, 1 unsigned, 2 float, 4 bfloat, 5 complex, 6 bool, 7 and up F8
_DLPACK_CODES = {"BOOL": 6, "U8": 1, "U16": 1, "U32": 1, "U64": 1, "I8": 0, "I16": 0, "I32": 0, "I64": 0, "F16": 2,
                 "F32": 2, "F64": 2, "BF16": 4, "C64": 5, "F8_E4M3": 10, "F8_E4M3FNUZ": 11, "F8_E5M2": 12,
                 "F8_E5M2FNUZ": 13, "F8_E8M0": 14}


def _dtype_number(name):
    number = ctypes.c_int()
    _library.st_dtype_from_name(name.encode(), ctypes.byref(number))
    return number.value


def _numpy_dtype(name):
    import numpy
    if name in _ML_DTYPES:
        import ml_dtypes
        return numpy.dtype(getattr(ml_dtypes, _ML_DTYPES[name]))
    if name not in _NUMPY_NAMES:
        raise TypeError("numpy has no dtype for %s; Tensor.buffer() has the bytes" % name)
    return numpy.dtype(_NUMPY_NAMES[name]).newbyteorder("<")


# ---- reading -------------------------------------------------------------------------------------------------------


class Model:
    """An open model: an iterable mapping of names to tensors, in the order of their data."""

    def __init__(self, handle, keep=None):
        self._handle, self._keep = handle, keep
        model = handle.contents
        self.metadata = None
        if model.metadata:
            self.metadata = {ctypes.string_at(pair.key, pair.key_bytes).decode():
                             ctypes.string_at(pair.value, pair.value_bytes).decode()
                             for pair in model.metadata[:model.metadata_count]}
        self._tensors = {}
        for i in range(model.count):
            tensor = model.tensors[i]
            self._tensors[ctypes.string_at(tensor.name, tensor.name_bytes).decode()] = i

    def __del__(self, close=_library.st_close):  # at exit the names of this file may be gone
        if getattr(self, "_handle", None):
            close(self._handle)
            self._handle = None

    def __reduce__(self):  # a copy would close the model a second time
        raise TypeError("a Model cannot be copied or pickled")

    def __len__(self):
        return len(self._tensors)

    def __iter__(self):
        return iter(self._tensors)

    def __contains__(self, name):
        return name in self._tensors

    def keys(self):
        return self._tensors.keys()

    def items(self):
        return ((name, self[name]) for name in self._tensors)

    def __getitem__(self, name):
        return Tensor(self, name, self._handle.contents.tensors[self._tensors[name]])


class Tensor:
    """One tensor, whose bytes are in the mapping of its model or in memory of its own."""

    def __init__(self, model, name, tensor):
        self.name, self.dtype, self.nbytes, self.readonly = name, tensor.dtype_name.decode(), tensor.bytes, True
        self.shape = tuple(tensor.shape[:tensor.rank])
        self._model, self._tensor, self._owner, self._data = model, tensor, model, tensor.data
        if not self._data and self.nbytes:  # the system could not map the file
            self._own(self.dtype, self.shape, self._read(None, 0, self.nbytes))

    def __repr__(self):
        return "Tensor(%r, %s, %s)" % (self.name, self.dtype, list(self.shape))

    def _read(self, view, dtype, nbytes):
        memory, error = (ctypes.c_ubyte * nbytes)(), _Error()
        _check(_library.st_read_as(self._model._handle, ctypes.byref(self._tensor), view, dtype, memory, nbytes,
                                   ctypes.byref(error)), error)
        return memory

    def _own(self, dtype, shape, memory):
        self.dtype, self.shape, self.nbytes, self.readonly = dtype, shape, len(memory), False
        self._model, self._owner, self._data = None, memory, ctypes.addressof(memory)

    def read(self, dtype=None, transpose=False):
        """Returns a copy in memory of its own, converted to another dtype ("F32", "I64", ...) if one is given, and with
        its axes reversed if asked for."""
        if not self._model:  # the library reads files only
            return load(save({self.name: self}))[self.name].read(dtype, transpose)
        number = _dtype_number(dtype or self.dtype)
        if dtype and not number:
            raise ValueError("no dtype %r" % dtype)
        view, bits = None, _library.st_dtype_bits(number)
        if transpose:
            view = _View(axes=(ctypes.c_uint32 * len(self.shape))(*reversed(range(len(self.shape)))))
        copy = Tensor.__new__(Tensor)
        copy.name = self.name
        copy._own(dtype or self.dtype, self.shape[::-1] if transpose else self.shape,
                  self._read(view, number, self._tensor.elements * bits // 8 if number else self.nbytes))
        return copy

    def buffer(self):
        """Returns a flat memoryview of the bytes, without a copy."""
        memory = self._owner
        if not isinstance(memory, ctypes.Array):
            memory = (ctypes.c_ubyte * self.nbytes).from_address(self._data or ctypes.addressof(_nothing))
            memory.model = self._owner  # the view keeps the array alive, and the array the model
        view = memoryview(memory).cast("B")
        return view.toreadonly() if self.readonly else view

    def numpy(self):
        """Returns a numpy array without a copy."""
        import numpy
        return numpy.frombuffer(self.buffer(), _numpy_dtype(self.dtype)).reshape(self.shape)

    def __dlpack_device__(self):
        return 1, 0  # memory of the CPU

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """Returns a DLPack capsule, without a copy unless asked for one. Only DLPack 1.0 can mark memory as read-only,
        so consumers of older versions get a mapped tensor only by copy=True, or after read()."""
        if dl_device not in (None, (1, 0)):
            raise BufferError("the tensor is in memory of the CPU")
        if copy:
            return self.read().__dlpack__(max_version=max_version)
        versioned = max_version is not None and max_version[0] >= 1
        if self.readonly and not versioned:
            raise BufferError("%s is read-only, which DLPack before 1.0 cannot say: use read()" % self.name)
        if sys.byteorder != "little" or self.dtype not in _DLPACK_CODES:
            raise BufferError("DLPack cannot describe %s here" % self.dtype)
        bits = _library.st_dtype_bits(_dtype_number(self.dtype))
        if (self._data or 0) % min(bits // 8, 8):
            raise BufferError("%s is not aligned in its file: use read()" % self.name)
        return _capsule(self, bits, versioned)


_nothing = ctypes.c_ubyte()  # where tensors without bytes lie


def _path(path):
    path = os.fsencode(path)
    if b"\0" in path:
        raise ValueError("embedded NUL in a path")  # the library would end the path there
    return path


def _model(status, handle, error, keep=None):
    _check(status, error)
    return Model(handle, keep)


def load_file(path, copy=False):
    """Opens a file, an index or a directory. Returns a Model, or with copy=True a dict of tensors in memory."""
    handle, error = ctypes.POINTER(_Model)(), _Error()
    status = _library.st_open(ctypes.byref(handle), _path(path), None, ctypes.byref(error))
    model = _model(status, handle, error)
    return {name: tensor.read() for name, tensor in model.items()} if copy else model


def load(data, transpose=False):
    """Opens the bytes of a file: any contiguous buffer, which is not copied if it is bytes. With transpose=True returns
    a dict instead, in which every tensor of two axes whose name ends in ".weight" is transposed."""
    data = data if isinstance(data, bytes) else memoryview(data).tobytes()
    handle, error = ctypes.POINTER(_Model)(), _Error()
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p)
    status = _library.st_open_memory(ctypes.byref(handle), address, len(data), None, ctypes.byref(error))
    model = _model(status, handle, error, data)
    if not transpose:
        return model
    return {name: tensor.read(transpose=True) if len(tensor.shape) == 2 and name.endswith(".weight") else tensor
            for name, tensor in model.items()}


def load_into(data, module, transpose=False, root=""):
    """Copies the tensors of a file's bytes into a module: anything with named_parameters(), as torch has it, or a
    mapping of names to arrays. A parameter is looked up under its name and under "ROOT.NAME". Returns the names of the
    parameters that the file lacks and of the tensors that no parameter took."""
    tensors = load(data, transpose)
    parameters = dict(module.named_parameters() if hasattr(module, "named_parameters") else module)
    unused, missing, pairs = set(tensors), [], []
    for name, parameter in parameters.items():
        found = [key for key in (name, root + "." + name) if key in tensors]
        if not found:
            missing.append(name)
            continue
        values = tensors[found[0]]
        if tuple(parameter.shape) != values.shape:
            raise ValueError("%s: the parameter is %s, the file has %s"
                             % (name, list(parameter.shape), list(values.shape)))
        pairs.append((parameter, values))
        unused.discard(found[0])
    for parameter, values in pairs:  # nothing is copied if a shape is wrong
        if hasattr(parameter, "data") and hasattr(parameter.data, "copy_"):
            import torch
            parameter.data.copy_(torch.from_dlpack(values.read() if values.readonly else values))
        else:
            parameter[...] = values.numpy()
    return missing, sorted(unused)


# ---- DLPack --------------------------------------------------------------------------------------------------------


class _DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("byte_offset", ctypes.c_uint64)]


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]


class _ManagedVersioned(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
                ("deleter", _DELETER), ("flags", ctypes.c_uint64), ("tensor", _DLTensor)]


_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_IsValid.argtypes = [ctypes.py_object, ctypes.c_char_p]

_exported = {}  # address of a managed tensor -> what keeps its memory alive, until its consumer calls the deleter
_deleter = _DELETER(lambda address, exported=_exported: exported.pop(address, None) and None)
_python.Py_IncRef(ctypes.py_object(_deleter))  # consumers may call it while the interpreter ends
_UNVERSIONED, _VERSIONED = b"dltensor", b"dltensor_versioned"

# A consumer renames the capsule and calls the deleter when it is done. A capsule that nobody consumes needs another
# way out. A destructor written in Python is none: numpy drops capsules that it cannot use with an exception set, when
# no Python can run. So new capsules wait here until they are consumed, or until nobody else refers to them.
_waiting = []


def _references(entry):
    return sys.getrefcount(entry[0])


_ONLY_HERE = _references((object(), None, 0))


def _release_unused(phase=None, info=None):
    still = []
    while _waiting:
        entry = _waiting.pop()
        capsule_is_new = _python.PyCapsule_IsValid(entry[0], entry[1])
        if capsule_is_new and _references(entry) > _ONLY_HERE:
            still.append(entry)
        elif capsule_is_new:
            _exported.pop(entry[2], None)
    _waiting.extend(still)


gc.callbacks.append(_release_unused)


def _capsule(tensor, bits, versioned):
    rank = len(tensor.shape)
    shape, strides, step = (ctypes.c_int64 * rank)(*tensor.shape), (ctypes.c_int64 * rank)(), 1
    for axis in reversed(range(rank)):
        strides[axis] = step
        step *= max(tensor.shape[axis], 1)
    managed = _ManagedVersioned(major=1, minor=0, flags=1 if tensor.readonly else 0) if versioned else _Managed()
    managed.deleter = _deleter
    managed.tensor = _DLTensor(tensor._data, 1, 0, rank, _DLPACK_CODES[tensor.dtype], bits, 1, shape, strides, 0)
    address = ctypes.addressof(managed)
    name = _VERSIONED if versioned else _UNVERSIONED
    capsule = _python.PyCapsule_New(address, name, None)
    _release_unused()
    _exported[address] = managed, shape, strides, tensor._owner
    _waiting.append((capsule, name, address))
    return capsule


# ---- saving --------------------------------------------------------------------------------------------------------


def _described(value):
    """Returns dtype, shape, the address of little-endian bytes in C order, and what keeps them alive."""
    if isinstance(value, Tensor):
        return value.dtype, value.shape, value._data, value
    import numpy
    if not hasattr(value, "__array_interface__"):
        value = numpy.from_dlpack(value) if hasattr(value, "__dlpack__") else numpy.asarray(value)
    name = _DTYPE_OF_NAME.get(value.dtype.name)
    if name is None:
        raise TypeError("safetensors has no dtype for %s" % value.dtype)
    shape = value.shape  # ascontiguousarray makes a scalar an array of one axis
    if value.dtype.isbuiltin != 2:  # not one of ml_dtypes, which have no byte order
        value = value.astype(value.dtype.newbyteorder("<"), copy=False)
    value = numpy.ascontiguousarray(value)
    return name, shape, value.ctypes.data, value


def _pair(key, value):
    if not isinstance(key, str) or not isinstance(value, str):
        raise TypeError("metadata maps strings to strings")
    key, value = key.encode(), value.encode()
    texts = [ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p) for text in (key, value)]
    return _Pair(*texts, len(key), len(value)), (key, value)


def _save(path, tensors, metadata, options):
    array, keep = (_Tensor * len(tensors))(), []
    for entry, (name, value) in zip(array, tensors.items()):
        if not isinstance(name, str):
            raise TypeError("names of tensors are strings, not %r" % (name,))
        dtype, shape, address, held = _described(value)
        text, extents = name.encode(), (ctypes.c_uint64 * len(shape))(*shape)
        keep.append((text, extents, held))
        entry.name, entry.name_bytes = ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p), len(text)
        entry.dtype, entry.rank, entry.shape, entry.data = _dtype_number(dtype), len(shape), extents, address
    contents = _Contents(tensors=array, count=len(tensors))
    if metadata is not None:
        pairs = [_pair(key, value) for key, value in metadata.items()]
        contents.metadata = (_Pair * max(len(pairs), 1))(*[pair for pair, _ in pairs])
        contents.metadata_count = len(pairs)
        keep.append(pairs)
    error = _Error()
    _check(_library.st_save(path, ctypes.byref(contents), options, ctypes.byref(error)), error)


def save_file(tensors, path, metadata=None):
    """Saves a mapping of names to Tensors, numpy arrays or anything with __dlpack__, atomically."""
    _save(_path(path), tensors, metadata, None)


def save(tensors, metadata=None):
    """Returns the bytes of the file that save_file would write."""
    blocks, errors = [], []

    def write(user, address, count):
        try:
            blocks.append(ctypes.string_at(address, count))
        except BaseException as error:  # no memory, or Ctrl-C: ctypes would print it and go on without the block
            errors.append(error)
        return len(errors)

    sink = _Sink(None, _WRITE(write))
    try:
        _save(None, tensors, metadata, ctypes.byref(_SaveOptions(sink=ctypes.pointer(sink))))
    except SafetensorsError:
        if errors:
            raise errors[0]
        raise
    return b"".join(blocks)
