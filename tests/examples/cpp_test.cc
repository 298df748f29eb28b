// cpp_test.cc: tests examples/cpp/safetensors.hpp: views, errors with and without exceptions, ranges, layouts, lifetime.
#include "examples/cpp/safetensors.hpp"
#include <algorithm>
#include <complex>
#include <cstring>
#if defined(__cpp_lib_ranges)
#include <ranges>
static_assert(std::ranges::contiguous_range<const st::model> && std::ranges::sized_range<const st::model>);
#endif
static_assert(!std::is_copy_constructible_v<st::model> && std::is_nothrow_move_constructible_v<st::model>);
static_assert(st::dtype_of<const float>() == ST_DTYPE_F32 && st::dtype_of<double>() == ST_DTYPE_F64);
static_assert(st::dtype_of<bool>() == ST_DTYPE_BOOL && st::dtype_of<unsigned char>() == ST_DTYPE_U8);
static_assert(st::dtype_of<std::int8_t>() == ST_DTYPE_I8 && st::dtype_of<std::int16_t>() == ST_DTYPE_I16);
static_assert(st::dtype_of<std::uint16_t>() == ST_DTYPE_U16 && st::dtype_of<std::int32_t>() == ST_DTYPE_I32);
static_assert(st::dtype_of<std::uint32_t>() == ST_DTYPE_U32 && st::dtype_of<std::int64_t>() == ST_DTYPE_I64);
static_assert(st::dtype_of<std::uint64_t>() == ST_DTYPE_U64);

static int failed = 0;
#define CHECK(condition) ((condition) ? (void)0 : (void)(failed++, std::printf("line %d: %s\n", __LINE__, #condition)))

static std::string le64(std::size_t n) {
    std::string bytes;
    for (int i = 0; i < 64; i += 8) bytes += static_cast<char>(n >> i & 255);
    return bytes;
}

// A file whose data starts at a multiple of 8 bytes, in memory with 8-byte alignment. `odd` is not aligned.
struct file {
    std::vector<std::uint64_t> words;
    std::size_t n;
    file() {
        const float m[6] = {1, 2, 3, 4, 5, 6};
        const unsigned char rest[] = {7, 8, 0, 0, 128, 63, 1, 2}; // bf: 8 0 is tiny; odd: I32 at 25; flag
        std::string header = "{\"__metadata__\":{\"made\":\"here\\u0000x\"},"
                             "\"m\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                             "\"flag\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[24,25]},"
                             "\"odd\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[25,29]},"
                             "\"u8\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[29,30]},"
                             "\"bf\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[30,32]},"
                             "\"c\\u0000\":{\"dtype\":\"C64\",\"shape\":[0,4],\"data_offsets\":[32,32]}}";
        header.resize((header.size() + 7) / 8 * 8, ' ');
        std::string all = le64(header.size()) + header;
        all.append(reinterpret_cast<const char *>(m), sizeof m);
        all.append(reinterpret_cast<const char *>(rest), sizeof rest);
        n = all.size();
        words.resize(n / 8);
        std::memcpy(words.data(), all.data(), n);
    }
    st::span<const unsigned char> bytes() const {
        return {reinterpret_cast<const unsigned char *>(words.data()), n};
    }
};

static void test_model() {
    const file f;
    auto opened = st::model::try_open(f.bytes());
    CHECK(opened && opened.has_value() && opened.error().status == ST_OK);
    st::model model = std::move(opened).value();
    CHECK(model.size() == 6 && model.get()->count == 6);
    std::size_t count = 0;
    for (const st_tensor &t : model) count += model.find(st::name(t)) == &t;
    CHECK(count == 6 && std::count_if(model.begin(), model.end(), [](const st_tensor &t) { return t.rank == 1; }) == 3);
    CHECK(model.metadata("made") == std::string_view("here\0x", 6) && !model.metadata("none"));

    const st_tensor &m = *model.find("m"), &odd = *model.find("odd"), &flag = *model.find("flag");
    const st_tensor &empty = *model.find(std::string_view("c\0", 2));
    CHECK(!model.find("c") && st::shape(m).size() == 2 && st::shape(m)[1] == 3);
    auto values = st::view<float>(m);
    CHECK(values && values->size() == 6 && values->data() == m.data && (*values)[5] == 6.0f);
    CHECK(st::view<double>(m).error().status == ST_ERR_DTYPE &&
          st::view<std::int32_t>(m).error().status == ST_ERR_DTYPE);
    CHECK(st::view<double>(m, ST_DTYPE_F32).error().status == ST_ERR_DTYPE); // elements of another size
    CHECK(st::view<std::int32_t>(odd).error().status == ST_ERR_UNSUPPORTED);
    CHECK(std::strstr(st::view<std::int32_t>(odd).error().message, "aligned"));
    CHECK(st::view<unsigned char>(flag, ST_DTYPE_BOOL).value()[0] == 7);
    CHECK(st::view<std::uint16_t>(*model.find("bf"), ST_DTYPE_BF16).value()[0] == 0x0201);
    CHECK(st::view<std::complex<float>>(empty, ST_DTYPE_C64).value().empty());
    CHECK(st::bytes(m).size() == 24 && st::bytes(empty).empty());
    st_tensor away = m;
    away.data = nullptr;
    CHECK(st::view<float>(away).error().status == ST_ERR_UNSUPPORTED && st::bytes(away).empty());

    auto layout = st::layout_of<2>(m);
    CHECK(layout && layout->extents[0] == 2 && layout->extents[1] == 3 && layout->strides[0] == 3 &&
          layout->strides[1] == 1);
    CHECK(st::layout_of<1>(m).error().status == ST_ERR_ARGUMENT && st::layout_of<0>(*model.find("u8")));
    CHECK(st::layout_of<2>(empty)->extents[1] == 4 && st::layout_of<2>(empty)->strides[0] == 4);

    CHECK(model.try_read<float>(m).value() == std::vector<float>({1, 2, 3, 4, 5, 6}));
    const st_range column[2] = {{0, UINT64_MAX, 1}, {1, 2, 1}};
    const st_view slice = {column, 2, nullptr};
    CHECK(model.try_read<double>(m, &slice).value() == std::vector<double>({2, 5}));
    CHECK(model.try_read<std::int64_t>(odd).value()[0] == (8 | 128 << 24));
    CHECK(model.try_read<unsigned char>(flag).value()[0] == 1);
    CHECK(model.try_read<float>(empty).error().status == ST_ERR_UNSUPPORTED); // C64 is not converted
    const st_range outside[1] = {{0, 9, 1}};
    const st_view wrong = {outside, 1, nullptr};
    CHECK(model.try_read<float>(m, &wrong).error().status == ST_ERR_ARGUMENT);
    CHECK(model.try_read<float>(m, &wrong).value_or(std::vector<float>{9}) == std::vector<float>{9});
    CHECK(model.try_at("m").value() == &m && model.try_at("x").error().status == ST_ERR_NOT_FOUND);

    st::model moved = std::move(model);
    CHECK(moved.size() == 6 && moved.find("m") == &m); // tensors stay where they are
    CHECK(!model.get());
    model = std::move(moved);
    CHECK(model.size() == 6 && &model.at("m") == &m);
    CHECK(st::model::try_open(std::string("build/no such file")).error().status == ST_ERR_NOT_FOUND);
    CHECK(st::model::try_open(st::span<const unsigned char>(f.bytes().data(), 9)).error().status == ST_ERR_TRUNCATED);
}

#if defined(__cpp_exceptions)
static void test_exceptions() {
    const file f;
    const st::model model = st::model::open(f.bytes());
    int thrown = 0;
    try {
        (void)st::model::open(std::string("build/no such file"));
    } catch (const st::error &e) {
        thrown += e.info.status == ST_ERR_NOT_FOUND && std::strstr(e.what(), "no such file");
    }
    try {
        (void)model.at("x");
    } catch (const std::exception &e) {
        thrown += std::strstr(e.what(), "no tensor of this name") != nullptr;
    }
    try {
        (void)st::view<double>(model.at("m")).value();
    } catch (const st::error &e) {
        thrown += e.info.status == ST_ERR_DTYPE;
    }
    CHECK(thrown == 3 && model.read<float>(model.at("m"))[2] == 3.0f);
}
#endif

int main(int argc, char **) {
    test_model();
#if defined(__cpp_exceptions)
    test_exceptions();
#endif
    if (argc > 1) (void)st::model::open(std::string("build/no such file")); // throws or aborts
    std::printf("%s\n", failed ? "failed" : "all right");
    return failed != 0;
}
