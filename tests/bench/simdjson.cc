// simdjson.cc: simdjson reads every value of the same JSON, but validates no tensor and builds no name table. A worker
// of the benchmark (worker.h).
#include "worker.h"
#include <simdjson.h>

using namespace simdjson;

static ondemand::parser parser;

static uint64_t sum_of(ondemand::array numbers) {
    uint64_t sum = 0;
    for (auto number : numbers) sum += number.get_uint64().value();
    return sum;
}

static size_t walk(const unsigned char *file, size_t n) { // returns the number of tensors
    uint64_t header, sum = 0;
    size_t count = 0;
    memcpy(&header, file, 8);
    expect(header + 8 + SIMDJSON_PADDING <= n, "too little data after the header for simdjson's padding");
    ondemand::document document =
        parser.iterate((const char *)file + 8, (size_t)header, (size_t)header + SIMDJSON_PADDING);
    for (auto entry : document.get_object()) {
        std::string_view name = entry.unescaped_key();
        if (name == "__metadata__") continue;
        for (auto field : entry.value().get_object()) {
            std::string_view key = field.unescaped_key();
            if (key == "dtype") {
                sum += field.value().get_string().value().size();
            } else {
                sum += sum_of(field.value().get_array());
            }
        }
        count++;
        sum += name.size();
    }
    expect(sum > 0, "nothing read");
    return count;
}

static void parse(char **arguments, result *r) { // FILE, from memory
    size_t n;
    const unsigned char *bytes = contents(arguments[0], &n);
    r->work = (double)walk(bytes, n);
}

static void open_path(char **arguments, result *r) { // FILE
    size_t n;
    const unsigned char *bytes = map(arguments[0], &n);
    r->work = (double)walk(bytes, n);
    unmap(bytes, n);
}

static const workload workloads[] = {{"parse", parse}, {"open", open_path}, {nullptr, nullptr}};

int main() {
    return serve(workloads);
}
