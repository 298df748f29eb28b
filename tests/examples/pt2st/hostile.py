"""hostile.py FOLDER: writes checkpoints that must be refused, each with X.refused, a part of the message, and some odd
ones that must be converted, each with X.json as make.py writes it."""
import io, json, os, struct, sys, zipfile, zlib

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def integer(n):
    return b'J' + struct.pack('<i', n) if -2**31 <= n < 2**31 else b'\x8a\x08' + struct.pack('<q', n)


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return b'X' + struct.pack('<I', len(s)) + s


def several(*values):
    return b'(' + b''.join(values) + b't'


def name(path):
    module, _, attribute = path.rpartition('.')
    return b'c' + module.encode() + b'\n' + attribute.encode() + b'\n'


def storage(key='0', count=4, kind='torch.FloatStorage', *more):
    return several(text('storage'), name(kind), text(key), text('cpu'), integer(count), *more) + b'Q'


def tensor(shape=(4,), stride=(1,), offset=0, source=None):
    return name('torch._utils._rebuild_tensor_v2') + several(
        source or storage(), integer(offset), several(*map(integer, shape)), several(*map(integer, stride)), b'\x89',
        name('collections.OrderedDict') + b')R') + b'R'


def pickle(*pairs):
    return b'\x80\x02}(' + b''.join(text(k) + v for k, v in pairs) + b'u.'


DATA = struct.pack('<4f', 1, 2, 3, 4)


def archive(body, members=None, method=zipfile.ZIP_STORED, folder='a/'):
    f = io.BytesIO()
    with zipfile.ZipFile(f, 'w', method) as z:
        z.writestr(folder + 'data.pkl', body)
        for key, data in (members if members is not None else [('data/0', DATA)]):
            z.writestr(folder + key, data)
    return f.getvalue()


def write(label, data, refused=None, tensors=None, aliases=None):
    with open(os.path.join(out, label + '.pt'), 'wb') as f:
        f.write(data)
    if refused is not None:
        with open(os.path.join(out, label + '.refused'), 'w') as f:
            f.write(refused)
    else:
        with open(os.path.join(out, label + '.json'), 'w') as f:
            json.dump({'tensors': tensors, 'aliases': aliases or {}}, f)


def patched(data, old, new, count=-1):
    assert old in data
    return data.replace(old, new, count)


good = archive(pickle(('w', tensor())))
F32 = ['F32', [4], DATA.hex()]
write('good', good, tensors={'w': F32})
write('comment', good[:-2] + b'\x03\0abc', tensors={'w': F32})
# the pickle begins where the program stopped after it looked for the container
write('begins-at-262', archive(pickle(('w', tensor())), folder='a' * 223 + '/'), tensors={'w': F32})
write('nul-in-name', archive(pickle(('a\0b', tensor()))), tensors={'a\0b': F32})
write('others', archive(pickle(('w', tensor()), ('a', b'N'), ('b', b'K\1'))), tensors={'w': F32})
write('unused-globals', archive(b'\x80\x02' + name('torch.Size') + b'0' + pickle(('w', tensor()))[2:]), tensors={'w': F32})

# code
write('system', archive(b'\x80\x02' + name('posix.system') + text('touch hacked') + b'\x85R.'), 'byte 2: nothing was run')
write('system-4', archive(b'\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.'), 'posix.system')
write('instance', archive(b'\x80\x02(iposix\nsystem\n.'), 'an opcode that PyTorch does not use')
write('extension', archive(b'\x80\x02\x82\x01.'), 'an opcode that PyTorch does not use')
write('escape', archive(b'\x80\x02cposix\x1b]0;evil\x07\nsystem\n.'), 'posix\\u001b]0;evil\\u0007.system')
write('call-text', archive(b'\x80\x02' + text('x') + b')R.'), 'a call of what is no function')
write('from-type', archive(b'\x80\x02' + (name('torch._tensor._rebuild_from_type_v2') + b'(') * 2 + b'ttR.'), 'a call of what is no function')

# pickles that are damaged or want too much
write('truncated-pickle', archive(pickle(('w', tensor()))[:60]), 'the data ends early')
write('empty-pickle', archive(b''), 'the data ends early')
write('no-value', archive(b'\x80\x02.'), 'the stack is empty')
write('protocol-6', archive(b'\x80\x06N.'), 'a protocol later than 5')
write('long-text', archive(b'\x80\x02X\xff\xff\xff\xff.'), 'a text is longer than the file')
write('long-text-1m', archive(b'\x80\x02X\0\0\x10\0.'), 'a text is longer than the file')
write('long-text-8', archive(b'\x80\x04\x8d' + b'\xff' * 8 + b'.'), 'a text is longer than the file')
write('memo', archive(b'\x80\x02Nr\xff\xff\xff\x0f.'), 'byte 3: ')
write('memo-2', archive(b'\x80\x02Nr\xff\xff\xff\xff.'), 'the memo is too large')
write('get', archive(b'\x80\x02h\x07.'), 'a value is fetched that was not stored')
write('no-mark', archive(b'\x80\x02NNt.'), 'the stack has too few values')
write('odd', archive(b'\x80\x02}(NNNu.'), 'a key without a value')
write('add-to-none', archive(b'\x80\x02NNa.'), 'values are added to what cannot hold them')
write('laughs', archive(b'\x80\x02]q\0' + b''.join(b'](h' + bytes([i]) + b'h' + bytes([i]) + b'eq' + bytes([i + 1])
                                                   for i in range(60)) + b'.'), 'nested in itself or too deeply')
write('laughs-wide', archive(b'\x80\x02](' + b'N' * 10000 + b'eq\0' + b''.join(
    b'](h' + bytes([i]) + b'h' + bytes([i]) + b'eq' + bytes([i + 1]) for i in range(60)) + b'.'), 'nested in itself or too deeply')
write('laughs-modules', archive(b'\x80\x02}q\0' + b''.join(
    b'}(' + b''.join(integer(k) + b'N' for k in range(1000)) + text('_parameters') + b'h' + bytes([i]) + text('_modules') + b'h' + bytes([i])
    + b'uq' + bytes([i + 1]) for i in range(50)) + b'.'), 'nested in itself or too deeply')
write('laughs-tuples', archive(b'\x80\x02N' + b'2\x86' * 50 + b'.'), 'nested in itself or too deeply')
write('deep', archive(b'\x80\x02' + b'N\x85' + b'\x85' * 300000 + b'.'), 'nested in itself or too deeply')
write('cycle', archive(b'\x80\x02}q\0' + text('a') + b'h\0s.'), 'nested')
write('cycle-model', archive(b'\x80\x02}q\0' + text('model') + b'h\0s.'), 'nested too deeply')
write('cycle-record', archive(b'\x80\x02' + name('argparse.Namespace') + b')Rq\0h\0b.'), 'no tensors were found')
write('many', archive(b'\x80\x02(' + b'N' * 3000000 + b'l.'), 'more memory is needed')
write('long-line', archive(b'\x80\x02c' + b'a' * 5000 + b'\nb\n.'), 'a line is longer than 4,096 bytes')
write('mark-in-tuple', archive(b'\x80\x02(N\x86.'), 'the stack has too few values')
write('mark-in-list', archive(b'\x80\x02](a.'), 'the stack has too few values')
write('long-names', archive(pickle(('n' * 4096, b'}' + text('k' * 500) + tensor() + b's'))), 'a name is longer than 4,096 bytes')
write('longest-name', archive(pickle(('n' * 4094, b'}' + text('k') + tensor() + b's'))), tensors={'n' * 4094 + '.k': F32})
write('long-name', archive(pickle(('n' * 5000, tensor()))), 'a name is longer than 4,096 bytes')

# tensors that are not what they say
write('overflow', archive(pickle(('w', tensor((2**62, 2**62), (0, 0))))), 'the shape of a tensor is too large')
write('outside', archive(pickle(('w', tensor((5,), (1,))))), 'a tensor leaves its storage')
write('outside-stride', archive(pickle(('w', tensor((2, 2), (3, 1))))), 'a tensor leaves its storage')
write('outside-stride-wraps', archive(pickle(('w', tensor((3,), (2**63 - 1,))))), 'a tensor leaves its storage')
write('outside-offset', archive(pickle(('w', tensor(offset=1)))), 'a tensor leaves its storage')
write('outside-end', archive(pickle(('w', tensor((1,), (1,), 4)))), 'a tensor leaves its storage')
write('negative-stride', archive(pickle(('w', tensor(stride=(-1,))))), 'is not a number from 0 on')
write('negative-offset', archive(pickle(('w', tensor(offset=-1)))), 'is not a number from 0 on')
write('rank', archive(pickle(('w', tensor((1,) * 65, (1,) * 65)))), 'more than 64 dimensions')
write('ranks-differ', archive(pickle(('w', tensor((4, 1), (1,))))), 'described in an unknown way')
write('expand-bomb', archive(pickle(('w', tensor((2**40,), (0,))))), 'much larger than the file')
write('duplicate', archive(pickle(('w', tensor()), ('w', tensor((2,), (1,))))), 'duplicate')
write('reserved', archive(pickle(('__metadata__', tensor()))), '__metadata__')
write('no-utf8', archive(pickle((b'\xff', tensor()))), 'UTF-8')
write('quantized', archive(pickle(('w', name('torch._utils._rebuild_qtensor') + b')R'))), 'quantized')
write('unknown-dtype', archive(pickle(('w', tensor(source=storage(kind='torch.QInt8Storage'))))), 'torch.QInt8Storage')
write('storage-lies', archive(pickle(('w', tensor((2,), (1,), 0, storage(count=5))))), 'data/0 has a wrong size')
write('storage-huge', archive(pickle(('w', tensor(source=storage(count=2**62))))), 'a storage is too large')
write('storage-missing', archive(pickle(('w', tensor(source=storage('../0'))))), 'has no member a/data/../0')
write('nul-in-key', archive(pickle(('w', tensor(source=storage('0\0'))))), 'a key contains NUL')
write('storage-unknown', archive(pickle(('w', several(text('socket'), b'NNNN') + b'Q'))), 'an unknown persistent object')
write('no-tensors', archive(pickle(('w', b'K\1'))), 'no tensors were found')

# archives
two = archive(pickle(('w', tensor())), [('data/0', DATA), ('data/1', DATA)])
second = two.rindex(b'PK\3\4')
first = two.rindex(b'PK\3\4', 0, second)
write('overlap', patched(two, struct.pack('<I', second) + b'a/data/1', struct.pack('<I', first) + b'a/data/1'), 'overlaps')
write('out-of-order', patched(two, struct.pack('<I', second) + b'a/data/1', struct.pack('<I', 0) + b'a/data/1'), 'damaged')
write('size-lies', patched(good, struct.pack('<II', 16, 16), struct.pack('<II', 16, 17)), 'gives a false size')
write('size-too-large', patched(good, struct.pack('<II', 16, 16), struct.pack('<II', 99, 99)), 'overlaps')
write('same-name', patched(two, b'a/data/1', b'a/data/0'), 'two members a/data/0')
write('two-pickles', archive(pickle(('w', tensor())), [('data/0', DATA), ('../b/data.pkl', b'N.')]), tensors={'w': F32})
write('two-folders', archive(pickle(('w', tensor())), [('1/data.pkl', b'N.')]).replace(b'a/1/data.pkl', b'bbb/data.pkl'),
      'two members data.pkl')
write('encrypted', patched(good, b'PK\1\2\x14\x03\x14\0\0\0', b'PK\1\2\x14\x03\x14\0\1\0'), 'encrypted')
write('other-method', archive(pickle(('w', tensor())), method=zipfile.ZIP_BZIP2), 'otherwise than by deflate')
write('no-pickle', patched(good, b'data.pkl', b'data.pkm'), 'without a member data.pkl')
write('cut-zip', good[:-30], 'damaged or truncated')
write('directory-outside', good[:-6] + struct.pack('<I', 2**31) + b'\0\0', 'damaged or truncated')


def zip64(data, wide=lambda size, offset: struct.pack('<HHQQQ', 1, 24, size, size, offset), count=None, size=None, start=None, at=None):
    begin, = struct.unpack_from('<I', data, len(data) - 6)
    place, directory, entries = begin, b'', 0
    while data[place:place + 4] == b'PK\1\2':
        head = bytearray(data[place:place + 46])
        length, = struct.unpack_from('<H', head, 28)
        extra = wide(*struct.unpack_from('<I', head, 24), *struct.unpack_from('<I', head, 42))
        struct.pack_into('<II', head, 20, 2**32 - 1, 2**32 - 1)
        struct.pack_into('<I', head, 42, 2**32 - 1)
        struct.pack_into('<H', head, 30, len(extra))
        directory += head + data[place + 46:place + 46 + length] + extra
        place += 46 + length
        entries += 1
    end = begin + len(directory)
    return data[:begin] + directory + struct.pack(
        '<4sQHHIIQQQQ', b'PK\6\6', 44, 45, 45, 0, 0, entries if count is None else count, entries if count is None else count,
        len(directory) if size is None else size, begin if start is None else start) + struct.pack(
        '<4sIQI', b'PK\6\7', 0, end if at is None else at, 1) + b'PK\5\6\0\0\0\0' + b'\xff' * 12 + b'\0\0'


write('zip64', zip64(good), tensors={'w': F32})
write('zip64-after-other', zip64(good, lambda n, o: struct.pack('<HHIHHQQQ', 9, 4, 0, 1, 24, n, n, o)), tensors={'w': F32})
write('zip64-short', zip64(good, lambda n, o: struct.pack('<HHQQ', 1, 16, n, n)), 'damaged or truncated')
write('zip64-cut', zip64(good, lambda n, o: struct.pack('<HHQQ', 1, 24, n, n)), 'damaged or truncated')
write('zip64-huge', zip64(good, lambda n, o: struct.pack('<HHQQQ', 1, 24, 2**64 - 1, 2**64 - 1, o)), 'overlaps')
write('zip64-wraps', zip64(good, lambda n, o: struct.pack('<HHQQQ', 1, 24, n, 2**64 - 38, o)), 'overlaps')
write('zip64-far', zip64(good, lambda n, o: struct.pack('<HHQQQ', 1, 24, n, n, 2**63 + o)), 'damaged or truncated')
write('zip64-behind', zip64(good, lambda n, o: struct.pack('<HHQQQ', 1, 24, n, n, len(good))), 'damaged or truncated')
write('zip64-count', zip64(good, count=2**64 - 1), 'damaged or truncated')
write('zip64-size', zip64(good, size=2**64 - 1), 'damaged or truncated')
write('zip64-start', zip64(good, start=2**64 - 1), 'damaged or truncated')
write('zip64-end', zip64(good, at=2**64 - 1), 'damaged or truncated')
deflated = archive(pickle(('w', tensor())), method=zipfile.ZIP_DEFLATED)
write('deflated', deflated, tensors={'w': F32})
packed = zlib.compressobj(9, zlib.DEFLATED, -15)
packed = packed.compress(DATA) + packed.flush()
assert packed in deflated
write('damaged-deflate', patched(deflated, packed, b'\xff' * len(packed)), 'damaged or truncated')
write('short-deflate', patched(deflated, struct.pack('<II', len(packed), 16), struct.pack('<II', len(packed), 20)),
      'damaged or truncated')
write('long-deflate', patched(deflated, struct.pack('<II', len(packed), 16), struct.pack('<II', len(packed), 12)),
      'damaged or truncated')
write('checksum', patched(deflated, struct.pack('<I', zlib.crc32(DATA)), b'\1\2\3\4'), 'the checksum does not match')
write('false-ratio', patched(deflated, struct.pack('<II', len(packed), 16), struct.pack('<II', len(packed), 2**31)), 'gives a false size')
zeros = archive(pickle(('w', tensor((300 << 18,), (1,), 0, storage(count=300 << 18)))), [('data/0', bytes(300 << 20))],
                zipfile.ZIP_DEFLATED)
write('zip-bomb', zeros, 'inflates to too many bytes')

# older containers
legacy = b'\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.'
def old(body, keys, tail):
    return legacy + body + b'\x80\x02](' + b''.join(map(text, keys)) + b'e.' + tail
one = struct.pack('<q', 4) + DATA
write('legacy', old(pickle(('w', tensor(source=storage('0', 4, 'torch.FloatStorage', b'N')))), ['0'], one), tensors={'w': F32})
view = storage('0', 4, 'torch.FloatStorage', several(text('v'), integer(2), integer(2)))
write('legacy-view', old(pickle(('w', tensor((2,), (1,), 0, view))), ['0'], one), tensors={'w': ['F32', [2], DATA[8:].hex()]})
write('legacy-view-outside', old(pickle(('w', tensor((3,), (1,), 0, view))), ['0'], one), 'a tensor leaves its storage')
write('legacy-view-far', old(pickle(('w', tensor(source=storage('0', 4, 'torch.FloatStorage', several(
    text('v'), integer(5), integer(2)))))), ['0'], one), 'a view leaves its storage')
write('legacy-view-first', old(pickle(('v', tensor((2,), (1,), 0, view)), ('w', tensor())), ['0'], one),
      tensors={'v': ['F32', [2], DATA[8:].hex()], 'w': F32})
write('legacy-two-sizes', old(pickle(('w', tensor()), ('v', tensor((2,), (1,), 0, storage('0', 2)))), ['0'], one), 'storage 0 has two sizes')
write('legacy-two-types', old(pickle(('w', tensor()), ('v', tensor((2,), (1,), 0, storage('0', 2, 'torch.DoubleStorage')))), ['0'], one),
      'storage 0 has two sizes')
write('legacy-lies', old(pickle(('w', tensor())), ['0'], struct.pack('<q', 2**60) + DATA), 'a storage ends after it')
write('legacy-other-size', old(pickle(('w', tensor())), ['0'], struct.pack('<q', 3) + DATA), 'wrong size')
write('legacy-cut', old(pickle(('w', tensor())), ['0'], one[:-1]), 'a storage ends after it')
write('legacy-unlisted', old(pickle(('w', tensor())), [], b''), 'lacks the storage')
write('legacy-unlisted-after', old(pickle(('longer', b'N'), ('w', tensor())), [], b''), ': w: the file lacks the storage')
write('legacy-twice', old(pickle(('w', tensor())), ['0', '0'], one), 'twice')
write('legacy-unused', old(pickle(('w', tensor())), ['7'], one), 'not used')
write('plain-pickle', b'\x80\x02K\1.', 'a pickle, but not of torch.save')
write('empty', b'', 'not a file of torch.save')
write('text', b'hello, world', 'not a file of torch.save')
write('tar', b'storages'.ljust(124, b'\0') + b'77777777777\0'.ljust(133, b'\0') + b'ustar'.ljust(1000, b'\0'), 'an opcode that PyTorch does not use')
write('tar-empty', b'x'.ljust(124, b'\0') + b'00000000000\0'.ljust(133, b'\0') + b'ustar'.ljust(1000, b'\0'), 'has no member storages')
write('tar-negative', b'x'.ljust(124, b'\0') + b'-1000'.ljust(133, b'\0') + b'ustar'.ljust(1000, b'\0'), 'has no member storages')


def tar(**members):
    return b''.join(key.encode().ljust(124, b'\0') + b'%011o\0' % len(data) + b'\0' * 121 + b'ustar'.ljust(255, b'\0') +
                    data.ljust((len(data) + 511) // 512 * 512, b'\0') for key, data in members.items())


def tar_of(shape, stride, offset=0, rank=None):
    start = b'\x80\x02' + several(integer(1), text('cpu'), name('torch.FloatStorage')) + b'.' + one + b'\x80\x02].'
    found = b'\x80\x02' + several(integer(7), integer(1), name('torch.FloatTensor')) + b'.' + struct.pack(
        '<%dq' % (2 * len(shape)), *shape, *stride).join((struct.pack('<Q', len(shape) if rank is None else rank), struct.pack('<q', offset)))
    return tar(storages=b'\x80\x02K\1.' + start, tensors=b'\x80\x02K\1.' + found, pickle=pickle(('w', integer(7) + b'Q')))


write('tar-made', tar_of([2, 2], [1, 2]), tensors={'w': ['F32', [2, 2], (DATA[:4] + DATA[8:12] + DATA[4:8] + DATA[12:]).hex()]})
write('tar-rank', tar_of([4], [1], rank=2**32 + 1), 'more than 64 dimensions')
write('tar-outside', tar_of([4], [1], 1), 'a tensor leaves its storage')
write('tar-huge-stride', tar_of([2], [2**62]), 'a tensor leaves its storage')
write('tar-other-key', patched(tar_of([4], [1]), b'J\7\0\0\0Q', b'J\6\0\0\0Q'), 'tensor 6 is missing')
