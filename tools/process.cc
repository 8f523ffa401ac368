// `leat process`: its flags. What it does is in leat-net (process_here.cc), which the plain program hands over to
// (process_away.cc).
#include "tools/process.h"

#include "tools/commands.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

class Process final : public Command {
 public:
  void add_options(OptionSet& options) override {
    options.add_option("PIPELINE", settings_.path, "the pipeline file, or - for stdin")->required();
    options.add_flag("--check", settings_.check, "check the file, print the graph of its stages, and run nothing");
    options.add_flag("-d,--disable-continuous", settings_.no_follow,
                     "end when all that is there now has been processed");
    add_parsed<ListenAddress>(options, "--metrics", settings_.metrics, "answer Prometheus at http://ADDR/metrics",
                              "ADDR",
                              [](std::string_view, const std::string& text) { return parse_listen_address(text); });
    constexpr std::array<std::pair<std::string_view, std::optional<GraphFormat>>, 2> kFormats = {
        {{"text", GraphFormat::text}, {"json", GraphFormat::json}}};
    add_choice(options, "-O,--output", format_, kFormats, "how --check prints the graph (default: text)");
  }

  Result<void> run(Context& context) override {
    if (format_ && !settings_.check) return fail(Code::usage, "--output is for --check");
    if (settings_.check && settings_.metrics)
      return fail(Code::usage, "--check runs nothing that --metrics could tell of");
    settings_.format = format_.value_or(GraphFormat::text);
    return process_pipeline(context, settings_);
  }

 private:
  ProcessSettings settings_;
  std::optional<GraphFormat> format_;
};

}  // namespace

std::unique_ptr<Command> make_process() {
  return std::make_unique<Process>();
}

}  // namespace leat::tools
