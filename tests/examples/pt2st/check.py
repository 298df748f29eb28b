"""check.py OUT.safetensors WANTED.json: compares a converted file, or directory, with what make.py noted."""
import glob, json, os, struct, sys

wanted = json.load(open(sys.argv[2]))
paths = sorted(glob.glob(os.path.join(sys.argv[1], '*.safetensors'))) if os.path.isdir(sys.argv[1]) else [sys.argv[1]]
tensors, metadata = {}, {}
for path in paths:
    data = open(path, 'rb').read()
    n, = struct.unpack('<Q', data[:8])
    header = json.loads(data[8:8 + n].decode())
    metadata = header.pop('__metadata__', {})
    for name, t in header.items():
        assert name not in tensors, name
        begin, end = t['data_offsets']
        tensors[name] = [t['dtype'], t['shape'], data[8 + n + begin:8 + n + end].hex()]
faults = ['%s: got %s, wanted %s' % (name, tensors.get(name), wanted['tensors'].get(name))
          for name in sorted(set(tensors) | set(wanted['tensors'])) if tensors.get(name) != wanted['tensors'].get(name)]
if metadata.pop('format', None) != 'pt':
    faults.append('metadata has no format')
for name, value in wanted.get('metadata', {}).items():
    if metadata.get(name) != value:
        faults.append('metadata %s: got %s, wanted %s' % (name, metadata.get(name), value))
if 'metadata' not in wanted and metadata != wanted['aliases']:
    faults.append('aliases: got %s, wanted %s' % (metadata, wanted['aliases']))
print('\n'.join(faults))
sys.exit(bool(faults))
