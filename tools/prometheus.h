// Figures in the text form that Prometheus reads (version 0.0.4). Knows none of them. Pure.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace leat::tools {

inline constexpr std::string_view kPrometheusType = "text/plain; version=0.0.4; charset=utf-8";

// What a sample is told from others by. Views: they live until the call they are passed to returns.
struct Label {
  std::string_view name;
  std::string_view value;
};

class PrometheusText {
 public:
  // Begins a family: the samples that follow are of this name. `type` is "counter" or "gauge".
  void family(std::string_view name, std::string_view type, std::string_view help);

  // A sample of the family begun last. Precondition: there is one.
  template <class Number>
  void sample(std::initializer_list<Label> labels, Number value) {
    add(labels, fmt::format("{}", value));
  }

  const std::string& text() const { return text_; }

 private:
  void add(std::initializer_list<Label> labels, std::string_view value);

  std::string text_;
  std::string family_;
};

}  // namespace leat::tools
