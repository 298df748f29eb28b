// cpp PATH NAME: lists a model through safetensors.hpp, and prints a tensor's first byte and its values.
//
//     c++ -std=c++17 -I. examples/cpp/main.cc -o cpp
//     ./cpp build/demo.safetensors norm.bias
//
// The implementation compiles as C++, as here. If it troubles your warnings, compile it as C in a file with nothing but
// #define ST_IMPLEMENTATION and #include "safetensors.h". With -fno-exceptions the program uses the try_ functions.
#define ST_IMPLEMENTATION
#include "safetensors.hpp"
#include <cstdio>

#if defined(__cpp_lib_mdspan)
#include <mdspan>
#endif

// Prints the diagonal of a matrix in place. layout_of gives extents and strides; with C++23 std::mdspan takes them.
static void print_diagonal(const st_tensor &tensor) {
    auto values = st::view<float>(tensor);
    auto layout = st::layout_of<2>(tensor);
    if (!values || !layout) return;
#if defined(__cpp_lib_mdspan)
    const std::mdspan matrix(values->data(), std::dextents<std::size_t, 2>(layout->extents));
#else
    const auto matrix = [&](std::size_t i, std::size_t j) {
        return (*values)[i * layout->strides[0] + j * layout->strides[1]];
    };
#endif
    std::printf("diagonal");
    for (std::size_t i = 0; i < layout->extents[0] && i < layout->extents[1]; i++) {
#if defined(__cpp_lib_mdspan)
        std::printf(" %g", static_cast<double>(matrix[i, i]));
#else
        std::printf(" %g", static_cast<double>(matrix(i, i)));
#endif
    }
    std::puts("");
}

static void print(const st_tensor &tensor, const std::vector<float> &values) {
    const auto bytes = st::bytes(tensor);
    std::printf("first byte %d, values", bytes.empty() ? -1 : bytes[0]);
    for (float value : values) std::printf(" %g", static_cast<double>(value));
    std::puts("");
    print_diagonal(tensor);
}

#if defined(__cpp_exceptions)

static void run(const char *path, const char *name) {
    const st::model model = st::model::open(path);
    for (const st_tensor &tensor : model) std::printf("%s %s\n", tensor.name, tensor.dtype_name);
    const st_tensor &tensor = model.at(name);
    print(tensor, model.read<float>(tensor));
}

int main(int argc, char **argv) try {
    if (argc != 3) {
        std::fputs("usage: cpp PATH NAME\n", stderr);
        return 2;
    }
    run(argv[1], argv[2]);
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}

#else

static int fail(const st_error &error) {
    std::fprintf(stderr, "%s\n", error.message);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fputs("usage: cpp PATH NAME\n", stderr);
        return 2;
    }
    auto model = st::model::try_open(argv[1]);
    if (!model) return fail(model.error());
    for (const st_tensor &tensor : *model) std::printf("%s %s\n", tensor.name, tensor.dtype_name);
    auto tensor = model->try_at(argv[2]);
    if (!tensor) return fail(tensor.error());
    auto values = model->try_read<float>(**tensor);
    if (!values) return fail(values.error());
    print(**tensor, *values);
    return 0;
}

#endif
