"""codes.py: writes tests/codes.h, the F32 value of every code of the small dtypes according to ml_dtypes."""
import ml_dtypes
import numpy

SMALL = {"F4": "float4_e2m1fn", "F6_E2M3": "float6_e2m3fn", "F6_E3M2": "float6_e3m2fn", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn",
         "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz"}
BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}

print("/* codes.h: for each code of the small dtypes, the bits of the F32 with the same value according to ml_dtypes %s;" % ml_dtypes.__version__)
print(" * every NaN is 7fc00000. Written by tests/interop/codes.py. */")
print("#ifndef CODES_H\n#define CODES_H\n#include <stdint.h>\n")
print("static const struct codes {\n    int dtype;\n    const char *name;\n    int count;\n    uint32_t f32[256];\n} codes[] = {")
for number, (name, theirs) in zip((2, 3, 4, 7, 8, 9, 10, 11), SMALL.items()):
    count = 1 << BITS.get(name, 8)
    values = numpy.arange(count, dtype=numpy.uint8).view(getattr(ml_dtypes, theirs)).astype(numpy.float32)
    bits = values.view(numpy.uint32).copy()
    bits[numpy.isnan(values)] = 0x7FC00000
    print("    {%d,\n     \"%s\",\n     %d,\n     {" % (number, name, count), end="")
    for i in range(0, count, 8):
        print(", ".join("0x%08x" % b for b in bits[i : i + 8]), end=",\n      " if i + 8 < count else "}},\n")
print("};\n#endif")
