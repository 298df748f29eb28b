/* Tests the SHA-256 of the command-line tool: the vectors of NIST, every length around the ends of blocks, and each
 * implementation of this machine beside the one in C. */
#include "../safetensors.h"

#include "../examples/st/sha256.c"
#include "random.h"
#include "test.h"

static const char *hex_of(const unsigned char digest[SHA256_BYTES], char text[2 * SHA256_BYTES + 1]) {
    int i;
    for (i = 0; i < SHA256_BYTES; i++) sprintf(text + (ptrdiff_t)2 * i, "%02x", (unsigned)digest[i]);
    return text;
}

/* the digest, with the bytes added in parts of at most `part` */
static const char *digest_of(const void *bytes, size_t n, size_t part, char text[2 * SHA256_BYTES + 1]) {
    const unsigned char *p = (const unsigned char *)bytes;
    unsigned char digest[SHA256_BYTES];
    sha256 h;
    sha256_begin(&h);
    for (; n > part; p += part, n -= part) sha256_add(&h, p, part);
    sha256_add(&h, p, n);
    sha256_end(&h, digest);
    return hex_of(digest, text);
}

static void test_vectors(void) {
    static const struct {
        const char *text, *digest;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqr"
         "stu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    char text[2 * SHA256_BYTES + 1];
    static unsigned char a[1000000];
    size_t i, part;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (part = 1; part < 120; part++) {
            CHECK_STR(digest_of(rows[i].text, strlen(rows[i].text), part, text), rows[i].digest);
        }
    }
    memset(a, 'a', sizeof a);
    for (part = 1000; part <= sizeof a; part *= 10) {
        CHECK_STR(digest_of(a, sizeof a, part, text),
                  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

/* The SHA-256 of the digests of all lengths up to 300, byte i being i * 7 % 256. Python's hashlib says so:
 *   h(b"".join(h(bytes(i * 7 % 256 for i in range(n))) for n in range(300))) */
static void test_lengths(void) {
    unsigned char bytes[300], digest[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];
    sha256 of_digests, h;
    size_t n;
    for (n = 0; n < sizeof bytes; n++) bytes[n] = (unsigned char)(n * 7);
    sha256_begin(&of_digests);
    for (n = 0; n < sizeof bytes; n++) {
        sha256_begin(&h);
        sha256_add(&h, bytes, n);
        sha256_end(&h, digest);
        sha256_add(&of_digests, digest, sizeof digest);
    }
    sha256_end(&of_digests, digest);
    CHECK_STR(hex_of(digest, text), "f65f14b090e805017546322e618401d41f0710c213e013a5131eb38bbe8f367f");
}

#if defined(SHA256_X86) || defined(SHA256_ARM)
/* The other implementation must change any state as the one in C does, whatever the alignment of the blocks. */
static void compare(sha256_function *blocks) {
    enum { BLOCKS = 5, ALIGNMENTS = 16 };
    unsigned char bytes[BLOCKS * SHA256_BLOCK + ALIGNMENTS];
    uint32_t portable[8], other[8];
    size_t round, i;
    for (round = 0; round < 2000; round++) {
        random_bytes(bytes, sizeof bytes);
        for (i = 0; i < 8; i++) portable[i] = other[i] = (uint32_t)random_below((uint64_t)1 << 32);
        sha256_blocks_portable(portable, bytes + round % ALIGNMENTS, round % (BLOCKS + 1));
        blocks(other, bytes + round % ALIGNMENTS, round % (BLOCKS + 1));
        CHECK(memcmp(portable, other, sizeof other) == 0);
    }
}
#endif

/* the vectors with the implementation in C, on machines that use another one */
static void test_portable(void) {
    uint32_t state[8];
    unsigned char block[SHA256_BLOCK] = {'a', 'b', 'c', 0x80};
    sha256 h;
    block[63] = 24; /* bits */
    sha256_begin(&h);
    memcpy(state, h.state, sizeof state);
    sha256_blocks_portable(state, block, 1);
    CHECK_EQ(state[0], 0xba7816bf);
    CHECK_EQ(state[1], 0x8f01cfea);
    CHECK_EQ(state[7], 0xf20015ad);
}

int main(void) {
    test_vectors();
    test_lengths();
    test_portable();
#if defined(SHA256_X86)
    if (sha256_has_x86()) {
        compare(sha256_blocks_x86);
    } else {
        SKIP("this processor lacks the SHA instructions");
    }
#elif defined(SHA256_ARM)
    compare(sha256_blocks_arm);
#endif
    return test_done("sha256");
}
