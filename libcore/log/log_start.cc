#include "leat/log/log_start.h"

#include <fmt/format.h>

#include "leat/base/checked_slots.h"
#include "leat/log/file_names.h"

namespace leat {

namespace {

struct StartValue {
  std::int64_t offset;
};
using StartSlots = FileSlots<StartValue>;

}  // namespace

Result<void> create_log_start_file(const Directory& partition) {
  const File file = TRY(partition.open_file(kStartFile, OpenMode::create_or_open));
  TRY(StartSlots::clear(file, 0));
  return file.sync_data();
}

Result<Offset> read_log_start(const Directory& partition) {
  const auto file = partition.open_file(kStartFile, OpenMode::read);
  if (!file) return file.error().code == Code::not_found ? Result<Offset>(Offset{0}) : std::unexpected(file.error());
  const StartSlots::Loaded loaded = TRY(StartSlots::load(*file, 0));
  if (loaded.health == StartSlots::Health::damaged) {
    return fail(Code::damaged, fmt::format("{}: damaged at byte 0: neither slot's checksum is right", file->path()));
  }
  return Offset{loaded.value.offset};
}

Result<void> store_log_start(const Directory& partition, Offset start) {
  const bool fresh = !partition.exists(kStartFile);
  const File file = TRY(partition.open_file(kStartFile, OpenMode::create_or_open));
  TRY(StartSlots::store(file, 0, {start.value}));
  TRY(file.sync_data());
  return fresh ? partition.sync() : Result<void>{};
}

}  // namespace leat
