"""make.py FOLDER: makes the files that tests/examples/pt2st.sh converts, with the PyTorch that runs it.

Each X.pt has an X.json beside it: name -> [dtype, shape, bytes in hexadecimal], as the output should be, "aliases" that
map names to names, or "refused", a part of the message. The files here were made once, by

    for v in 1.0.0 1.1.0 1.4.0 1.6.0 1.12.1 2.1.2 2.15.0; do .../torch-$v/bin/python make.py v$v; done

with Python 2.7, 3.6, 3.7, 3.8, 3.10, 3.10 and 3.12. Nothing in the tests needs PyTorch.
"""
from __future__ import print_function
import argparse, collections, io, json, os, struct, sys, tarfile, zipfile
import numpy, torch

out = sys.argv[1]
version = tuple(int(x) for x in torch.__version__.split('+')[0].split('.')[:2])
if not os.path.isdir(out):
    os.makedirs(out)
torch.manual_seed(1)
CODES = {'float32': 'F32', 'float64': 'F64', 'float16': 'F16', 'bfloat16': 'BF16', 'int64': 'I64', 'int32': 'I32',
         'int16': 'I16', 'int8': 'I8', 'uint8': 'U8', 'bool': 'BOOL', 'complex64': 'C64', 'uint16': 'U16', 'uint32': 'U32',
         'uint64': 'U64', 'float8_e4m3fn': 'F8_E4M3', 'float8_e5m2': 'F8_E5M2', 'float8_e4m3fnuz': 'F8_E4M3FNUZ',
         'float8_e5m2fnuz': 'F8_E5M2FNUZ', 'float8_e8m0fnu': 'F8_E8M0'}


def entry(tensor):
    """The bytes by way of an array of integers of the same size, made of the elements one by one."""
    tensor = tensor.detach()
    name = str(tensor.dtype).replace('torch.', '')
    shape = list(tensor.shape)
    flat = tensor.contiguous().reshape(-1)
    if name == 'bfloat16':
        data = numpy.array([x >> 16 for x in flat.float().numpy().view('uint32').tolist()], 'uint16').tobytes()
    elif name.startswith('float8') or name in ('uint16', 'uint32', 'uint64'):
        data = flat.view(torch.uint8).numpy().tobytes()
    else:
        data = numpy.array(flat.tolist(), name).tobytes()
    return [CODES[name], shape, ''.join('%02x' % c for c in bytearray(data))]


def note(name, tensors, aliases=None, **more):
    wanted = {'tensors': {k: entry(v) for k, v in tensors.items()}, 'aliases': aliases or {}}
    wanted.update(more)
    with open(os.path.join(out, name + '.json'), 'w') as f:
        json.dump(wanted, f, indent=1, sort_keys=True)


def save(name, value, tensors=None, aliases=None, **options):
    more = {k: options.pop(k) for k in ('refused', 'arguments', 'metadata') if k in options}
    torch.save(value, os.path.join(out, name + '.pt'), **options)
    note(name, tensors or {}, aliases, **more)


def some(*shape):
    n = 1
    for d in shape:
        n *= d
    return (torch.arange(n).float() - 3.5).reshape(shape) / 4


# every dtype that this version has, and shapes without dimensions or elements
plain = collections.OrderedDict()
for name in sorted(CODES):
    dtype = getattr(torch, name, None)
    if dtype is None or (name == 'complex64' and version < (1, 6)) or (name == 'bool' and version < (1, 2)):
        continue
    if name.startswith('float8') and version < (2, 3):
        continue
    if name == 'bfloat16' and version < (1, 4):
        continue
    values = torch.arange(6).reshape(2, 3)
    if name in ('uint16', 'uint32', 'uint64'):
        plain['t.' + name] = torch.from_numpy(values.numpy().astype(name))
    elif name == 'float8_e8m0fnu':
        plain['t.' + name] = torch.arange(120, 126).to(torch.uint8).view(dtype).reshape(2, 3)
    elif name.startswith('float8'):
        plain['t.' + name] = some(2, 3).to(dtype)
    elif name == 'complex64':
        plain['t.' + name] = torch.from_numpy((numpy.arange(6) + 1j).astype('complex64').reshape(2, 3))
    elif name == 'bool':
        plain['t.' + name] = values > 2
    else:
        plain['t.' + name] = (values - 2).to(dtype)
plain['scalar'] = torch.tensor(2.5)
plain['empty'] = torch.zeros(3, 0)
plain[u'caf\u00e9/\u65e5'] = some(2)
save('plain', plain, plain)

# views of one storage, and tied tensors
base = some(4, 6)
views = collections.OrderedDict()
views['base'] = base
views['transposed'] = base.t()
views['columns'] = base[:, 1:5:2]
views['row'] = base[2]
views['diagonal'] = torch.diagonal(base)
views['expanded'] = base[:, :1].expand(4, 3)
views['windows'] = base.reshape(-1).unfold(0, 4, 3)
views['permuted'] = some(2, 3, 4).permute(2, 0, 1)
views['again'] = base
views['linear.weight'] = some(2, 3).requires_grad_()
views['tied.weight'] = views['linear.weight']
save('views', views, {k: v for k, v in views.items() if k not in ('base', 'tied.weight')},
     {'base': 'again', 'tied.weight': 'linear.weight'})
save('copies', views, views, arguments=['--keep-copies'])
save('transpose', views, dict(views, **{'linear.weight': views['linear.weight'].t(), 'tied.weight': views['tied.weight'].t()}),
     arguments=['--keep-copies', '--transpose'])


class Tied(torch.nn.Module):
    def __init__(self):
        super(Tied, self).__init__()
        self.a = torch.nn.Linear(3, 2)
        self.b = torch.nn.Linear(2, 3, bias=False)
        self.norm = torch.nn.BatchNorm1d(2)


# a checkpoint of a training program
model = Tied()
optimizer = torch.optim.Adam(model.parameters())
model.norm(model.a(some(4, 3))).sum().backward()
optimizer.step()
state = model.state_dict()
wrapped = collections.OrderedDict(('module.' + k, v) for k, v in state.items())
checkpoint = {'epoch': 7, 'best': numpy.float64(0.25), 'step': numpy.int64(-3), 'state_dict': wrapped, 'optimizer': optimizer.state_dict(),
              'args': argparse.Namespace(lr=0.1, name='run', sizes=[1, 2]), 'loss': 1.5, 'note': u'r\u00e9sum\u00e9', 'done': True,
              'big': 2 ** 80, 'history': [1, 2.5, None], 'shape': model.a.weight.shape, 'random': torch.get_rng_state()[:8].clone(),
              'array': numpy.arange(3), 'set': set(['a']), 'device': torch.device('cpu'), 'default': collections.defaultdict(list)}
if version >= (1, 2):
    checkpoint['type'] = torch.float32
save('checkpoint', checkpoint, state)
inner = {k: v for k, v in optimizer.state_dict()['state'].items()}
moments = {}
for index, (k, v) in enumerate(inner.items()):
    for field in ('exp_avg', 'exp_avg_sq', 'step'):
        if torch.is_tensor(v[field]):
            moments['state.%d.%s' % (k, field) if isinstance(k, int) and k < 1000 else str(k)] = v[field]
if version >= (1, 6):
    save('optimizer', checkpoint, moments, arguments=['--key', 'optimizer'])
everything = {'state_dict.' + k: v for k, v in wrapped.items()}
everything.update({'optimizer.' + k: v for k, v in moments.items()})
everything['random'] = checkpoint['random']
if version >= (1, 6):
    save('all', checkpoint, everything, arguments=['--all', '--metadata'],
         metadata={'epoch': '7', 'best': '0.25', 'step': '-3', 'loss': '1.5', 'note': u'r\u00e9sum\u00e9', 'done': 'true',
                   'args.lr': '0.10000000000000001', 'args.name': 'run', 'args.sizes.0': '1', 'history.1': '2.5'})
save('parameter', torch.nn.Parameter(some(2, 2)), {'tensor': some(2, 2)})
save('list', [('w', some(2)), ('b', {'c': some(1)}), some(3)], {'w': some(2), 'b.c': some(1), '2': some(3)})
save('module', model, refused='Tied')
save('records', model, state, arguments=['--any-class'])
if version >= (1, 2):
    save('sparse', {'s': torch.eye(2).to_sparse()}, refused='sparse')
if version >= (1, 6):
    save('complex128', {'c': torch.zeros(2, dtype=torch.complex128)}, refused='ComplexDoubleStorage')
    save('legacy', checkpoint, state, _use_new_zipfile_serialization=False)
    save('legacy-views', views, {k: v for k, v in views.items() if k not in ('base', 'tied.weight')},
         {'base': 'again', 'tied.weight': 'linear.weight'}, _use_new_zipfile_serialization=False)
if version >= (2, 0):
    save('conj', {'c': torch.zeros(2, dtype=torch.complex64).conj()}, refused='conjugated')
    for protocol in (1, 3, 4, 5):
        save('protocol%d' % protocol, plain, plain, pickle_protocol=protocol)
        save('legacy-protocol%d' % protocol, views, {k: v for k, v in views.items() if k not in ('base', 'tied.weight')},
             {'base': 'again', 'tied.weight': 'linear.weight'}, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    class Marked(torch.Tensor):
        pass
    marked = torch.nn.Parameter(some(2, 2))
    marked.origin = 'here'
    save('attributes', {'p': marked}, {'p': marked})
    save('subclass', {'p': some(2).as_subclass(Marked)}, refused='Marked')
    save('meta', {'m': torch.zeros(2, device='meta')}, refused='meta')


# TorchScript
class Linear(torch.nn.Module):
    def __init__(self):
        super(Linear, self).__init__()
        self.l = torch.nn.Linear(4, 2)
        with torch.no_grad():
            self.l.weight.copy_(torch.tensor([[0.15704626, 0.42010015, 0.29965252, -0.07425201],
                                              [-0.35872453, -0.11702448, 0.10921782, -0.23245072]]))
            self.l.bias.copy_(torch.tensor([-0.11017436, -0.26758754]))

    def forward(self, x):
        return self.l(x)


class Nested(torch.nn.Module):
    def __init__(self):
        super(Nested, self).__init__()
        self.nested = Linear()
        self.register_buffer('count', torch.tensor(3))
        self.tied = self.nested.l if version >= (1, 6) else torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.tied(self.nested(x)[:, :1].expand(x.shape[0], 4))


for name, module in (('script', Linear()), ('nested-script', Nested())):
    refused = {'refused': 'ZIP archive without'} if version < (1, 4) else {}
    torch.jit.trace(module, (torch.zeros(1, 4),)).save(os.path.join(out, name + '.pt'))
    tensors, aliases = dict(module.state_dict()), {}
    for k in list(tensors):
        if k.startswith('tied.') and version >= (1, 6):
            aliases[k] = 'nested.l.' + k[5:]
            del tensors[k]
    note(name, {} if refused else tensors, aliases, **refused)


if version >= (2, 5):
    # a model in two files, with the index that transformers writes
    folder = os.path.join(out, 'sharded')
    os.path.isdir(folder) or os.makedirs(folder)
    shards = [{'a.weight': some(2, 3), 'a.bias': some(3).half()}, {'b.weight': some(3, 2).t(), 'b.bias': torch.arange(4)}]
    names = ['pytorch_model-%05d-of-00002.bin' % (i + 1) for i in range(2)]
    for shard, name in zip(shards, names):
        torch.save(shard, os.path.join(folder, name))
    with open(os.path.join(folder, 'pytorch_model.bin.index.json'), 'w') as f:
        json.dump({'metadata': {'total_size': 86}, 'weight_map': {k: n for s, n in zip(shards, names) for k in s}}, f, indent=2)
    note('sharded', dict(shards[0], **shards[1]))

    # what a big-endian machine writes; torch.load of a little-endian one swaps it
    swapped = {k: v for k, v in plain.items() if v.dtype in (torch.float32, torch.int64, torch.complex64, torch.int16)}
    torch.save(swapped, os.path.join(out, 'little.pt'))
    with zipfile.ZipFile(os.path.join(out, 'little.pt')) as little, zipfile.ZipFile(os.path.join(out, 'big.pt'), 'w') as big:
        sizes = {str(i): 4 if v.dtype == torch.complex64 else v.element_size() for i, v in enumerate(swapped.values())}
        for member in little.namelist():
            data = little.read(member)
            folder, _, key = member.rpartition('/')
            if folder.endswith('/data'):
                data = numpy.frombuffer(data, 'u%d' % sizes[key]).byteswap().tobytes()
            big.writestr(member, b'big' if key == 'byteorder' else data)
    os.remove(os.path.join(out, 'little.pt'))
    loaded = torch.load(os.path.join(out, 'big.pt'))
    assert all(torch.equal(loaded[k], v) for k, v in swapped.items())
    note('big', swapped)

    # packed again by a program that deflates
    for name, tensors in (('plain', plain), ('views', views)):
        with zipfile.ZipFile(os.path.join(out, name + '.pt')) as stored:
            with zipfile.ZipFile(os.path.join(out, 'deflated-%s.pt' % name), 'w', zipfile.ZIP_DEFLATED) as deflated:
                for member in stored.namelist():
                    deflated.writestr(member, stored.read(member))
        with open(os.path.join(out, name + '.json')) as f, open(os.path.join(out, 'deflated-%s.json' % name), 'w') as g:
            g.write(f.read())

    # the tar archives of PyTorch before 0.1.10, written by hand, since no such version is left; torch.load reads them
    import pickle
    one, two = some(2, 3), torch.arange(4)
    with tarfile.open(os.path.join(out, 'tar.pt'), 'w:', format=tarfile.PAX_FORMAT) as tar:
        def add(name, data):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        def pickled(value):
            return pickle.dumps(value, 2)
        storages = pickled(2)
        for key, kind, tensor in ((11, torch.FloatStorage, one), (12, torch.LongStorage, two)):
            storages += pickled((key, 'cpu', kind)) + struct.pack('<q', tensor.numel()) + tensor.numpy().tobytes()
        add('storages', storages + pickled([]))
        tensors = pickled(3)
        for key, storage, kind, shape, stride, offset in ((21, 11, torch.FloatTensor, (2, 3), (3, 1), 0),
                                                          (22, 12, torch.LongTensor, (4,), (1,), 0),
                                                          (23, 11, torch.FloatTensor, (3, 1), (1, 3), 3)):
            tensors += pickled((key, storage, kind)) + struct.pack('<ii', len(shape), 0)
            tensors += struct.pack('<%dq' % (2 * len(shape) + 1), *(shape + stride + (offset,)))
        add('tensors', tensors)
        class Ref(object):
            def __init__(self, key):
                self.key = key
        class Refs(pickle.Pickler):
            def persistent_id(self, value):
                return str(value.key) if isinstance(value, Ref) else None
        body = io.BytesIO()
        Refs(body, 2).dump(collections.OrderedDict([('w', Ref(21)), ('n', Ref(22)), ('column', Ref(23))]))
        add('pickle', body.getvalue())
    loaded = torch.load(os.path.join(out, 'tar.pt'), weights_only=False)
    wanted = {'w': one, 'n': two, 'column': one[1].reshape(3, 1)}
    assert all(torch.equal(loaded[k], v) for k, v in wanted.items())
    note('tar', wanted)

    # the bytes that the reference writes, with one metadata key, as it does not sort them
    from safetensors.torch import save_file
    tensors = torch.load(os.path.join(out, 'plain.pt'))
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(out, 'plain.safetensors'), {'format': 'pt'})
