// safetensors.hpp: safetensors.h for C++17 and later. A model closes itself, tensors are a range, views are typed.
//
//     st::model model = st::model::open("model.safetensors");          // throws st::error
//     st::result<st::model> r = st::model::try_open("x.safetensors");  // does not; exists with -fno-exceptions too
//     for (const st_tensor &t : model) std::puts(t.name);
//     std::vector<float> values = model.read<float>(model.at("norm.bias"));
//     st::span<const float> in_place = st::view<float>(model.at("norm.bias")).value(); // no copy
//
// One .c file of the program defines ST_IMPLEMENTATION and includes safetensors.h. The calls of the C library work too:
// model.get() is the st_model.
#ifndef SAFETENSORS_HPP
#define SAFETENSORS_HPP
#include "safetensors.h"
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif

namespace st {

#if defined(__cpp_lib_span)
template <class T> using span = std::span<T>;
#else
// the part of std::span that this file needs
template <class T> class span {
    T *first;
    std::size_t count;

  public:
    constexpr span(T *data = nullptr, std::size_t size = 0) noexcept : first(data), count(size) {}
    constexpr T *data() const noexcept { return first; }
    constexpr std::size_t size() const noexcept { return count; }
    constexpr bool empty() const noexcept { return !count; }
    constexpr T *begin() const noexcept { return first; }
    constexpr T *end() const noexcept { return first + count; }
    constexpr T &operator[](std::size_t i) const noexcept { return first[i]; }
};
#endif

#if defined(__cpp_exceptions)
struct error : std::exception {
    st_error info;
    explicit error(const st_error &e) : info(e) {}
    const char *what() const noexcept override { return info.message; }
};
[[noreturn]] inline void raise(const st_error &e) { throw error(e); }
#else
[[noreturn]] inline void raise(const st_error &e) { std::fprintf(stderr, "%s\n", e.message), std::abort(); }
#endif

// A value or an st_error, with the interface of std::expected<T, st_error>.
template <class T> class [[nodiscard]] result {
    std::optional<T> stored;
    st_error fault{};

  public:
    result(T value) : stored(std::move(value)) {}
    result(const st_error &e) : fault(e) {}
    bool has_value() const noexcept { return stored.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    const st_error &error() const noexcept { return fault; }
    T &operator*() & noexcept { return *stored; }
    T &&operator*() && noexcept { return std::move(*stored); }
    T *operator->() noexcept { return &*stored; }
    template <class U> T value_or(U &&other) && { return std::move(stored).value_or(std::forward<U>(other)); }
    // Throws st::error if there is no value. Without exceptions prints the message and aborts.
    T &value() & { return has_value() ? *stored : (raise(fault), *stored); }
    T &&value() && { return std::move(value()); }
};

// The dtype of a C++ type. F16, BF16, F8_* and others have no such type: read them as float, or view their bits, as
// with view<std::uint16_t>(t, ST_DTYPE_BF16).
template <class T> constexpr st_dtype dtype_of() {
    using U = std::remove_cv_t<T>;
    static_assert(std::is_arithmetic_v<U> && (sizeof(U) <= 8), "no dtype of this type");
    if (std::is_same_v<U, bool>) return ST_DTYPE_BOOL;
    if (std::is_floating_point_v<U>) return sizeof(U) == 4 ? ST_DTYPE_F32 : ST_DTYPE_F64;
    constexpr bool sign = std::is_signed_v<U>;
    if (sizeof(U) == 1) return sign ? ST_DTYPE_I8 : ST_DTYPE_U8;
    if (sizeof(U) == 2) return sign ? ST_DTYPE_I16 : ST_DTYPE_U16;
    if (sizeof(U) == 4) return sign ? ST_DTYPE_I32 : ST_DTYPE_U32;
    return sign ? ST_DTYPE_I64 : ST_DTYPE_U64;
}

inline st_error make_error(st_status status, const char *message) {
    st_error e{};
    e.position = UINT64_MAX, e.item = SIZE_MAX, e.status = status;
    std::snprintf(e.message, sizeof e.message, "%s", message);
    return e;
}

inline std::string_view name(const st_tensor &t) { return {t.name, t.name_bytes}; }
inline span<const std::uint64_t> shape(const st_tensor &t) { return {t.shape, t.rank}; }
inline span<const unsigned char> bytes(const st_tensor &t) {
    return {static_cast<const unsigned char *>(t.data), t.data ? static_cast<std::size_t>(t.bytes) : 0};
}

// The elements in place. Fails if the dtype is another, the data is not in memory, or its alignment does not suffice.
// BOOL is viewed as unsigned char, since a byte other than 0 and 1 is no bool of C++.
template <class T> result<span<const T>> view(const st_tensor &t, st_dtype dtype = dtype_of<T>()) {
    static_assert(!std::is_same_v<std::remove_cv_t<T>, bool>, "view<unsigned char>(t, ST_DTYPE_BOOL)");
    static constexpr unsigned one = 1;
    if (t.dtype != dtype || st_dtype_bits(dtype) != 8 * sizeof(T))
        return make_error(ST_ERR_DTYPE, "the tensor has another dtype than the view");
    if (t.bytes == 0) return span<const T>();
    if (!t.data) return make_error(ST_ERR_UNSUPPORTED, "the tensor is not in memory: read it");
    if (sizeof(T) > 1 && !*reinterpret_cast<const unsigned char *>(&one))
        return make_error(ST_ERR_UNSUPPORTED, "data is little-endian, the machine is not: read it");
    if (reinterpret_cast<std::uintptr_t>(t.data) % alignof(T))
        return make_error(ST_ERR_UNSUPPORTED, "the data is not aligned: read it");
    return span<const T>(static_cast<const T *>(t.data), static_cast<std::size_t>(t.elements));
}

// Extents and strides, in elements, of a tensor of Rank dimensions, as std::mdspan takes them:
//     std::mdspan(values.data(), std::dextents<std::size_t, 2>(layout->extents))
template <std::size_t Rank> struct layout {
    std::array<std::size_t, Rank> extents{}, strides{};
};
template <std::size_t Rank> result<layout<Rank>> layout_of(const st_tensor &t) {
    layout<Rank> l;
    if (t.rank != Rank) return make_error(ST_ERR_ARGUMENT, "the tensor has another rank");
    std::size_t stride = 1;
    for (std::size_t i = Rank; i-- > 0; stride *= l.extents[i]) {
        if (t.shape[i] > SIZE_MAX) return make_error(ST_ERR_TOO_LARGE, "a dimension exceeds the address space");
        l.extents[i] = static_cast<std::size_t>(t.shape[i]);
        l.strides[i] = stride;
    }
    return l;
}

class model {
    struct close {
        void operator()(st_model *m) const noexcept { st_close(m); }
    };
    std::unique_ptr<st_model, close> handle;
    explicit model(st_model *m) : handle(m) {}

  public:
    static result<model> try_open(const std::string &path, const st_open_options *options = nullptr) {
        st_model *m = nullptr;
        st_error e;
        return st_open(&m, path.c_str(), options, &e) ? result<model>(e) : model(m);
    }
    // The bytes must live until the model is closed.
    static result<model> try_open(span<const unsigned char> file, const st_open_options *options = nullptr) {
        st_model *m = nullptr;
        st_error e;
        return st_open_memory(&m, file.data(), file.size(), options, &e) ? result<model>(e) : model(m);
    }
    template <class Source> static model open(const Source &source, const st_open_options *options = nullptr) {
        return try_open(source, options).value();
    }

    const st_model *get() const noexcept { return handle.get(); }
    const st_tensor *begin() const noexcept { return handle->tensors; }
    const st_tensor *end() const noexcept { return handle->tensors + handle->count; }
    std::size_t size() const noexcept { return handle->count; }
    const st_tensor *find(std::string_view name) const { return st_find_n(get(), name.data(), name.size()); }
    result<const st_tensor *> try_at(std::string_view name) const {
        const st_tensor *t = find(name);
        return t ? result<const st_tensor *>(t) : make_error(ST_ERR_NOT_FOUND, "the model has no tensor of this name");
    }
    const st_tensor &at(std::string_view name) const { return *try_at(name).value(); }
    std::optional<std::string_view> metadata(const char *key) const {
        const st_pair *pair = st_find_metadata(get(), key);
        return pair ? std::optional<std::string_view>({pair->value, pair->value_bytes}) : std::nullopt;
    }

    // A tensor, or a slice of it, converted to T: packed, in C order.
    template <class T> result<std::vector<T>> try_read(const st_tensor &t, const st_view *slice = nullptr) const {
        static_assert(!std::is_same_v<T, bool>, "std::vector<bool> is no array: read unsigned char");
        std::uint64_t elements = 0;
        st_error e;
        if (st_view_shape(&t, slice, nullptr, &elements, &e)) return e;
        if (elements > SIZE_MAX / sizeof(T)) return make_error(ST_ERR_TOO_LARGE, "the values exceed the address space");
        std::vector<T> values(static_cast<std::size_t>(elements));
        if (st_read_as(get(), &t, slice, dtype_of<T>(), values.data(), values.size() * sizeof(T), &e)) return e;
        return values;
    }
    template <class T> std::vector<T> read(const st_tensor &t, const st_view *slice = nullptr) const {
        return try_read<T>(t, slice).value();
    }
};

} // namespace st
#endif
