// Writes lines like those of a log of sensors, of exactly BYTES bytes before the newline; the same for the same seed.
//
//   make_lines COUNT BYTES SEED
#include <random>

#include "measure.h"

namespace {

constexpr const char* kStates[] = {"ok", "ok", "ok", "ok", "ok", "ok", "late", "calibrating", "battery low"};

// Fields until the line is long enough, then cut to size.
void make_line(std::string& line, std::mt19937_64& random, long number, std::size_t bytes) {
  char text[160];
  const unsigned long first = random();
  std::snprintf(text, sizeof text, "{\"seq\":%09ld,\"sensor\":\"mill-%02lu\",\"level\":%lu.%03lu", number, first % 64,
                (first >> 8) % 90 + 10, (first >> 24) % 1000);
  line = text;
  while (line.size() < bytes) {
    const unsigned long more = random();
    std::snprintf(text, sizeof text, ",\"flow\":%lu.%02lu,\"state\":\"%s\",\"id\":\"%08lx\"", more % 900 + 100,
                  (more >> 10) % 100, kStates[(more >> 20) % std::size(kStates)], more >> 32);
    line += text;
  }
  line.resize(bytes - 1);
  line += "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) bench::die("make_lines COUNT BYTES SEED");
  std::mt19937_64 random(static_cast<std::uint64_t>(bench::number(argv, 3)));
  std::string line;
  const long count = bench::number(argv, 1);
  for (long i = 0; i < count; ++i) {
    make_line(line, random, i, static_cast<std::size_t>(bench::number(argv, 2)));
    bench::must(std::fwrite(line.data(), 1, line.size(), stdout) == line.size(), "write");
  }
  bench::must(std::fflush(stdout) == 0, "write");
}
