#include "tools/store_place.h"

#include "leat/base/disk.h"
#include "tools/command.h"
#include "tools/config.h"

namespace leat::tools {

std::string store_location(const Context& context, const std::string& brokers) {
  if (brokers.empty()) return context.globals().data_dir;
  for (const SettingOrigin& setting : context.settings())
    if (setting.key == "data_dir" && setting.origin == "--data-dir") return context.globals().data_dir;
  return "kafka://" + brokers;
}

Result<std::string> snapshot_base(const std::string& location, const std::string& named, bool make) {
  const bool is_url = location.find("://") != std::string::npos;
  if (named.empty() && !is_url) return location;
  std::string base = named;
  if (base.empty()) {
    const auto state = process_environment("XDG_STATE_HOME");
    const auto home = process_environment("HOME");
    if (!(state && state->starts_with('/')) && !home)
      return fail(Code::configuration, "no place for snapshots: neither XDG_STATE_HOME nor HOME is set",
                  "--snapshot-dir DIR");
    base = state && state->starts_with('/') ? *state + "/leat" : *home + "/.local/state/leat";
  }
  if (make) TRY(Directory::make_root(base));
  return base;
}

}  // namespace leat::tools
