// simdjson.cc: the limit of parsing: simdjson walks the same JSON and takes every value out of it, but proves nothing about
// the tensors and builds no index. A worker of the benchmark (worker.h).
#include "worker.h"
#include <fcntl.h>
#include <simdjson.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace simdjson;

static ondemand::parser parser;

static uint64_t sum_of(ondemand::array numbers) {
    uint64_t sum = 0;
    for (auto number : numbers) sum += number.get_uint64().value();
    return sum;
}

static size_t walk(const unsigned char *file, size_t n) { // gives the number of tensors
    uint64_t header, sum = 0;
    size_t count = 0;
    memcpy(&header, file, 8);
    expect(header + 8 + SIMDJSON_PADDING <= n + 64, "no room for simdjson's padding");
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

static void parse(char **arguments, result *r) { // FILE, in memory
    size_t n;
    const unsigned char *bytes = contents(arguments[0], &n);
    r->work = (double)walk(bytes, n);
}

static void open_path(char **arguments, result *r) { // FILE
    int file = open(arguments[0], O_RDONLY);
    struct stat s;
    expect(file >= 0 && fstat(file, &s) == 0, arguments[0]);
    void *at = mmap(nullptr, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    expect(at != MAP_FAILED && close(file) == 0, arguments[0]);
    r->work = (double)walk((const unsigned char *)at, (size_t)s.st_size);
    munmap(at, (size_t)s.st_size);
}

static const workload workloads[] = {{"parse", parse}, {"open", open_path}, {nullptr, nullptr}};

int main() {
    return serve(workloads);
}
