// cpp PATH NAME: the library in C++11: a class that closes the model, exceptions, and values in a std::vector.
//
//     c++ -std=c++11 -I. examples/cpp.cc -o cpp
//
// The implementation compiles as C++, as here. Warnings of your own flags may concern it; then compile it as C, in a
// file with nothing but #define ST_IMPLEMENTATION and #include "safetensors.h", and include the header elsewhere.
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct CloseModel {
    void operator()(st_model *model) const {
        st_close(model);
    }
};
using Model = std::unique_ptr<st_model, CloseModel>;

static Model open_model(const std::string &path, unsigned flags = 0) {
    st_open_options options = {};
    options.flags = flags;
    st_model *model;
    st_error error;
    if (st_open(&model, path.c_str(), &options, &error) != ST_OK) throw std::runtime_error(error.message);
    return Model(model);
}

// Finds a tensor. Names can hold NUL, so the length counts.
static const st_tensor &find(const Model &model, const std::string &name) {
    const st_tensor *tensor = st_find_n(model.get(), name.data(), name.size());
    if (!tensor) throw std::runtime_error("the model has no tensor of this name");
    return *tensor;
}

// Reads any tensor of numbers as float.
static std::vector<float> read_floats(const Model &model, const st_tensor &tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.elements));
    st_error error;
    const st_status status =
        st_read_as(model.get(), &tensor, nullptr, ST_DTYPE_F32, values.data(), values.size() * sizeof(float), &error);
    if (status != ST_OK) throw std::runtime_error(error.message);
    return values;
}

int main(int argc, char **argv) try {
    if (argc != 3) throw std::runtime_error("usage: cpp PATH NAME");
    const Model model = open_model(argv[1], ST_OPEN_MUST_MAP); // fails if `data` would be NULL
    const st_tensor &tensor = find(model, argv[2]);
    const unsigned char first = *static_cast<const unsigned char *>(tensor.data);
    std::printf("first byte %u, values", static_cast<unsigned>(first));
    for (float value : read_floats(model, tensor)) std::printf(" %g", static_cast<double>(value));
    std::puts("");
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
