// `leat version`: which leat this is.
#include <fmt/format.h>

#include "build_id.h"
#include "tools/commands.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

class Version : public Command {
 public:
  void add_options(OptionSet& options) override { add_list_format(options, format_); }

  Result<void> run(Context&) override {
    if (format_ == ListFormat::table) return out().write(version_line() + "\n");
    const std::string_view build = kBuildId;
    return print_rows(format_, {{"VERSION", "version"}, {"BUILD", "build"}},
                      {{cell(kVersion), build.empty() ? null_cell() : cell(build)}}, "");
  }

 private:
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::string version_line() {
  const std::string_view build = kBuildId;
  return build.empty() ? fmt::format("leat {}", kVersion) : fmt::format("leat {} ({})", kVersion, build);
}

std::unique_ptr<Command> make_version() {
  return std::make_unique<Version>();
}

}  // namespace leat::tools
