"""large.py FILE [CONVERTED]: makes a checkpoint of 600 MiB, nearly all of it holes; checks what it was converted to."""
import json, os, struct, sys

ROWS, COLUMNS = 10240, 5120  # of three matrices: one as it is, one transposed, one all of whose columns but the first
BYTES = ROWS * COLUMNS * 4
MARKS = [(0, 0), (1, 0), (0, 1), (4097, 3000), (9999, 4096), (ROWS - 1, COLUMNS - 1)]


def value(matrix, row, column):
    return 1 + matrix + row * 2.0 + column / 8192


def make(path):
    def integer(n):
        return b'J' + struct.pack('<i', n)
    def text(s):
        return b'X' + struct.pack('<I', len(s)) + s
    def matrix(key, shape, stride, offset):
        storage = b'(' + text(b'storage') + b'ctorch\nFloatStorage\n' + text(key) + text(b'cpu') + integer(BYTES // 4) + b'tQ'
        return (b'ctorch._utils\n_rebuild_tensor_v2\n(' + storage + integer(offset) + integer(shape[0]) + integer(shape[1]) + b'\x86'
                + integer(stride[0]) + integer(stride[1]) + b'\x86\x89}tR')
    pickle = b'\x80\x02}(' + text(b'plain') + matrix(b'0', (ROWS, COLUMNS), (COLUMNS, 1), 0)
    pickle += text(b'turned') + matrix(b'1', (COLUMNS, ROWS), (1, COLUMNS), 0)
    pickle += text(b'cut') + matrix(b'2', (ROWS, COLUMNS - 1), (COLUMNS, 1), 1) + b'u.'
    directory = b''
    with open(path, 'wb') as f:
        for number, (name, size) in enumerate([(b'a/data.pkl', len(pickle))] + [(b'a/data/%d' % i, BYTES) for i in range(3)]):
            offset = f.tell()
            rest = struct.pack('<HHHHHIIIHH', 20, 0, 0, 0, 0, 0, size, size, len(name), 0)
            f.write(b'PK\3\4' + rest + name)
            directory += b'PK\1\2\x14\0' + rest + struct.pack('<HHHII', 0, 0, 0, 0, offset) + name
            begin = f.tell()
            if number == 0:
                f.write(pickle)
            else:
                for row, column in MARKS:
                    f.seek(begin + (row * COLUMNS + column) * 4)
                    f.write(struct.pack('<f', value(number, row, column)))
                f.seek(begin + size)
        offset = f.tell()
        f.write(directory + b'PK\5\6' + struct.pack('<HHHHIIH', 0, 0, 4, 4, len(directory), offset, 0))


def check(path):
    with open(path, 'rb') as f:
        n, = struct.unpack('<Q', f.read(8))
        header = json.loads(f.read(n).decode())
        assert os.path.getsize(path) == 8 + n + 2 * BYTES + ROWS * (COLUMNS - 1) * 4
        for number, name in enumerate(['plain', 'turned', 'cut'], 1):
            begin = 8 + n + header[name]['data_offsets'][0]
            for row, column in MARKS:
                place = {'plain': row * COLUMNS + column, 'turned': column * ROWS + row,
                         'cut': row * (COLUMNS - 1) + column - 1 if column else None}[name]
                if place is not None:
                    f.seek(begin + place * 4)
                    assert struct.unpack('<f', f.read(4))[0] == struct.unpack('<f', struct.pack('<f', value(number, row, column)))[0], (name, row, column)


if len(sys.argv) > 2:
    check(sys.argv[2])
else:
    make(sys.argv[1])
