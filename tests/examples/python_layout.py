"""Compares the structs of safetensors_c.py with the output of python_layout.c."""
import ctypes
import sys

import safetensors_c as st

structs = {"st_error": st._Error, "st_pair": st._Pair, "st_tensor": st._Tensor, "st_model": st._Model,
           "st_range": st._Range, "st_view": st._View, "st_contents": st._Contents, "st_sink": st._Sink,
           "st_save_options": st._SaveOptions}
seen = {}
for line in open(sys.argv[1] + "/layout.txt"):
    struct, field, offset, size = line.split()
    if field == "-":
        found = 0, ctypes.sizeof(structs[struct])
    else:
        descriptor = getattr(structs[struct], "source" if field == "from" else field)  # from is a keyword
        found = descriptor.offset, descriptor.size
        if (struct, field) == ("st_save_options", "work"):  # declared as its two members
            found = found[0], found[1] + structs[struct].work_bytes.size
    seen.setdefault(struct, []).append(field)
    print("ok" if found == (int(offset), int(size)) else "FAILED", struct, field, found)
for struct, kind in structs.items():
    names = [field[0] for field in kind._fields_ if field[0] != "work_bytes"]
    print("ok" if len(seen.get(struct, [])) == 1 + len(names) else "FAILED", "all fields of", struct)
