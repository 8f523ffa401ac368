#include "tools/bench_place.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "tools/local_directory.h"

namespace leat::tools {
namespace {

// statfs(2); ext2, ext3 and ext4 share a number, and the last has long been the driver of all three.
constexpr std::array<std::pair<std::int64_t, std::string_view>, 11> kFileSystems = {{{0xEF53, "ext4"},
                                                                                     {0x58465342, "xfs"},
                                                                                     {0x9123683E, "btrfs"},
                                                                                     {0x01021994, "tmpfs"},
                                                                                     {0x794C7630, "overlay"},
                                                                                     {0x2FC12FC1, "zfs"},
                                                                                     {0xF2F52010, "f2fs"},
                                                                                     {0x6969, "nfs"},
                                                                                     {0xFF534D42, "cifs"},
                                                                                     {0x65735546, "fuse"},
                                                                                     {0x01021997, "9p"}}};

}  // namespace

std::string file_system_name(std::int64_t magic) {
  for (const auto& [number, name] : kFileSystems) {
    if (number == magic) return std::string(name);
  }
  return fmt::format("{:#x}", magic);
}

Result<BenchPlace> bench_place(const Context& context) {
  constexpr std::string_view kFileScheme = "file://";
  Globals globals = context.globals();
  if (globals.data_dir.starts_with(kFileScheme)) globals.data_dir.erase(0, kFileScheme.size());
  const std::size_t scheme = globals.data_dir.find("://");
  if (scheme != std::string::npos) return BenchPlace{globals.data_dir.substr(0, scheme)};
  const DataDir directory = TRY(open_local_directory(Context(std::move(globals)), "bench"));
  return BenchPlace{"local", file_system_name(TRY(file_system_magic(directory.root())))};
}

}  // namespace leat::tools
