// `leat config show`: every setting as it is in force here.

#include "tools/commands.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

class ConfigShow : public Command {
 public:
  void add_options(OptionSet& options) override {
    options.add_flag("--origin", with_origin_, "also where each value comes from");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    std::vector<Column> columns = {{"KEY", "key"}, {"VALUE", "value"}};
    if (with_origin_) columns.push_back({"ORIGIN", "origin"});
    std::vector<std::vector<Cell>> rows;
    for (const SettingOrigin& setting : context.settings()) {
      auto& row = rows.emplace_back(
          std::vector<Cell>{cell(setting.key), setting.value.empty() ? null_cell() : cell(setting.value)});
      if (with_origin_) row.push_back(cell(setting.origin));
    }
    return print_rows(format_, columns, rows, "");
  }

 private:
  bool with_origin_ = false;
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_config_show() {
  return std::make_unique<ConfigShow>();
}

}  // namespace leat::tools
