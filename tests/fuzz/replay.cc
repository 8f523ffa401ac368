// A main() for fuzz targets where there is no libFuzzer: runs the inputs of corpora, then inputs made from them by a
// seeded choice of changes. An input that ends the program is written to the file it names.
//
//   TARGET [--mutations N] [--seed N] [--artifact FILE] CORPUS...
//
// A corpus is a file of { length u32 big-endian, bytes }*, or any file below a directory.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using Input = std::vector<std::uint8_t>;

const Input* current = nullptr;
std::string artifact = "crash-input";

void keep_input() {
  if (current == nullptr) return;
  std::ofstream(artifact, std::ios::binary)
      .write(reinterpret_cast<const char*>(current->data()), static_cast<std::streamsize>(current->size()));
  std::fprintf(stderr, "the input of %zu bytes is in %s\n", current->size(), artifact.c_str());
  current = nullptr;
}

void on_abort(int number) {
  keep_input();
  ::signal(number, SIG_DFL);
  ::raise(number);
}

Input read_whole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void load(const std::string& path, std::vector<Input>& inputs) {
  if (!std::filesystem::is_directory(path)) {
    const Input pack = read_whole(path);
    for (std::size_t at = 0; at + 4 <= pack.size();) {
      const std::size_t size =
          std::size_t{pack[at]} << 24 | std::size_t{pack[at + 1]} << 16 | std::size_t{pack[at + 2]} << 8 | pack[at + 3];
      at += 4;
      const auto begin = pack.begin() + static_cast<std::ptrdiff_t>(at);
      const std::size_t taken = std::min(size, pack.size() - at);
      inputs.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(taken));
      at += taken;
    }
    return;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  std::ranges::sort(files);
  for (const auto& file : files) inputs.push_back(read_whole(file));
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void change(Input& input, const Input& other) {
    for (std::size_t times = 1 + below(4); times > 0; --times) change_once(input, other);
  }

 private:
  void change_once(Input& input, const Input& other) {
    static constexpr std::uint8_t kEdges[] = {0, 1, 2, 0x7f, 0x80, 0xff, '"', '\\', '\n', '0'};
    const auto at = static_cast<std::ptrdiff_t>(below(input.size() + 1));
    const bool inside = static_cast<std::size_t>(at) < input.size();
    switch (below(6)) {
      case 0:
        if (inside) input[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        if (inside) input[static_cast<std::size_t>(at)] = kEdges[below(std::size(kEdges))];
        break;
      case 2:
        input.insert(input.begin() + at, 1 + below(8), static_cast<std::uint8_t>(random_()));
        break;
      case 3:
        input.erase(input.begin() + at,
                    input.begin() + std::min(at + 1 + static_cast<std::ptrdiff_t>(below(16)), std::ssize(input)));
        break;
      case 4: {
        const auto from = static_cast<std::ptrdiff_t>(below(other.size() + 1));
        const auto to = from + static_cast<std::ptrdiff_t>(
                                   below(std::min<std::size_t>(64, other.size() - static_cast<std::size_t>(from) + 1)));
        input.insert(input.begin() + at, other.begin() + from, other.begin() + to);
        break;
      }
      default:
        if (inside) input[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(random_());
    }
  }

  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t mutations = 0;
  std::uint64_t seed = 1;
  std::vector<Input> inputs;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool has_value = word.starts_with("--") && i + 1 < argc;
    if (has_value && word == "--mutations") {
      mutations = std::strtoull(argv[++i], nullptr, 10);
    } else if (has_value && word == "--seed") {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (has_value && word == "--artifact") {
      artifact = argv[++i];
    } else {
      load(argv[i], inputs);
    }
  }
  if (inputs.empty()) inputs.emplace_back();
  ::signal(SIGABRT, on_abort);
  if (&__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(keep_input);
  // In memory of exactly its size, so that a step outside is seen.
  const auto run = [](const Input& input) {
    const auto bytes = std::make_unique<std::uint8_t[]>(input.size());
    std::ranges::copy(input, bytes.get());
    current = &input;
    LLVMFuzzerTestOneInput(bytes.get(), input.size());
    current = nullptr;
  };
  for (const Input& input : inputs) run(input);
  Mutator mutator(seed);
  for (std::uint64_t i = 0; i < mutations; ++i) {
    Input input = inputs[mutator.below(inputs.size())];
    mutator.change(input, inputs[mutator.below(inputs.size())]);
    run(input);
  }
  std::printf("Done %llu runs\n", static_cast<unsigned long long>(inputs.size() + mutations));
  return 0;
}
