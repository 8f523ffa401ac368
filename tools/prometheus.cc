#include "tools/prometheus.h"

#include "leat/base/error.h"
#include "leat/base/text.h"

namespace leat::tools {

void PrometheusText::family(std::string_view name, std::string_view type, std::string_view help) {
  family_ = name;
  text_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

void PrometheusText::add(std::initializer_list<Label> labels, std::string_view value) {
  ASSERT(!family_.empty());
  text_ += family_;
  char before = '{';
  for (const Label& label : labels) {
    text_ += before;
    text_ += fmt::format("{}={}", label.name, json_string(label.value));
    before = ',';
  }
  if (labels.size() > 0) text_ += '}';
  text_ += fmt::format(" {}\n", value);
}

}  // namespace leat::tools
